/**
 * Where an event leads when it may lead to several states. The guards of the state chart and the steps that write the
 * context ask here, so that state and context always agree.
 */
import type { TaskContext } from './context.ts';
import type { CreateTask, DependencyDone, FailTask, LeaseExpired, OwnerLost } from './events.ts';

/** Whether something is still waited for at this time. */
export function mustWait(open: readonly string[], dueAt: number | null, at: number): boolean {
  return open.length > 0 || (dueAt !== null && at < dueAt);
}

/** A task that depends on a failed one is failed from the start, unless it is told to wait. */
export function afterCreation(event: CreateTask): 'failed' | 'waiting' | 'available' {
  const failed = event.failed_dependencies ?? [];
  if (failed.length > 0 && event.on_dependency_failure !== 'wait') return 'failed';
  return mustWait(event.open_dependencies, event.not_before ?? null, event.at) ? 'waiting' : 'available';
}

export function afterDependency(context: TaskContext, event: DependencyDone): 'waiting' | 'available' {
  return mustWait(stillOpen(context, event), context.due_at, event.at) ? 'waiting' : 'available';
}

export function stillOpen(context: TaskContext, event: DependencyDone): string[] {
  return context.open_dependencies.filter((id) => id !== event.dependency);
}

/** Whether the attempt that an ownership used is given back. */
export function givesAttemptBack(event: FailTask | LeaseExpired | OwnerLost): boolean {
  return event.type === 'OWNER_LOST' && event.reason !== 'offline';
}

/** What becomes of a task whose owner failed, or was lost: another attempt, now or after the back-off, or none. */
export function afterAttempt(
  context: TaskContext,
  event: FailTask | LeaseExpired | OwnerLost,
): 'failed' | 'waiting' | 'available' {
  if (givesAttemptBack(event)) return 'available';
  if (event.type === 'FAIL' && event.retryable === false) return 'failed';
  if (context.attempt >= context.max_attempts) return 'failed';
  return context.retry_backoff_ms > 0 ? 'waiting' : 'available';
}
