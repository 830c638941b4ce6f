/** What each accepted event writes into a task's context. Steps compute; whether the event is accepted is decided before. */

import type { Json } from '../record.ts';
import { tokenOf } from '../token.ts';
import { assigned, firstAssignment } from './assignment.ts';
import { contentOf, taskDefaults } from './content.ts';
import { absentTask, type FailureReason, type TaskContext } from './context.ts';
import type { FailTask, LeaseExpired, OwnerLost, TaskEvent, TaskEventOf, TaskEventType } from './events.ts';
import { afterAttempt, afterCreation, afterDependency, givesAttemptBack, stillOpen } from './outcome.ts';
import { disowned, settled } from './ownership.ts';

type Steps = {
  readonly [Type in TaskEventType]: (task: TaskContext, event: TaskEventOf<Type>) => Partial<TaskContext>;
};

const steps: Steps = {
  CREATE: (_, event) => {
    const outcome = afterCreation(event);
    const failed = [...(event.failed_dependencies ?? [])];
    const content = contentOf(event);
    const assign_timeout_ms = content.assign ? (event.assign_timeout_ms ?? taskDefaults.assign_timeout_ms) : null;
    return {
      ...absentTask,
      ...content,
      assign_timeout_ms,
      created_by: event.by,
      trace_id: event.trace_id,
      open_dependencies: [...event.open_dependencies],
      failed_dependencies: failed,
      due_at: outcome === 'waiting' ? (event.not_before ?? null) : null,
      created_at: event.at,
      ...(outcome === 'available' ? available({ assign_timeout_ms }, event.at) : {}),
      ...(outcome === 'failed' ? dependencyFailed(`dependency ${failed.join(', ')} failed`, event.at) : {}),
    };
  },
  DEPENDENCY_DONE: (task, event) => ({
    open_dependencies: stillOpen(task, event),
    ...(afterDependency(task, event) === 'available' ? available(task, event.at) : {}),
  }),
  DEPENDENCY_FAILED: (task, event) => ({
    failed_dependencies: [...task.failed_dependencies, event.dependency],
    ...(task.on_dependency_failure === 'fail'
      ? dependencyFailed(`dependency ${event.dependency} failed: ${event.reason}`, event.at)
      : {}),
  }),
  DUE: (task, event) => available(task, event.at),
  ASSIGN: (task, event) => ({ assignment: assigned(task.assignment, event) }),
  CLAIM: (task, event) => ({
    owner: event.owner,
    ownerships: task.ownerships + 1,
    token: tokenOf(event.epoch, task.ownerships + 1),
    attempt: task.attempt + 1,
    lease_expires_at: event.at + task.lease_ms,
    reserved_usd: event.reserve_usd,
    fleet_reserved_usd: event.fleet_reserve_usd ?? null,
    claimed_at: event.at,
  }),
  START: (task, event) => ({
    started_at: event.at,
    lease_expires_at: Math.max(task.lease_expires_at ?? 0, event.at + task.lease_ms),
  }),
  COMPLETE: (_, event) => ({
    ...settled,
    result: event.result,
    cost: event.cost ?? null,
    error: null,
    failure_reason: null,
    completed_at: event.at,
  }),
  FAIL: (task, event) =>
    // Who failed a task for good stays its owner; a failure that is retried ends the ownership.
    afterAttempt(task, event) === 'failed'
      ? { ...settled, error: event.error, failure_reason: 'owner_failed', completed_at: event.at }
      : attemptOver(task, event, 'owner_failed', event.error),
  RELEASE: (task, event) => ({ ...disowned(task), ...available(task, event.at), attempt: task.attempt - 1 }),
  LEASE_EXPIRED: (task, event) =>
    attemptOver(task, event, 'lease_expired', `the lease of ${task.owner} ran out at attempt ${task.attempt}`),
  OWNER_LOST: (task, event) => attemptOver(task, event, ...loss(task, event)),
  BLOCK: (task, event) => ({
    blocker_id: event.blocker_id,
    blocked_from: task.started_at === null ? 'claimed' : 'in_progress',
    blocked_at: event.at,
    lease_expires_at: null,
  }),
  UNBLOCK: (task, event) => ({
    blocker_id: null,
    blocked_from: null,
    blocked_at: null,
    lease_expires_at: event.at + task.lease_ms,
  }),
  CANCEL: (_, event) => ({
    ...settled,
    due_at: null,
    cancelled_by: event.by,
    cancel_reason: event.reason,
    completed_at: event.at,
  }),
};

/** A new round: who gets the task first is decided anew. */
function available(task: Pick<TaskContext, 'assign_timeout_ms'>, at: number): Partial<TaskContext> {
  return { available_at: at, due_at: null, assignment: firstAssignment(task.assign_timeout_ms, at) };
}

function loss({ owner, attempt }: TaskContext, { reason }: OwnerLost): [FailureReason, string] {
  if (reason === 'unregistered') return ['owner_unregistered', `the owner ${owner} unregistered`];
  if (reason === 'circuit_open') return ['owner_circuit_open', `the circuit of the owner ${owner} opened`];
  return ['owner_offline', `the owner ${owner} went offline at attempt ${attempt}`];
}

function dependencyFailed(error: string, at: number): Partial<TaskContext> {
  return { error, failure_reason: 'dependency_failed', due_at: null, completed_at: at };
}

/** The ownership ends, and with it the attempt. */
function attemptOver(
  task: TaskContext,
  event: FailTask | LeaseExpired | OwnerLost,
  reason: FailureReason,
  error: Json,
): Partial<TaskContext> {
  const ended = { ...disowned(task), error, failure_reason: reason };
  const outcome = afterAttempt(task, event);
  if (outcome === 'failed') return { ...ended, completed_at: event.at };
  if (outcome === 'waiting') return { ...ended, available_at: null, due_at: event.at + task.retry_backoff_ms };
  return { ...ended, ...available(task, event.at), attempt: givesAttemptBack(event) ? task.attempt - 1 : task.attempt };
}

/** The fields that an accepted event changes. */
export function stepTask(task: TaskContext, event: TaskEvent): Partial<TaskContext> {
  const step = steps[event.type] as (task: TaskContext, event: TaskEvent) => Partial<TaskContext>;
  return { ...step(task, event), updated_at: event.at };
}
