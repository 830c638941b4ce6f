/**
 * A row of the witness as a replay reads it: the record that it holds, and whether the row still is what its hash says.
 * Nothing here throws for what a row holds; what is wrong with it is part of the answer.
 */
import type { ActorRecord, StateValue } from '../../../machines/record.ts';
import { type ChainName, parseChain } from '../chain-name.ts';
import { columns, hashedColumns, type Stored } from '../columns.ts';
import type { RowHasher } from '../hash.ts';

/** The place of an entry. */
export interface Place {
  readonly chain: string;
  readonly seq: number;
}

export interface ReplayRow extends Place {
  readonly name: ChainName;
  readonly timestamp: number;
  readonly event: string;
  readonly kind: string;
  readonly n: number;
  readonly content_hash: string;
  /** Set where it was kept when the rows before it, and itself, were pruned. */
  readonly isKept?: true;
  /** What the payload holds; undefined when it is no record of the actor that the row names. */
  readonly record: ActorRecord | undefined;
  /** Why the row is not what its witness wrote, as far as the row alone shows. */
  readonly altered: string | undefined;
}

/** The witness writes nothing that is nested deeper. */
const maxDepth = 256;

const place = Object.fromEntries(columns.map(({ name }, index) => [name, index])) as Record<string, number>;

/** Reads a row of the columns in their order, integers as bigints; undefined when it is not of a chain of actors. */
export function readReplayRow(hasher: RowHasher, row: readonly Stored[]): ReplayRow | undefined {
  const value = (column: string): Stored => row[place[column] ?? -1] ?? null;
  const chain = String(value('chain'));
  const name = parseChain(chain);
  if (name?.stream !== 'actors') return undefined;
  const [kind, id, n] = [String(value('kind')), value('actor_id'), Number(value('n'))];
  const content_hash = String(value('content_hash'));
  const payload = parse(value('payload'));
  const isRecord = isActorRecord(payload);
  const isOwn = isRecord && payload.kind === kind && payload.id === id && payload.n === n;
  const altered =
    hasher.hash(row, hashedColumns) === content_hash
      ? isRecord && !isOwn
        ? 'its columns name another record than its payload'
        : undefined
      : 'its content_hash is not that of its fields';
  return {
    chain,
    name,
    seq: Number(value('seq')),
    timestamp: Number(value('timestamp')),
    event: String(value('event')),
    kind,
    n,
    content_hash,
    record: isOwn ? payload : undefined,
    altered,
  };
}

/** Whether one entry comes before another: by epoch, then by number. */
export function comesBefore(a: { name: ChainName; seq: number }, b: { name: ChainName; seq: number }): boolean {
  if (a.name.label !== b.name.label) return a.name.label < b.name.label;
  return a.name.epoch === b.name.epoch ? a.seq < b.seq : a.name.epoch < b.name.epoch;
}

function parse(text: Stored): unknown {
  try {
    const value: unknown = JSON.parse(String(text));
    return nestsAtMost(value, maxDepth) ? value : undefined;
  } catch {
    return undefined;
  }
}

function nestsAtMost(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth === 0) return false;
  for (const item of Object.values(value)) if (!nestsAtMost(item, depth - 1)) return false;
  return true;
}

function isActorRecord(value: unknown): value is ActorRecord {
  if (!isObject(value)) return false;
  const { v, kind, id, n, event, at, snapshot } = value;
  if (!Number.isSafeInteger(v) || !Number.isSafeInteger(n) || typeof at !== 'number') return false;
  if (typeof kind !== 'string' || typeof id !== 'string') return false;
  if (!isObject(event) || typeof event['type'] !== 'string' || !isObject(snapshot)) return false;
  const { status, value: state, context } = snapshot;
  return (status === 'active' || status === 'done') && isStateValue(state) && isObject(context);
}

function isStateValue(value: unknown): value is StateValue {
  return typeof value === 'string' || (isObject(value) && Object.values(value).every(isStateValue));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
