/** Messages as the streams hold them, for tests of the witness. */
import type { ActorRecord, Json } from '../../machines/record.ts';
import { encodeBody, packBytes } from '../../src/data/codec.ts';
import { makeEpochRecord } from '../../src/witness/epoch.ts';
import type { WitnessMessage } from '../../src/witness/message.ts';

export const actors = 'IF_actors/1';
export const startedAt = 1_763_700_000_000;
export const never = () => {
  throw new Error('there is no gap');
};

const events = ['CREATE', 'CLAIM', 'START', 'COMPLETE'];

export function taskRecord(seq: number, fields: Partial<ActorRecord> = {}): ActorRecord {
  const n = ((seq - 1) % events.length) + 1;
  const type = events[n - 1] ?? '';
  const cost = type === 'COMPLETE' ? { cost: { cost_usd: 0.25, tokens_in: 1200, tokens_out: 80, model: 'm-1' } } : {};
  return {
    v: 1,
    kind: 'task',
    id: `t-${Math.floor((seq - 1) / events.length)}`,
    n,
    event: { id: `e-${seq}`, type, ...cost },
    at: startedAt + seq,
    by: `swarm-${seq % 3}`,
    trace_id: `trace-${seq % 7}`,
    snapshot: {
      status: 'active',
      value: 'claimed',
      context: { owner: 'a', title: 'ünïcödé 🐝', nothing: null, empty: '' },
    },
    ...fields,
  };
}

export function actorMessage(
  seq: number,
  record: ActorRecord = taskRecord(seq),
  time = startedAt + seq,
): WitnessMessage {
  return { seq, time_ms: time, subject: `$KV.IF_actors.${record.kind}.${record.id}`, body: packBytes(record) };
}

export function actorMessages(first: number, last: number): WitnessMessage[] {
  return Array.from({ length: last - first + 1 }, (_, at) => actorMessage(first + at));
}

export function epochMessage(epoch: number, previous_head: string): WitnessMessage {
  return actorMessage(1, makeEpochRecord({ epoch, epoch_id: `id-of-${epoch}`, previous_head }, startedAt));
}

export function journalMessage(seq: number, body: { [key: string]: Json }): WitnessMessage {
  return { seq, time_ms: startedAt + seq, subject: 'if.journal.swarm-1', body: encodeBody(body, 'json') };
}

export function busMessage(
  seq: number,
  key: string,
  body: Uint8Array,
  headers: Record<string, string> = {},
): WitnessMessage {
  return {
    seq,
    time_ms: startedAt + seq,
    subject: `$KV.IF_bus.${key}`,
    headers: new Map(Object.entries(headers)),
    body,
  };
}
