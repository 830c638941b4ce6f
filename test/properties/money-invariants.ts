/**
 * Money: what is spent and reserved never exceeds what is allocated, in any record; and what tasks and charges have cost,
 * each told once in the log, is what the budgets say was spent, to the micro-dollar.
 */
import { expect } from 'vitest';
import { formatRef } from '../../machines/address.ts';
import type { Budget } from '../../machines/budget.ts';
import type { Cost } from '../../machines/cost.ts';
import type { FleetContext } from '../../machines/fleet/context.ts';
import { addUsd } from '../../machines/money.ts';
import { type ActorRecord, stateName } from '../../machines/record.ts';
import type { SwarmContext } from '../../machines/swarm/context.ts';
import { ownedStates, type TaskContext } from '../../machines/task/context.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';

/** Checks every record, and the sums after each commit. */
export function checkMoney(commits: ReadonlyArray<readonly StoredRecord[]>): void {
  const sums = new Sums();
  for (const commit of commits) {
    for (const { record } of commit) {
      checkBounds(record);
      sums.apply(record);
    }
    sums.check(commit.map(({ record }) => `${record.event.type} of ${formatRef(record)}`).join(', '));
  }
}

function checkBounds(record: ActorRecord): void {
  if (record.kind !== 'swarm' && record.kind !== 'fleet') return;
  const { budget } = record.snapshot.context as { budget: Budget | null };
  if (budget === null) return;
  const what = `${record.event.type} of ${formatRef(record)}: ${JSON.stringify(budget)}`;
  const { allocated_usd, reserved_usd, spent_usd, overrun_usd, hour, day } = budget;
  for (const amount of [reserved_usd, spent_usd, overrun_usd, hour?.spent_usd ?? 0, day?.spent_usd ?? 0])
    expect(amount, what).toBeGreaterThanOrEqual(0);
  expect(addUsd(spent_usd, reserved_usd), what).toBeLessThanOrEqual(allocated_usd);
}

class Sums {
  readonly #tasks = new Map<string, { readonly state: string; readonly context: TaskContext }>();
  readonly #swarms = new Map<string, SwarmContext>();
  /** What each swarm was told to have cost. */
  readonly #told = new Map<string, number>();
  #fleet: FleetContext | undefined;
  /** What the fabric-wide budget was told, since there is one. */
  #toldFleet = 0;

  apply({ kind, id, event, snapshot }: ActorRecord): void {
    const { cost } = event as { cost?: Cost | null };
    if (kind === 'task') {
      const context = snapshot.context as TaskContext;
      this.#tasks.set(id, { state: stateName(snapshot.value), context });
      if (cost) this.#tell(context.owner!, cost.cost_usd);
    } else if (kind === 'swarm') {
      this.#swarms.set(id, snapshot.context as SwarmContext);
      if (cost) this.#tell(id, cost.cost_usd);
    } else if (kind === 'fleet') {
      const before = this.#fleet?.budget ?? null;
      this.#fleet = snapshot.context as FleetContext;
      const { type, cost_usd = 0, amount_usd = 0 } = event as { type: string; cost_usd?: number; amount_usd?: number };
      if (before === null) this.#toldFleet = 0;
      else if (type === 'SETTLE') this.#toldFleet = addUsd(this.#toldFleet, cost_usd);
      else if (type === 'CHARGE') this.#toldFleet = addUsd(this.#toldFleet, amount_usd);
    }
  }

  check(what: string): void {
    for (const [id, { budget }] of this.#swarms)
      expect(addUsd(budget.spent_usd, budget.overrun_usd), `${what}: what ${id} has spent`).toBe(
        this.#told.get(id) ?? 0,
      );
    if (!this.#fleet) return;
    const { budget, unbudgeted_usd } = this.#fleet;
    if (budget)
      expect(addUsd(budget.spent_usd, budget.overrun_usd), `${what}: what all have spent`).toBe(this.#toldFleet);
    const owned = [...this.#tasks.values()].filter(({ state }) => (ownedStates as readonly string[]).includes(state));
    const held = owned.reduce((sum, { context }) => addUsd(sum, context.fleet_reserved_usd ?? 0), 0);
    expect(budget?.reserved_usd ?? unbudgeted_usd, `${what}: the fabric holds what the tasks say`).toBe(held);
  }

  #tell(swarm_id: string, cost_usd: number): void {
    this.#told.set(swarm_id, addUsd(this.#told.get(swarm_id) ?? 0, cost_usd));
  }
}
