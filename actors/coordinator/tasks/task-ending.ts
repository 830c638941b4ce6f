/**
 * Whatever ends an ownership or a task, and everything that goes with it, as one proposal: the owner's money, slot and
 * record of success, the places of shared keys, the blocker, and the tasks that waited for this one.
 */
import { decide } from '../../../machines/machine.ts';
import { stateName } from '../../../machines/record.ts';
import type { TaskContext } from '../../../machines/task/context.ts';
import type { TaskEvent } from '../../../machines/task/events.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import { FabricError } from '../../../src/errors.ts';
import type { PlanView, Send } from '../../../src/store/actor-store.ts';
import { moot } from '../blockers/blocker-plan.ts';
import { unlocking } from '../dependencies/unlocking.ts';
import { type FleetFacts, settleWithFleet } from './fleet-plan.ts';
import { releaseConcurrency, releaseSingleton } from './semaphore-plan.ts';
import { isOwned, send, type Task, toOwner } from './task-plan.ts';

/** How many dependents change in the commit that ends a task; the others follow in commits of their own. */
export const dependentsPerCommit = 1_000;

export interface Ending {
  readonly event: Send['event'];
  /** What it means for the swarm that owns the task. */
  readonly owner?: Send['event'] | undefined;
  /** What is settled for it, US dollars; undefined where what is reserved is given back unspent. */
  readonly cost_usd?: number | undefined;
  /** Ids of the tasks that are known to wait for this one. */
  readonly dependents: readonly string[];
}

/** @throws FabricError the task's refusal of the event */
export async function ending(
  view: PlanView,
  fleet: FleetFacts,
  task: Task,
  { event, owner, cost_usd, dependents }: Ending,
): Promise<Send[]> {
  // Whether this may happen at all is the task's to say, before anyone else is touched.
  const verdict = decide(taskMachine, task.snapshot, { at: view.now, ...event } as TaskEvent);
  if (!verdict.accepted) throw FabricError.refused(verdict.refusal);
  const sends = [send(task, event)];
  if (isOwned(task)) {
    if (owner) sends.push(toOwner(task, task.snapshot.context.owner!, owner));
    sends.push(...(await settleWithFleet(view, fleet, task, cost_usd ?? null)));
    sends.push(...(await releaseConcurrency(view, task)));
    if (stateName(task.snapshot.value) === 'blocked') sends.push(...(await moot(view, task)));
  }
  if (verdict.snapshot.status !== 'done') return sends;
  sends.push(...(await releaseSingleton(view, task)));
  if (dependents.length === 0) return sends;
  const ended = { id: task.ref.id, ...endOf(stateName(verdict.snapshot.value), verdict.snapshot.context) };
  sends.push(...(await unlocking(view, ended, dependents.slice(0, dependentsPerCommit))));
  return sends;
}

export interface TaskEnd {
  readonly outcome: 'completed' | 'failed' | 'cancelled';
  /** Why, in a few words; empty for a completion. */
  readonly reason: string;
}

/** Characters of a reason that are kept: its begin and its end. What fails one after another names the first cause last. */
const longestReason = { begin: 60, end: 139 };

/** How a task in a final state ended, as those that waited for it are told. */
export function endOf(state: string, { error, cancel_reason }: TaskContext): TaskEnd {
  if (state === 'completed') return { outcome: 'completed', reason: '' };
  if (state === 'cancelled') return { outcome: 'cancelled', reason: shortened(cancel_reason ?? '') };
  const message = (error as { message?: unknown } | null)?.message ?? error;
  const text = typeof message === 'string' ? message : JSON.stringify(message);
  return { outcome: 'failed', reason: shortened(text) };
}

function shortened(text: string): string {
  const { begin, end } = longestReason;
  return text.length <= begin + end ? text : `${text.slice(0, begin)}…${text.slice(-end)}`;
}
