/**
 * Epoch records: the first message of every audited stream. They tell a stream that lost everything (its numbers start
 * over) from one that goes on, and tie the chain of one epoch to the last head of the epoch before.
 */
import type { ActorRecord } from '../../machines/record.ts';
import { FabricError } from '../errors.ts';

/** What an epoch record says. */
export interface Epoch {
  /** Counted from 1. */
  readonly epoch: number;
  /** Random, the same on all streams of a fabric. */
  readonly epoch_id: string;
  /** The last head of this stream's chain in the epoch before; 64 zeros in the first. */
  readonly previous_head: string;
}

export const epochKind = 'epoch';
const version = 1;
const hash = /^[0-9a-f]{64}$/;

/**
 * The record that opens an epoch; an ordinary record of the actor `epoch:<number>`. `at` is milliseconds since 1970.
 * @throws FabricError INVALID_REQUEST when a field is malformed.
 */
export function makeEpochRecord(epoch: Epoch, at: number): ActorRecord {
  if (!isEpoch(epoch)) {
    throw new FabricError(
      'INVALID_REQUEST',
      `${JSON.stringify(epoch)} is not an epoch: epoch counts from 1, epoch_id is a text, previous_head 64 hex digits`,
    );
  }
  const facts = { epoch: epoch.epoch, epoch_id: epoch.epoch_id, previous_head: epoch.previous_head };
  return {
    v: version,
    kind: epochKind,
    id: String(epoch.epoch),
    n: 1,
    event: { id: epoch.epoch_id, type: 'EPOCH', ...facts },
    at,
    by: 'IF.fabric',
    trace_id: epoch.epoch_id,
    snapshot: { status: 'done', value: 'open', context: facts },
  };
}

/** What an epoch record says; undefined when the value is not one. */
export function readEpochRecord(value: unknown): Epoch | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { kind, event } = value as { kind?: unknown; event?: unknown };
  if (kind !== epochKind || typeof event !== 'object' || event === null) return undefined;
  const { type, epoch, epoch_id, previous_head } = event as Record<string, unknown>;
  const facts = { epoch, epoch_id, previous_head };
  return type === 'EPOCH' && isEpoch(facts) ? facts : undefined;
}

export function isEpochRecord(value: unknown): boolean {
  return readEpochRecord(value) !== undefined;
}

function isEpoch(facts: { epoch: unknown; epoch_id: unknown; previous_head: unknown }): facts is Epoch {
  const { epoch, epoch_id, previous_head } = facts;
  if (!Number.isSafeInteger(epoch) || (epoch as number) < 1) return false;
  return (
    typeof epoch_id === 'string' && epoch_id !== '' && typeof previous_head === 'string' && hash.test(previous_head)
  );
}
