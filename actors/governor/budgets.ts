/**
 * Money: what operators allocate to a swarm or to all swarms together, and what swarms charge by themselves. A charge is
 * taken from the swarm's budget and from that of all swarms in one commit, or refused; what does not remain is never spent.
 */
import { formatRef, operatorId } from '../../machines/address.ts';
import type { Budget, WindowLimits } from '../../machines/budget.ts';
import type { Cost } from '../../machines/cost.ts';
import { fleetRef } from '../../machines/fleet/context.ts';
import type { SwarmContext } from '../../machines/swarm/context.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { FabricError } from '../../src/errors.ts';
import type { Plan, PlanView, Send } from '../../src/store/actor-store.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import type { FleetKnown } from '../fleet-known.ts';
import { type GatedParts, throughGate } from './approval-gate.ts';
import { type BudgetView, budgetView } from './budget-view.ts';
import { type FleetView, fleetLane, fleetView, seeFleet, toFleet } from './fleet-controls.ts';
import type { GovernorParts } from './part.ts';
import { seeSwarm, toSwarm, unknownSwarm } from './swarm-changes.ts';

/** Undefined leaves a limit of an hour or a day as it is, null removes it. */
export interface AllocatedLimits {
  readonly per_hour_usd?: number | null | undefined;
  readonly per_day_usd?: number | null | undefined;
}
export interface SwarmAllocation extends AllocatedLimits {
  readonly swarm_id: string;
  readonly budget_usd: number;
}
export interface FleetAllocation extends AllocatedLimits {
  /** null: no budget holds for all swarms together. */
  readonly budget_usd: number | null;
}

export interface Charge extends Cost {
  /** What it was for. */
  readonly operation: string;
  readonly trace_id?: string | undefined;
}

/** What a swarm is told of its own budget. */
export type Remainder = Pick<BudgetView, 'allocated_usd' | 'reserved_usd' | 'spent_usd' | 'remaining_usd'>;

export interface BudgetParts extends GatedParts, Pick<GovernorParts, 'clock'> {
  readonly fleet: FleetKnown;
}

export class Budgets {
  readonly #parts: BudgetParts;

  constructor(parts: BudgetParts) {
    this.#parts = parts;
  }

  /**
   * May precede registration; the same again changes nothing.
   * @throws FabricError POLICY_VIOLATION below what is gone already, or where a person has to approve of more
   */
  async allocate(by: string, allocation: SwarmAllocation, reason?: string): Promise<BudgetView> {
    const { swarm_id, budget_usd } = allocation;
    const target = formatRef({ kind: swarmMachine.kind, id: swarm_id });
    const request = { swarm_id, budget_usd, ...limitsOf(allocation) };
    const wish = { action: 'raise_budget', target, request, by, reason } as const;
    const show = ({ record }: StoredRecord) =>
      budgetView((record.snapshot.context as SwarmContext).budget, this.#parts.clock.now());
    return await throughGate(this.#parts, target, wish, async (view) => {
      const { context, last } = await seeSwarm(view, swarm_id);
      const send = await planAllocation(view, allocation);
      if (send.length === 0) return { guarded: false, answer: show(last!) };
      const guarded = raises(context.budget, budget_usd, allocation);
      return { guarded, send, answer: ([changed]) => show(changed!) };
    });
  }

  /** Of all swarms together. @throws FabricError as `allocate` */
  async allocateFleet(by: string, allocation: FleetAllocation, reason?: string): Promise<FleetView> {
    const { budget_usd } = allocation;
    const request = { budget_usd, ...limitsOf(allocation) };
    const wish = { action: 'raise_budget', target: formatRef(fleetRef), request, by, reason } as const;
    return await throughGate(this.#parts, fleetLane, wish, async (view) => {
      const { budget, last } = await seeFleet(view);
      const send = await planFleetAllocation(view, by, allocation);
      if (send.length === 0) return { guarded: false, answer: fleetView(last, view.now) };
      const guarded = raises(budget, budget_usd, allocation);
      return { guarded, send, answer: ([changed]) => fleetView(changed, view.now) };
    });
  }

  /** Takes a cost from the caller's budget. @throws FabricError SWARM_NOT_FOUND, BUDGET_EXHAUSTED: nothing was charged */
  async charge(by: string, { operation, trace_id, ...cost }: Charge): Promise<Remainder> {
    if (by === operatorId)
      throw new FabricError(
        'INVALID_REQUEST',
        'an operator has no budget to charge; send this as the swarm that the cost is of',
      );
    const { store, lanes, newId, fleet } = this.#parts;
    const plan: Plan<Remainder> = async (view) => {
      const { exists } = await seeSwarm(view, by);
      if (!exists) throw unknownSwarm(by);
      const amount_usd = cost.cost_usd;
      const send = [toSwarm(by, { type: 'CHARGE', amount_usd, operation, cost })];
      if (fleet.hasBudget && (await seeFleet(view)).budget !== null)
        send.push(toFleet({ type: 'CHARGE', swarm_id: by, amount_usd }));
      return { send, answer: ([charged]) => remainderOf(charged!, view.now) };
    };
    // In turns where they change the same record: the swarm's own, or that of all swarms.
    const lane = fleet.hasBudget ? fleetLane : formatRef({ kind: swarmMachine.kind, id: by });
    return await lanes.run(lane, async () => await store.transact({ by, trace_id: trace_id ?? newId() }, plan));
  }
}

/** What allocates, for whoever commits it together with something else; nothing where it is so already. */
export async function planAllocation(view: PlanView, allocation: SwarmAllocation): Promise<Send[]> {
  const { swarm_id, budget_usd } = allocation;
  const { exists, context } = await seeSwarm(view, swarm_id);
  if (exists && isAllocated(context.budget, budget_usd, allocation)) return [];
  return [toSwarm(swarm_id, { type: 'ALLOCATE', budget_usd, ...limitsOf(allocation) })];
}

/** As `planAllocation`, of the budget of all swarms together. */
export async function planFleetAllocation(view: PlanView, by: string, allocation: FleetAllocation): Promise<Send[]> {
  const { budget_usd, per_hour_usd, per_day_usd } = allocation;
  const { budget } = await seeFleet(view);
  const isLimited = per_hour_usd != null || per_day_usd != null;
  const isSo =
    budget_usd === null
      ? budget === null && !isLimited
      : budget !== null && isAllocated(budget, budget_usd, allocation);
  return isSo ? [] : [toFleet({ type: 'ALLOCATE', budget_usd, by, ...limitsOf(allocation) })];
}

/**
 * Whether an allocation lets more be spent than the present one: a greater sum, or a limit that is raised or removed.
 * `present` is null where nothing limits the spending at all.
 */
export function raises(present: Budget | null, budget_usd: number | null, limits: AllocatedLimits): boolean {
  if (present === null) return false;
  if (budget_usd === null || budget_usd > present.allocated_usd) return true;
  const loosens = (limit: number | undefined, wish: number | null | undefined) =>
    limit !== undefined && wish !== undefined && (wish === null || wish > limit);
  return loosens(present.hour?.limit_usd, limits.per_hour_usd) || loosens(present.day?.limit_usd, limits.per_day_usd);
}

function isAllocated(budget: Budget, budget_usd: number, { per_hour_usd, per_day_usd }: AllocatedLimits): boolean {
  const isLimit = (limit: number | undefined, wish: number | null | undefined) =>
    wish === undefined || (limit ?? null) === wish;
  return (
    budget.allocated_usd === budget_usd &&
    isLimit(budget.hour?.limit_usd, per_hour_usd) &&
    isLimit(budget.day?.limit_usd, per_day_usd)
  );
}

function limitsOf({ per_hour_usd, per_day_usd }: AllocatedLimits): WindowLimits {
  return {
    ...(per_hour_usd === undefined ? {} : { per_hour_usd }),
    ...(per_day_usd === undefined ? {} : { per_day_usd }),
  };
}

function remainderOf({ record }: StoredRecord, now: number): Remainder {
  const view = budgetView((record.snapshot.context as SwarmContext).budget, now);
  const { allocated_usd, reserved_usd, spent_usd, remaining_usd } = view;
  return { allocated_usd, reserved_usd, spent_usd, remaining_usd };
}
