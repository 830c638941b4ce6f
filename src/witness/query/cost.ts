/**
 * What work cost, added up by swarm, model, component or day. Sums are exact: dollars are added as whole micro-dollars,
 * tokens as whole numbers, however many there are.
 */
import type Sqlite from 'better-sqlite3';
import { fromMicros, toMicros } from '../../../machines/money.ts';
import { FabricError } from '../../errors.ts';
import type { Selection } from '../report/selection.ts';
import { type CostEntry, costEntries } from './cost-entries.ts';

export const costGroupings = ['swarm', 'model', 'component', 'day'] as const;
export type CostGrouping = (typeof costGroupings)[number];

export interface CostSums {
  readonly cost_usd: number;
  readonly tokens_in: number;
  readonly tokens_out: number;
  /** How many entries told or paid a cost. */
  readonly entries: number;
}

/** Under the name of what it is grouped by; null where entries do not say it. A day is `2026-01-31`, in UTC. */
export type CostGroup = CostSums & {
  readonly [Field in 'swarm_id' | 'model' | 'component' | 'day']?: string | null;
};

export interface CostReport {
  readonly by: CostGrouping;
  /** The most expensive first; days in their order. */
  readonly groups: readonly CostGroup[];
  readonly total: CostSums;
}

/** The field of a group that says what it is of. */
export const groupField = {
  swarm: 'swarm_id',
  model: 'model',
  component: 'component',
  day: 'day',
} as const satisfies Record<CostGrouping, keyof CostGroup>;

const dayMs = 86_400_000;

const keyOf: Readonly<Record<CostGrouping, (entry: CostEntry) => string | null>> = {
  swarm: (entry) => entry.swarm_id,
  model: (entry) => entry.model,
  component: (entry) => entry.component,
  day: (entry) => dayOf(entry.timestamp),
};

/** @throws FabricError INVALID_REQUEST for a grouping or a time that is not one */
export function costReport(sqlite: Sqlite.Database, by: CostGrouping, selection: Selection = {}): CostReport {
  return costReports(sqlite, [by], selection)[0]!;
}

/** Several groupings in one pass over the entries. @throws FabricError as `costReport` */
export function costReports(
  sqlite: Sqlite.Database,
  groupings: readonly CostGrouping[],
  selection: Selection = {},
): CostReport[] {
  for (const by of groupings) requireGrouping(by);
  const sums = groupings.map((by) => ({ by, groups: new Map<string | null, Sum>(), total: new Sum() }));
  for (const entry of costEntries(sqlite, selection)) {
    for (const { by, groups, total } of sums) {
      const key = keyOf[by](entry);
      const group = groups.get(key) ?? new Sum();
      groups.set(key, group);
      group.add(entry);
      total.add(entry);
    }
  }
  return sums.map(({ by, groups, total }) => ({
    by,
    groups: [...groups].sort(by === 'day' ? inOrder : byCost).map(([key, sum]) => {
      return { [groupField[by]]: key, ...sum.result() } as CostGroup;
    }),
    total: total.result(),
  }));
}

/** The day of a time in UTC; null for what is no time. */
export function dayOf(timestamp: number): string | null {
  const day = new Date(Math.floor(timestamp / dayMs) * dayMs);
  return Number.isNaN(day.getTime()) ? null : day.toISOString().slice(0, -14);
}

class Sum {
  micros = 0n;
  #tokensIn = 0n;
  #tokensOut = 0n;
  #entries = 0;

  add({ cost_usd, tokens_in, tokens_out }: CostEntry): void {
    this.micros += whole(toMicros(cost_usd ?? 0));
    this.#tokensIn += whole(tokens_in ?? 0);
    this.#tokensOut += whole(tokens_out ?? 0);
    this.#entries += 1;
  }

  result(): CostSums {
    return {
      cost_usd: fromMicros(Number(this.micros)),
      tokens_in: Number(this.#tokensIn),
      tokens_out: Number(this.#tokensOut),
      entries: this.#entries,
    };
  }
}

/** What an altered file holds need not be an amount at all. */
function whole(value: number): bigint {
  return Number.isInteger(value) ? BigInt(value) : 0n;
}

type Grouped = readonly [string | null, Sum];

function byCost(a: Grouped, b: Grouped): number {
  if (a[1].micros !== b[1].micros) return a[1].micros > b[1].micros ? -1 : 1;
  return inOrder(a, b);
}

/** What does not say it comes last. */
function inOrder([a]: Grouped, [b]: Grouped): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return a < b ? -1 : 1;
}

function requireGrouping(by: string): asserts by is CostGrouping {
  if ((costGroupings as readonly string[]).includes(by)) return;
  throw new FabricError(
    'INVALID_REQUEST',
    `costs cannot be added up by ${JSON.stringify(by.slice(0, 80))}; choose one of ${costGroupings.join(', ')}`,
  );
}
