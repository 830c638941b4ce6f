/** Checks of the single fields of a row: their types, and whether the columns say what the payload says. */
import { columns, type Stored } from '../columns.ts';
import type { Derived } from '../derive.ts';
import type { Entry } from '../entry.ts';

/** The place of each column in a row. */
export const at = Object.fromEntries(columns.map((column, index) => [column.name, index])) as Record<
  keyof Entry,
  number
>;

const maxSafe = BigInt(Number.MAX_SAFE_INTEGER);
const none: readonly string[] = [];

/** What is wrong with the types of a row's values; empty when nothing is. */
export function wrongTypes(row: readonly Stored[]): readonly string[] {
  let wrong: string[] | undefined;
  for (let index = 0; index < columns.length; index++) {
    const column = columns[index] as (typeof columns)[number];
    const value = row[index] ?? null;
    if (value === null ? column.nullable : hasType(value, column.type)) continue;
    wrong ??= [];
    wrong.push(
      `${column.name} is ${typeName(value)}; the witness writes ${column.type}${column.nullable ? ' or NULL' : ''}`,
    );
  }
  return wrong ?? none;
}

/** The first column that does not say what the payload says. */
export function differingColumn(row: readonly Stored[], derived: Derived): keyof Derived | undefined {
  if (row[at.event] !== derived.event) return 'event';
  if (row[at.component] !== derived.component) return 'component';
  if (row[at.swarm_id] !== derived.swarm_id) return 'swarm_id';
  if (row[at.kind] !== derived.kind) return 'kind';
  if (row[at.actor_id] !== derived.actor_id) return 'actor_id';
  if (row[at.trace_id] !== derived.trace_id) return 'trace_id';
  if (row[at.model] !== derived.model) return 'model';
  if (row[at.cost_usd] !== derived.cost_usd) return 'cost_usd';
  if (!sameInteger(row[at.n], derived.n)) return 'n';
  if (!sameInteger(row[at.tokens_in], derived.tokens_in)) return 'tokens_in';
  if (!sameInteger(row[at.tokens_out], derived.tokens_out)) return 'tokens_out';
  return undefined;
}

function sameInteger(stored: Stored | undefined, derived: number | null): boolean {
  return derived === null ? stored === null : typeof stored === 'bigint' && Number(stored) === derived;
}

function hasType(value: Exclude<Stored, null>, type: 'INTEGER' | 'REAL' | 'TEXT'): boolean {
  if (type === 'TEXT') return typeof value === 'string';
  return type === 'REAL' ? typeof value === 'number' : isSafeInteger(value);
}

export function isSafeInteger(value: Stored | undefined): value is bigint {
  return typeof value === 'bigint' && value <= maxSafe && value >= -maxSafe;
}

function typeName(value: Stored): string {
  if (value === null) return 'NULL';
  if (typeof value === 'bigint') return isSafeInteger(value) ? 'INTEGER' : 'an INTEGER beyond 2^53 - 1';
  if (typeof value === 'number') return 'REAL';
  return typeof value === 'string' ? 'TEXT' : 'BLOB';
}
