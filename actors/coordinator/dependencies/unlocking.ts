/**
 * What the end of a task means for those that wait for it, as part of a plan: in the commit that ends the task, and in
 * those that follow it. Whoever waits no longer is passed over, so the same may be proposed again at any time.
 */
import { decide } from '../../../machines/machine.ts';
import type { DependencyDone, DependencyFailed } from '../../../machines/task/events.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import type { PlanView, Send } from '../../../src/store/actor-store.ts';
import { releaseSingleton } from '../tasks/semaphore-plan.ts';
import { send, type Task } from '../tasks/task-plan.ts';

/** A task in a final state, and how it came there. */
export interface Ended {
  readonly id: string;
  readonly outcome: 'completed' | 'failed' | 'cancelled';
  /** Why, in a few words; empty for a completion, or when nobody said. */
  readonly reason: string;
}

export interface Room {
  /** The most events. Default 1,000. */
  readonly sends?: number;
  /** The most that the new records may take together, bytes in rough; the first dependent always fits. Default 4 MiB. */
  readonly bytes?: number;
  /** Told of each dependent that does not wait for the task. */
  readonly onPassedOver?: (task: Task) => void;
}

const defaultSends = 1_000;
const defaultBytes = 4 * 1024 * 1024;

/**
 * The events for these dependents, in this order, as far as there is room. A task that fails with its dependency gives
 * back its singleton key in the same commit. @throws FabricError UNAVAILABLE
 */
export async function unlocking(
  view: PlanView,
  ended: Ended,
  dependents: readonly string[],
  { sends: mostSends = defaultSends, bytes: mostBytes = defaultBytes, onPassedOver }: Room = {},
): Promise<Send[]> {
  const tasks = await Promise.all(dependents.map(async (id) => await view.get(taskMachine, id)));
  const news = newsOf(ended, view.now);
  const sends: Send[] = [];
  let bytes = 0;
  for (const task of tasks) {
    if (taskMachine.explain(task.snapshot, news)) {
      onPassedOver?.(task);
      continue;
    }
    const { at: _, ...event } = news;
    const own = [send(task, event), ...(endsWith(task, news) ? await releaseSingleton(view, task) : [])];
    bytes += JSON.stringify(task.snapshot.context).length;
    if (sends.length > 0 && (bytes > mostBytes || sends.length + own.length > mostSends)) break;
    sends.push(...own);
  }
  return sends;
}

function endsWith({ snapshot }: Task, news: DependencyDone | DependencyFailed): boolean {
  if (news.type === 'DEPENDENCY_DONE') return false;
  const verdict = decide(taskMachine, snapshot, news);
  return verdict.accepted && verdict.snapshot.status === 'done';
}

function newsOf({ id, outcome, reason }: Ended, at: number): DependencyDone | DependencyFailed {
  if (outcome === 'completed') return { type: 'DEPENDENCY_DONE', at, dependency: id };
  const what = outcome === 'failed' ? `${id} failed` : `${id} was cancelled`;
  return { type: 'DEPENDENCY_FAILED', at, dependency: id, reason: reason === '' ? what : `${what}: ${reason}` };
}
