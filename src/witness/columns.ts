/**
 * The columns of a row in the order in which they are stored and hashed, with the SQLite types that each may hold.
 * `content_hash` comes last and is not hashed.
 */
import type { Entry, UnchainedEntry } from './entry.ts';

/** A value as SQLite stores it: INTEGER is a bigint and REAL a number, so that the two are never confused. */
export type Stored = null | bigint | number | string | Uint8Array;

/** A row before it is chained, whose payload may be given as the UTF-8 of its text. */
export type UnchainedRow = Omit<UnchainedEntry, 'payload'> & { readonly payload: string | Uint8Array };

export type StorageType = 'INTEGER' | 'REAL' | 'TEXT';

export interface Column {
  readonly name: keyof Entry;
  readonly type: StorageType;
  readonly nullable: boolean;
}

const column = (name: keyof Entry, type: StorageType, nullable: boolean): Column => ({ name, type, nullable });

export const columns: readonly Column[] = [
  column('chain', 'TEXT', false),
  column('seq', 'INTEGER', false),
  column('timestamp', 'INTEGER', false),
  column('component', 'TEXT', false),
  column('event', 'TEXT', false),
  column('swarm_id', 'TEXT', true),
  column('kind', 'TEXT', true),
  column('actor_id', 'TEXT', true),
  column('n', 'INTEGER', true),
  column('trace_id', 'TEXT', true),
  column('payload', 'TEXT', false),
  column('tokens_in', 'INTEGER', true),
  column('tokens_out', 'INTEGER', true),
  column('cost_usd', 'REAL', true),
  column('model', 'TEXT', true),
  column('prev_hash', 'TEXT', false),
  column('content_hash', 'TEXT', false),
];

/** How many columns the hash covers. */
export const hashedColumns = columns.length - 1;

export const columnNames = columns.map((each) => each.name).join(', ');

/** The hashed values of a row, in order. */
export function storedValues(entry: Omit<Entry, 'content_hash'>): Stored[] {
  return chainedValues(entry, entry.prev_hash);
}

/** The hashed values of a row that follows `prev_hash`, in order; a payload that is given as bytes stays so. */
export function chainedValues(entry: UnchainedRow, prev_hash: string): Stored[] {
  return [
    entry.chain,
    BigInt(entry.seq),
    BigInt(entry.timestamp),
    entry.component,
    entry.event,
    entry.swarm_id,
    entry.kind,
    entry.actor_id,
    integer(entry.n),
    entry.trace_id,
    entry.payload,
    integer(entry.tokens_in),
    integer(entry.tokens_out),
    entry.cost_usd,
    entry.model,
    prev_hash,
  ];
}

function integer(value: number | null): bigint | null {
  return value === null ? null : BigInt(value);
}
