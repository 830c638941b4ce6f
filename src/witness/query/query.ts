/**
 * Queries of the witness, in order of time, page by page. Every filter has an index; when several are given, the one that
 * matches the fewest rows leads, found by counting a bounded number of index entries.
 */
import type Sqlite from 'better-sqlite3';
import type { Json } from '../../../machines/record.ts';
import { FabricError } from '../../errors.ts';
import { columnNames } from '../columns.ts';
import type { Entry } from '../entry.ts';
import { type Indexed, indexes } from '../schema.ts';
import { type Cursor, readCursor, writeCursor } from './cursor.ts';

/** `since` and `until` are milliseconds since 1970, both inclusive; `id` is the actor's. */
export interface QueryFilter {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly swarm_id?: string | undefined;
  readonly event?: string | undefined;
  readonly component?: string | undefined;
  readonly trace_id?: string | undefined;
  readonly kind?: string | undefined;
  readonly id?: string | undefined;
  readonly order?: 'asc' | 'desc' | undefined;
  /** 1 to 1,000; 100 when absent. */
  readonly limit?: number | undefined;
  /** Of the page before; only together with the filters of that page. */
  readonly cursor?: string | undefined;
}

/** A row with its payload as a value. */
export type QueriedEntry = Omit<Entry, 'payload'> & { readonly payload: Json };

export interface QueryPage {
  readonly entries: QueriedEntry[];
  /** For the next page; null when this was the last. */
  readonly cursor: string | null;
}

export const defaultLimit = 100;
export const maxLimit = 1_000;

/** How many index entries are counted per filter, round by round, before the next best rule decides. */
const probeLimits = [256, 4_096];

interface Condition {
  readonly indexed: Indexed;
  readonly sql: string;
  readonly values: readonly (string | number)[];
}

/**
 * @throws FabricError INVALID_REQUEST for a limit, order, time or cursor that is not one; UNAVAILABLE when the file cannot
 *   be read.
 */
export function queryEntries(sqlite: Sqlite.Database, filter: QueryFilter): QueryPage {
  const limit = limitOf(filter);
  const rows = read(sqlite, filter, limit + 1);
  const entries = rows.slice(0, limit).map(entryOf);
  const last = entries.at(-1);
  return { entries, cursor: rows.length > limit && last ? writeCursor(orderOf(filter), last) : null };
}

/** The values of a row in the order of the columns. */
type Row = readonly unknown[];

function read(sqlite: Sqlite.Database, filter: QueryFilter, limit: number): Row[] {
  try {
    const { sql, values } = planQuery(sqlite, filter);
    return sqlite
      .prepare<unknown[], Row>(sql)
      .raw()
      .all(...values, limit);
  } catch (error) {
    if (error instanceof FabricError) throw error;
    throw new FabricError(
      'UNAVAILABLE',
      `the witness database cannot be read: ${String(error)}; verify it`,
      undefined,
      { cause: error },
    );
  }
}

/** Written out: objects that the driver makes take longer to read than the rows. */
function entryOf(row: Row): QueriedEntry {
  const [chain, seq, timestamp, component, event, swarm_id, kind, actor_id, n, trace_id, text, ...more] = row;
  return {
    chain,
    seq,
    timestamp,
    component,
    event,
    swarm_id,
    kind,
    actor_id,
    n,
    trace_id,
    payload: JSON.parse(text as string) as Json,
    tokens_in: more[0],
    tokens_out: more[1],
    cost_usd: more[2],
    model: more[3],
    prev_hash: more[4],
    content_hash: more[5],
  } as QueriedEntry;
}

/** The statement of a query; its last parameter is the number of rows. */
export function planQuery(sqlite: Sqlite.Database, filter: QueryFilter): { sql: string; values: (string | number)[] } {
  const order = orderOf(filter);
  const cursor = filter.cursor === undefined ? undefined : readCursor(filter.cursor, order);
  const equal = equalities(filter);
  const range = timeRange(filter, cursor, order);
  const index = indexes[leading(sqlite, equal, range)];
  const where = [...equal, ...range].map((condition) => condition.sql);
  const values = [...equal, ...range].flatMap((condition) => condition.values);
  if (cursor) {
    where.push(`(timestamp, chain, seq) ${order === 'asc' ? '>' : '<'} (?, ?, ?)`);
    values.push(cursor.timestamp, cursor.chain, cursor.seq);
  }
  const direction = order.toUpperCase();
  const sql = `SELECT ${columnNames} FROM entries INDEXED BY ${index.name}${where.length > 0 ? ` WHERE ${where.join(' AND ')}` : ''}
    ORDER BY timestamp ${direction}, chain ${direction}, seq ${direction} LIMIT ?`;
  return { sql, values };
}

/** The index to walk along. Ties are settled by the order in which `equalities` lists the filters. */
function leading(sqlite: Sqlite.Database, equal: readonly Condition[], range: readonly Condition[]): Indexed {
  const first = equal[0];
  if (!first) return 'timestamp';
  if (equal.length === 1) return first.indexed;
  for (const limit of probeLimits) {
    let best: { indexed: Indexed; matches: number } | undefined;
    for (const condition of equal) {
      const matches = countUpTo(sqlite, [condition, ...range], limit);
      if (matches < (best?.matches ?? limit)) best = { indexed: condition.indexed, matches };
    }
    if (best) return best.indexed;
  }
  return first.indexed;
}

/** How many rows meet the conditions, by the index of the first, up to `limit`. */
function countUpTo(sqlite: Sqlite.Database, conditions: readonly [Condition, ...Condition[]], limit: number): number {
  const where = conditions.map((condition) => condition.sql).join(' AND ');
  const values = conditions.flatMap((condition) => condition.values);
  const sql = `SELECT count(*) AS n FROM (SELECT 1 FROM entries INDEXED BY ${indexes[conditions[0].indexed].name} WHERE ${where} LIMIT ?)`;
  return sqlite.prepare<unknown[], { n: number }>(sql).get(...values, limit)?.n ?? 0;
}

/** The filters by value, those that tend to match few rows first. */
function equalities(filter: QueryFilter): Condition[] {
  const given: ReadonlyArray<readonly [Indexed, string | undefined]> = [
    ['trace_id', filter.trace_id],
    ['actor_id', filter.id],
    ['swarm_id', filter.swarm_id],
    ['event', filter.event],
    ['component', filter.component],
    ['kind', filter.kind],
  ];
  return given.flatMap(([indexed, value]) =>
    value === undefined ? [] : [{ indexed, sql: `${indexed} = ?`, values: [value] }],
  );
}

function timeRange(filter: QueryFilter, cursor: Cursor | undefined, order: 'asc' | 'desc'): Condition[] {
  const lower = [filter.since, order === 'asc' ? cursor?.timestamp : undefined].filter((time) => time !== undefined);
  const upper = [filter.until, order === 'desc' ? cursor?.timestamp : undefined].filter((time) => time !== undefined);
  for (const time of [...lower, ...upper]) {
    if (!Number.isFinite(time))
      throw new FabricError('INVALID_REQUEST', `${time} is not a time; send milliseconds since 1970`);
  }
  const range: Condition[] = [];
  if (lower.length > 0) range.push({ indexed: 'timestamp', sql: 'timestamp >= ?', values: [Math.max(...lower)] });
  if (upper.length > 0) range.push({ indexed: 'timestamp', sql: 'timestamp <= ?', values: [Math.min(...upper)] });
  return range;
}

function limitOf({ limit = defaultLimit }: QueryFilter): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= maxLimit) return limit;
  throw new FabricError(
    'INVALID_REQUEST',
    `limit is ${limit}; send a whole number from 1 to ${maxLimit}, and go on with the cursor`,
  );
}

function orderOf({ order = 'asc' }: QueryFilter): 'asc' | 'desc' {
  if (order === 'asc' || order === 'desc') return order;
  throw new FabricError('INVALID_REQUEST', `order is ${JSON.stringify(order)}; send "asc" or "desc"`);
}
