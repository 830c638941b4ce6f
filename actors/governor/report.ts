/**
 * What everything costs and who may go on: budgets, costs and circuits of all swarms, and of the fabric. What was committed
 * before the request is in it.
 */
import { addUsd } from '../../machines/money.ts';
import { reputationAt } from '../../machines/swarm/reputation.ts';
import type { SwarmView } from '../coordinator/swarms/swarm-view.ts';
import type { KnownSwarm } from '../swarm-index/known-swarm.ts';
import { type BudgetView, budgetView } from './budget-view.ts';
import type { FleetControls, FleetView } from './fleet-controls.ts';
import type { GovernorParts } from './part.ts';
import { unknownSwarm } from './swarm-changes.ts';

export interface SwarmReport
  extends Pick<
    SwarmView,
    | 'swarm_id'
    | 'registration'
    | 'liveness'
    | 'circuit'
    | 'circuit_reasons'
    | 'circuit_opened_at'
    | 'on_trial'
    | 'pause'
    | 'cost_per_hour'
    | 'counters'
  > {
  /** What its work has cost: spent, and what it cost beyond the budget. The witness' entries of the swarm add up to it. */
  cost_usd: number;
  budget: BudgetView;
  /** As it has become by the time of the report. */
  reputation: number;
}

export interface Totals {
  swarms: number;
  open_circuits: number;
  allocated_usd: number;
  reserved_usd: number;
  spent_usd: number;
  overrun_usd: number;
  cost_usd: number;
}

export interface Report {
  /** Milliseconds since 1970. */
  at: number;
  swarms: SwarmReport[];
  cursor: string | null;
  /** Of all swarms, also those on other pages; for a swarm, of itself. */
  totals: Totals;
  /** Null for a swarm, which sees what is its own. */
  fleet: FleetView | null;
}

export interface ReportWish {
  readonly swarm_id?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface ReportParts extends Pick<GovernorParts, 'swarms' | 'policy' | 'clock'> {
  readonly fleet: Pick<FleetControls, 'get'>;
  /** Resolves when every swarm's record that was committed before is known. */
  readonly catchUp: () => Promise<void>;
}

const defaultLimit = 1_000;

export class Reports {
  readonly #parts: ReportParts;

  constructor(parts: ReportParts) {
    this.#parts = parts;
  }

  /** @throws FabricError UNAVAILABLE */
  async all({ limit = defaultLimit, cursor }: ReportWish): Promise<Report> {
    const { swarms, clock, fleet, catchUp } = this.#parts;
    const [fleetNow] = await Promise.all([fleet.get(), catchUp()]);
    const at = clock.now();
    const ids = swarms.ids({ after: cursor, limit: limit + 1 });
    const shown = ids.slice(0, limit);
    return {
      at,
      swarms: shown.flatMap((id) => this.#report(swarms.get(id), at)),
      cursor: ids.length > limit ? shown.at(-1)! : null,
      totals: totalsOf(swarms.ids({ limit: Number.POSITIVE_INFINITY }).flatMap((id) => swarms.get(id) ?? [])),
      fleet: fleetNow,
    };
  }

  /** @throws FabricError SWARM_NOT_FOUND, UNAVAILABLE */
  async one(swarm_id: string, { withFleet }: { readonly withFleet: boolean }): Promise<Report> {
    const { swarms, clock, fleet, catchUp } = this.#parts;
    const [fleetNow] = await Promise.all([withFleet ? fleet.get() : null, catchUp()]);
    const known = swarms.get(swarm_id);
    if (!known) throw unknownSwarm(swarm_id);
    const at = clock.now();
    return { at, swarms: this.#report(known, at), cursor: null, totals: totalsOf([known]), fleet: fleetNow };
  }

  #report(known: KnownSwarm | undefined, at: number): SwarmReport[] {
    if (!known) return [];
    const { swarm_id, state, context } = known;
    const { budget } = context;
    return [
      {
        swarm_id,
        registration: state.registration,
        liveness: state.liveness,
        circuit: state.circuit,
        circuit_reasons: context.circuit_reasons,
        circuit_opened_at: context.circuit_opened_at,
        on_trial: context.on_trial,
        pause: context.pause,
        cost_usd: addUsd(budget.spent_usd, budget.overrun_usd),
        budget: budgetView(budget, at),
        cost_per_hour: context.cost_per_hour,
        reputation: reputationAt(context, at, this.#parts.policy.current.reputation_half_life_ms),
        counters: context.counters,
      },
    ];
  }
}

function totalsOf(all: readonly KnownSwarm[]): Totals {
  const sum = (read: (budget: KnownSwarm['context']['budget']) => number) =>
    all.reduce((total, { context }) => addUsd(total, read(context.budget)), 0);
  const spent_usd = sum(({ spent_usd }) => spent_usd);
  const overrun_usd = sum(({ overrun_usd }) => overrun_usd);
  return {
    swarms: all.length,
    open_circuits: all.filter(({ state }) => state.circuit === 'open').length,
    allocated_usd: sum(({ allocated_usd }) => allocated_usd),
    reserved_usd: sum(({ reserved_usd }) => reserved_usd),
    spent_usd,
    overrun_usd,
    cost_usd: addUsd(spent_usd, overrun_usd),
  };
}
