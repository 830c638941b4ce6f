/**
 * The epoch of a fabric's log. The first message of every audited stream is its epoch record; a stream without one has
 * lost everything, and nobody may write to it before a new epoch is opened.
 */
import { randomUUID } from 'node:crypto';
import { headers, type NatsConnection } from '@nats-io/nats-core';
import { backOff } from '../backoff.ts';
import { answerOf, jsCode, type PublishAnswer } from '../bus/jetstream-answer.ts';
import { packBytes } from '../data/codec.ts';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import { type Epoch, makeEpochRecord, readEpochRecord } from '../witness/epoch.ts';
import { StreamReader } from './stream-reader.ts';

/** What the witness knows of the past of one audited stream. */
export interface KnownPast {
  readonly epoch: number;
  readonly head: string;
}

const zeros = '0'.repeat(64);

/** The epoch of the actors' log. @throws FabricError UNAVAILABLE when the log has none: everything in it was lost */
export async function readEpoch(nc: NatsConnection, ns: Namespace): Promise<Epoch> {
  const epoch = await firstEpoch(nc, ns.actorsStream, `$KV.${ns.actorsBucket}.>`);
  if (epoch) return epoch;
  throw new FabricError(
    'UNAVAILABLE',
    `the log ${ns.actorsStream} has no epoch record: the cluster lost its memory. Start the fabric again with \`infrafabric up\`.`,
    { lost: true },
  );
}

/**
 * Opens an epoch on every audited stream that has none; `past` is what the witness knows, by chain label. Answers with the
 * epoch of the actors' log and whether it was opened now. Safe to call from several processes: one of them opens it.
 */
export async function establishEpoch(
  nc: NatsConnection,
  ns: Namespace,
  past: ReadonlyMap<string, KnownPast>,
  now: number,
): Promise<{ epoch: Epoch; opened: boolean }> {
  const present = await firstEpoch(nc, ns.actorsStream, `$KV.${ns.actorsBucket}.>`);
  const last = Math.max(0, ...[...past.values()].map(({ epoch }) => epoch));
  const number = present?.epoch ?? last + 1;
  const id = present?.epoch_id ?? randomUUID();
  await Promise.all(
    auditedSubjects(ns, number).map(async ({ label, stream, subject, first }) => {
      const previous_head = past.get(label)?.head ?? zeros;
      if (!(await firstEpoch(nc, stream, first)))
        await open(nc, stream, subject, { epoch: number, epoch_id: id, previous_head }, now);
    }),
  );
  return { epoch: await readEpoch(nc, ns), opened: !present };
}

function auditedSubjects(
  ns: Namespace,
  epoch: number,
): Array<{ label: string; stream: string; subject: string; first: string }> {
  return [
    {
      label: ns.actorsBucket,
      stream: ns.actorsStream,
      subject: ns.actorSubject({ kind: 'epoch', id: String(epoch) }),
      first: `$KV.${ns.actorsBucket}.>`,
    },
    {
      label: ns.busBucket,
      stream: ns.busStream,
      subject: `$KV.${ns.busBucket}._epoch.${epoch}`,
      first: `$KV.${ns.busBucket}.>`,
    },
    {
      label: ns.journalStream,
      stream: ns.journalStream,
      subject: ns.journalSubject(`_epoch.${epoch}`),
      first: `${ns.root}.journal.>`,
    },
  ];
}

async function firstEpoch(nc: NatsConnection, stream: string, subject: string): Promise<Epoch | undefined> {
  const first = await new StreamReader(nc, stream).next(subject, 1);
  if (!first) return undefined;
  const epoch = readEpochRecord(first.record);
  if (epoch && first.revision === 1) return epoch;
  throw new FabricError(
    'UNAVAILABLE',
    `the first message of ${stream} is not an epoch record: the cluster lost its memory while writers went on, or the stream is not of this fabric. Use another namespace, or remove the stream.`,
    { lost: true },
  );
}

async function open(nc: NatsConnection, stream: string, subject: string, epoch: Epoch, now: number): Promise<void> {
  const record = makeEpochRecord(epoch, now);
  const h = headers();
  h.set('Nats-Msg-Id', `epoch:${epoch.epoch}:${epoch.epoch_id}`);
  h.set('Nats-Expected-Last-Subject-Sequence', '0');
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = answerOf<PublishAnswer>(
        await nc.request(subject, packBytes(record), { headers: h, timeout: 1_000 }),
      );
      if (!answer.error || answer.error.err_code === jsCode.wrongLastSequence) return;
    } catch (error) {
      if (attempt >= 20)
        throw new FabricError('UNAVAILABLE', `the epoch of ${stream} could not be opened`, undefined, { cause: error });
    }
    await backOff({ first: 10, max: 500 }, attempt);
  }
}
