/**
 * Keys that tasks share: of the tasks of one `concurrency_key` only so many are owned at a time, of those of one
 * `singleton_key` only one is open. Each key is an actor, a semaphore, that is written in the same commit as the task, so
 * that the limit holds for any number of processes.
 */
import type { Refusal } from '../../../machines/machine.ts';
import type { SemaphoreContext } from '../../../machines/semaphore/context.ts';
import { semaphoreMachine } from '../../../machines/semaphore/machine.ts';
import type { TaskContent } from '../../../machines/task/context.ts';
import type { PlanView, Send } from '../../../src/store/actor-store.ts';
import type { ActorState } from '../../../src/store/reading.ts';
import type { Task } from './task-plan.ts';

export function concurrencySemaphore(key: string): string {
  return `concurrency.${key}`;
}

export function singletonSemaphore(key: string): string {
  return `singleton.${key}`;
}

interface Acquisition {
  /** The semaphore. */
  readonly id: string;
  /** The id of the task. */
  readonly holder: string;
  /** Of the ownership that is limited; null for a singleton. */
  readonly token: number | null;
  readonly limit: number;
  readonly trace_id: string;
}

/** The event to send, or why there is no room. */
export async function acquire(
  view: PlanView,
  { id, trace_id, ...request }: Acquisition,
): Promise<{ readonly send: Send } | { readonly refusal: Refusal }> {
  const semaphore = await view.get(semaphoreMachine, id);
  const event = { type: 'ACQUIRE' as const, ...request };
  const refusal = semaphoreMachine.explain(semaphore.snapshot, { ...event, at: view.now });
  return refusal ? { refusal } : { send: { machine: semaphoreMachine, id, event, trace_id } };
}

/** The place of an ownership that ends. */
export async function releaseConcurrency(view: PlanView, task: Task): Promise<Send[]> {
  const { concurrency_key } = task.snapshot.context;
  return concurrency_key === null ? [] : await release(view, concurrencySemaphore(concurrency_key), task);
}

/** The place of a task that ends. */
export async function releaseSingleton(view: PlanView, task: Task): Promise<Send[]> {
  const { singleton_key } = task.snapshot.context;
  return singleton_key === null ? [] : await release(view, singletonSemaphore(singleton_key), task);
}

async function release(view: PlanView, id: string, task: Task): Promise<Send[]> {
  const event = { type: 'RELEASE' as const, holder: task.ref.id };
  const isHeld = (semaphore: ActorState<SemaphoreContext>) =>
    semaphoreMachine.explain(semaphore.snapshot, { ...event, at: view.now }) === undefined;
  // A place that is not held, for whatever reason, must not keep a task from ending; but one that is must not be left.
  if (!isHeld(await view.get(semaphoreMachine, id)) && !isHeld(await view.confirm(semaphoreMachine, id))) return [];
  return [{ machine: semaphoreMachine, id, event, trace_id: task.snapshot.context.trace_id }];
}

/** How many tasks of the key may be owned at a time. */
export function concurrencyLimit({ concurrency_limit }: Pick<TaskContent, 'concurrency_limit'>): number {
  return concurrency_limit ?? 1;
}
