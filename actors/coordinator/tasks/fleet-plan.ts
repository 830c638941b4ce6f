/**
 * The fabric-wide budget in the commits of tasks: a priced claim reserves there what it reserves on its swarm, and the end
 * of the ownership settles it or gives it back, each in the same commit. The task's record says what it holds.
 */
import { type FleetContext, fleetRef } from '../../../machines/fleet/context.ts';
import { fleetMachine } from '../../../machines/fleet/machine.ts';
import type { PlanView, Send } from '../../../src/store/actor-store.ts';
import type { ActorState } from '../../../src/store/reading.ts';
import type { FleetKnown } from '../../fleet-known.ts';
import type { Task } from './task-plan.ts';

export type FleetFacts = Pick<FleetKnown, 'budget' | 'hasBudget' | 'paused'>;

/** Whether nothing may be claimed. Who is refused for it is refused by the record; who does not know yet is not. */
export async function isPaused(view: PlanView, fleet: FleetFacts): Promise<boolean> {
  return fleet.paused !== null && (await view.get(fleetMachine, fleetRef.id)).snapshot.context.pause !== null;
}

/** Whether nobody may keep its tasks, where policy returns those of a swarm that is paused. Rests on the record. */
export async function allLoseTasks(view: PlanView, fleet: FleetFacts): Promise<boolean> {
  return (
    fleet.paused !== null && (await view.confirm(fleetMachine, fleetRef.id)).snapshot.context.pause?.mode === 'pause'
  );
}

/** What a claim at this price, US dollars, reserves of the fabric-wide budget; undefined where there is none to take it from. */
export async function reserveOfFleet(
  view: PlanView,
  fleet: FleetFacts,
  { task, swarm_id, amount_usd }: { readonly task: Task; readonly swarm_id: string; readonly amount_usd: number },
): Promise<Send | undefined> {
  // One record for everybody: it is not even read where nobody wants it.
  if (amount_usd === 0 || !fleet.hasBudget) return undefined;
  const { snapshot } = await view.get(fleetMachine, fleetRef.id);
  if (snapshot.context.budget === null) return undefined;
  return toFleet(task, { type: 'RESERVE', swarm_id, task_id: task.ref.id, amount_usd });
}

/** What the end of an ownership means for the fabric-wide budget; `cost_usd` is null where nothing is settled. */
export async function settleWithFleet(
  view: PlanView,
  fleet: FleetFacts,
  task: Task,
  cost_usd: number | null,
): Promise<Send[]> {
  const reserved_usd = task.snapshot.context.fleet_reserved_usd ?? 0;
  // What was claimed before there was a budget, or without an estimate, takes its cost from the remainder.
  if (reserved_usd === 0 && !(fleet.hasBudget && (cost_usd ?? 0) > 0)) return [];
  const event: Send['event'] =
    cost_usd === null ? { type: 'UNRESERVE', amount_usd: reserved_usd } : { type: 'SETTLE', reserved_usd, cost_usd };
  const takes = (state: ActorState<FleetContext>) =>
    fleetMachine.explain(state.snapshot, { ...event, at: view.now } as never) === undefined;
  // That the budget is gone meanwhile must not keep a task from ending; but what is reserved must not be left.
  const isTaken =
    takes(await view.get(fleetMachine, fleetRef.id)) || takes(await view.confirm(fleetMachine, fleetRef.id));
  return isTaken ? [toFleet(task, event)] : [];
}

function toFleet(task: Task, event: Send['event']): Send {
  return { machine: fleetMachine, id: fleetRef.id, event, trace_id: task.snapshot.context.trace_id };
}
