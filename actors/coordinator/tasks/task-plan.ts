/** What the plans of task operations are made of: reading a task, proposing events, the facts that a claim rests on. */
import { formatRef } from '../../../machines/address.ts';
import { stateName } from '../../../machines/record.ts';
import { effectiveCapabilities, type SwarmContext, type SwarmState } from '../../../machines/swarm/context.ts';
import { swarmMachine } from '../../../machines/swarm/machine.ts';
import { ownedStates, type TaskContext } from '../../../machines/task/context.ts';
import type { SwarmFacts } from '../../../machines/task/events.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import { FabricError } from '../../../src/errors.ts';
import type { PlanView, Proposal, Send } from '../../../src/store/actor-store.ts';
import type { ActorState } from '../../../src/store/reading.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { type TaskView, taskView } from './task-view.ts';

export type Task = ActorState<TaskContext>;

type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> };

export function withoutUndefined<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>;
}

export async function existing(view: PlanView, task_id: string): Promise<Task> {
  const task = await view.get(taskMachine, task_id);
  if (!task.last) throw notFound(task_id);
  return task;
}

export function notFound(task_id: string): FabricError {
  return new FabricError('TASK_NOT_FOUND', `there is no task ${task_id}; create it first`);
}

export function send(task: Task, event: Send['event']): Send {
  return { machine: taskMachine, id: task.ref.id, event, trace_id: task.snapshot.context.trace_id };
}

export function toOwner(task: Task, owner: string, event: Send['event']): Send {
  return { machine: swarmMachine, id: owner, event, trace_id: task.snapshot.context.trace_id };
}

export function only(one: Send): Proposal<TaskView> {
  return { send: [one], answer: firstTask };
}

export function firstTask([first]: readonly StoredRecord[]): TaskView {
  return taskView(first!);
}

/** What a swarm's reservations call a task. */
export function keyOf(task_id: string): string {
  return formatRef({ kind: taskMachine.kind, id: task_id });
}

export function isOwned(task: Task): boolean {
  return (ownedStates as readonly string[]).includes(stateName(task.snapshot.value));
}

/** What a claim holds on its swarm: a slot where slots are limited, money where the task has a price; else null. */
export function reservationFor(task: TaskContext, swarm: SwarmContext): number | null {
  const amount = task.cost_estimate ?? 0;
  return amount > 0 || swarm.max_concurrent_tasks !== null || swarm.on_trial ? amount : null;
}

export function factsOf(swarm: ActorState<SwarmContext>): SwarmFacts {
  const { registration, liveness, circuit } = swarm.snapshot.value as SwarmState;
  const { context } = swarm.snapshot;
  return {
    registration,
    liveness,
    circuit,
    circuit_reasons: context.circuit_reasons,
    capabilities: effectiveCapabilities(context),
    revision: swarm.revision,
  };
}
