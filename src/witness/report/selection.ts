/**
 * Which entries a report is about: the filters of a query as a condition of SQL, for reports that read all entries that
 * match instead of page by page. Which index leads is left to SQLite.
 */
import type Sqlite from 'better-sqlite3';
import { FabricError } from '../../errors.ts';
import { hasTable } from '../contents.ts';
import type { QueryFilter } from '../query/query.ts';

/** The filters of a query without its paging. */
export type Selection = Pick<
  QueryFilter,
  'since' | 'until' | 'swarm_id' | 'event' | 'component' | 'trace_id' | 'kind' | 'id'
>;

export interface Condition {
  /** True for all entries where nothing was asked for. */
  readonly sql: string;
  readonly values: readonly (string | number)[];
}

/** @throws FabricError INVALID_REQUEST for a time that is not one */
export function conditionOf(selection: Selection): Condition {
  const { since, until } = selection;
  for (const time of [since, until]) {
    if (time !== undefined && !Number.isFinite(time))
      throw new FabricError('INVALID_REQUEST', `${time} is not a time; send milliseconds since 1970`);
  }
  const asked: ReadonlyArray<readonly [string, string | number | undefined]> = [
    ['timestamp >= ?', since],
    ['timestamp <= ?', until],
    ['swarm_id = ?', selection.swarm_id],
    ['event = ?', selection.event],
    ['component = ?', selection.component],
    ['trace_id = ?', selection.trace_id],
    ['kind = ?', selection.kind],
    ['actor_id = ?', selection.id],
  ];
  const given = asked.flatMap(([sql, value]) => (value === undefined ? [] : [{ sql, value }]));
  return {
    sql: given.length === 0 ? 'true' : given.map(({ sql }) => sql).join(' AND '),
    values: given.map(({ value }) => value),
  };
}

/** Chains whose beginning was removed behind a signed head, with the last number that is gone. */
export function prunedChains(sqlite: Sqlite.Database): { chain: string; seq: number }[] {
  if (!hasTable(sqlite, 'pruned')) return [];
  return sqlite.prepare<[], { chain: string; seq: number }>('SELECT chain, seq FROM pruned ORDER BY chain').all();
}
