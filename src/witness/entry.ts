/**
 * One row of the witness. Everything but the two hashes is a pure function of one message and the name of its chain, so
 * that every replica of the witness derives the same rows. No message is ever skipped: what cannot be decoded becomes a
 * row too, with its bytes.
 */
import type { Json } from '../../machines/record.ts';
import { canonicalJson } from '../data/canonical.ts';
import { type ChainName, requireChain } from './chain-name.ts';
import { type Derived, derive } from './derive.ts';
import type { WitnessMessage } from './message.ts';
import { payloadOf } from './payload.ts';

/** A row before it is chained. `payload` is canonical JSON. */
export interface UnchainedEntry extends Derived {
  readonly chain: string;
  readonly seq: number;
  readonly timestamp: number;
  readonly payload: string;
}

/** A row. Both hashes are 64 lower-case hex digits. */
export interface Entry extends UnchainedEntry {
  readonly prev_hash: string;
  readonly content_hash: string;
}

/** The previous hash of the first entry of a first epoch. */
export const zeroHash = '0'.repeat(64);

export function entryOf(chain: string | ChainName, message: WitnessMessage): UnchainedEntry {
  const name = typeof chain === 'string' ? requireChain(chain) : chain;
  return rowOf(name, message) ?? unreadableRow(name, message);
}

function rowOf(name: ChainName, message: WitnessMessage): UnchainedEntry | undefined {
  try {
    const payload = payloadOf(name, message);
    const derived = payload === undefined ? undefined : derive(name, message.seq, payload);
    if (payload === undefined || derived === undefined) return undefined;
    return row(name, message.seq, message.time_ms, derived, canonicalJson(payload));
  } catch {
    // Whatever the bytes do to a decoder, the row of the undecoded message is the record of it.
    return undefined;
  }
}

/** The event of a message that could not be decoded. */
export const unreadableEvent = 'UNREADABLE';

function unreadableRow(name: ChainName, message: WitnessMessage): UnchainedEntry {
  const { buffer, byteOffset, byteLength } = message.body;
  const body = Buffer.from(buffer, byteOffset, byteLength).toString('base64');
  const payload: Json = { body, subject: message.subject.replace(/\p{Surrogate}/gu, '\ufffd') };
  return row(name, message.seq, message.time_ms, blank(unreadableEvent), canonicalJson(payload));
}

/** The event of a row that stands for missing messages. */
export const gapEvent = 'gap';
export type GapReason = 'trimmed' | 'lost';

/** A row that stands for the messages `first` to `last`; `timestamp` is that of the message after them. */
export function gapEntry(
  name: ChainName,
  first: number,
  last: number,
  reason: GapReason,
  timestamp: number,
): UnchainedEntry {
  return row(name, first, timestamp, blank(gapEvent), canonicalJson({ first_seq: first, last_seq: last, reason }));
}

/** Rows that the witness makes itself have no kind, which tells them from those of messages. */
export function blank(event: string): Derived {
  return {
    component: 'IF.witness',
    event,
    swarm_id: null,
    kind: null,
    actor_id: null,
    n: null,
    trace_id: null,
    tokens_in: null,
    tokens_out: null,
    cost_usd: null,
    model: null,
  };
}

function row(name: ChainName, seq: number, timestamp: number, derived: Derived, payload: string): UnchainedEntry {
  return { chain: `${name.label}/${name.epoch}`, seq, timestamp, ...derived, payload };
}
