/**
 * A record as a message: MessagePack body, and headers from which a subscriber can act without decoding it. The message
 * id, made of key, revision and event id, lets the server recognise a repeated write.
 */
import { headers, type MsgHdrs } from '@nats-io/nats-core';
import { formatRef } from '../../machines/address.ts';
import { type ActorRecord, stateName } from '../../machines/record.ts';
import { packBytes, unpackBytes } from '../data/codec.ts';
import { FabricError } from '../errors.ts';
import { maxWrites, type Write } from './record-log.ts';

export const messageIdHeader = 'Nats-Msg-Id';
export const expectedRevisionHeader = 'Nats-Expected-Last-Subject-Sequence';

/** The bodies of the writes of one commit. @throws FabricError PAYLOAD_TOO_LARGE */
export function packWrites(writes: readonly Write[], maxBytes: number): Array<{ write: Write; body: Uint8Array }> {
  if (writes.length === 0 || writes.length > maxWrites) {
    throw new FabricError('PAYLOAD_TOO_LARGE', `a commit holds 1 to ${maxWrites} transitions, not ${writes.length}`);
  }
  return writes.map((write) => {
    const body = packBytes(write.record);
    if (body.length <= maxBytes) return { write, body };
    throw new FabricError(
      'PAYLOAD_TOO_LARGE',
      `the record of ${formatRef(write.record)} would take ${body.length} bytes, the limit is ${maxBytes}; send less data in one request`,
    );
  });
}

/** Headers of a write. `compare` is false for all but the first write of an actor in one commit. */
export function headersOf(write: Write, compare: boolean): MsgHdrs {
  const { record } = write;
  const h = headers();
  h.set('IF-Kind', record.kind);
  h.set('IF-State', stateName(record.snapshot.value));
  h.set('IF-Event', record.event.type);
  h.set('IF-N', String(record.n));
  h.set('IF-By', record.by);
  h.set('IF-Trace', record.trace_id);
  if (record.kind === 'task') setTaskHeaders(h, record.snapshot.context as TaskFacts);
  h.set(messageIdHeader, messageIdOf(write));
  if (compare) h.set(expectedRevisionHeader, String(write.expected));
  return h;
}

interface TaskFacts {
  readonly task_type: string;
  readonly owner: string | null;
  readonly priority: number;
  readonly depends_on: readonly string[];
}

function setTaskHeaders(h: MsgHdrs, task: TaskFacts): void {
  h.set('IF-Type', task.task_type);
  if (task.owner) h.set('IF-Owner', task.owner);
  h.set('IF-Priority', String(task.priority));
  // Whoever trims the log must know which tasks keep others, without decoding all of them.
  if (task.depends_on.length > 0) h.set('IF-Depends', String(task.depends_on.length));
}

function messageIdOf({ record, expected }: Write): string {
  return `${record.kind}.${record.id}:${expected}:${record.n}:${record.event.id}`;
}

/** Reads the body of a message that the fabric wrote. */
export function recordFrom(body: Uint8Array): ActorRecord {
  return unpackBytes(body) as ActorRecord;
}
