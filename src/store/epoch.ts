/**
 * The epoch of a fabric's log. The first message of every audited stream is its epoch record; a stream without one has
 * lost everything, and nobody may write to it before a new epoch is opened.
 */
import { randomUUID } from 'node:crypto';
import { headers, type NatsConnection } from '@nats-io/nats-core';
import { formatRef } from '../../machines/address.ts';
import type { ActorRecord, Snapshot } from '../../machines/record.ts';
import { backOff } from '../backoff.ts';
import { answerOf, jsCode, type PublishAnswer } from '../bus/jetstream-answer.ts';
import { packBytes } from '../data/codec.ts';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import { type Epoch, makeEpochRecord, readEpochRecord } from '../witness/epoch.ts';
import type { StoredRecord } from './record-log.ts';
import { StreamReader } from './stream-reader.ts';

/** What the witness knows of the past of one audited stream. */
export interface KnownPast {
  readonly epoch: number;
  readonly head: string;
}

const zeros = '0'.repeat(64);
/** The state of an epoch that is not open yet. */
const restoringState = 'restoring';

/** An epoch as the actors' log has it. */
export interface StartedEpoch extends Epoch {
  /** What was lost is being put back: nobody else may write yet. */
  readonly restoring: boolean;
}

export interface BegunEpoch {
  readonly epoch: StartedEpoch;
  /** Whether it was begun now. */
  readonly opened: boolean;
}

/** How an epoch came to what it begins with. */
export interface Beginning {
  /** `witness`: what the witness had was put back. `empty`: it was left in the past, and is not put back later either. */
  readonly origin: 'witness' | 'empty';
  readonly actors: number;
  readonly keys: number;
}

/** The event that opens an epoch which began with a restore, or with the refusal of one. */
export const openedEvent = 'OPENED';

/**
 * The epoch of the actors' log, once it is open.
 * @throws FabricError UNAVAILABLE: with `details.lost` when the log has none, since everything in it was lost; with
 *   `details.restoring` while what was lost is put back
 */
export async function readEpoch(nc: NatsConnection, ns: Namespace): Promise<Epoch> {
  const { restoring, ...epoch } = await readStartedEpoch(nc, ns);
  if (!restoring) return epoch;
  throw new FabricError(
    'UNAVAILABLE',
    `epoch ${epoch.epoch} of the log ${ns.actorsStream} is not open yet: what was lost is being restored. Try again in a moment; if nobody does that any more, \`infrafabric up\` goes on with it.`,
    { restoring: true },
  );
}

/** The same, also while a restore is under way: for those who only read. @throws FabricError UNAVAILABLE, `details.lost` */
export async function readStartedEpoch(nc: NatsConnection, ns: Namespace): Promise<StartedEpoch> {
  const epoch = await startedEpoch(nc, ns);
  if (epoch) return epoch;
  throw new FabricError(
    'UNAVAILABLE',
    `the log ${ns.actorsStream} has no epoch record: the cluster lost its memory. Start the fabric again with \`infrafabric up\`.`,
    { lost: true },
  );
}

/**
 * Begins an epoch on every audited stream that has none; `past` is what the witness knows, by chain label. Answers with
 * the epoch of the actors' log and whether it was begun now. With `restoring` a new one is not open before `openEpoch`.
 * Safe to call from several processes: one of them begins it.
 */
export async function establishEpoch(
  nc: NatsConnection,
  ns: Namespace,
  past: ReadonlyMap<string, KnownPast>,
  now: number,
  { restoring = false }: { restoring?: boolean } = {},
): Promise<BegunEpoch> {
  const present = await startedEpoch(nc, ns);
  const last = Math.max(0, ...[...past.values()].map(({ epoch }) => epoch));
  const number = present?.epoch ?? last + 1;
  const streams = auditedSubjects(ns, number);
  const firsts = await Promise.all(streams.map(async ({ stream, first }) => await firstRecord(nc, stream, first)));
  // Who died on the way left the id on some of them.
  const begun = firsts.map((record) => record && readEpochRecord(record)).find((epoch) => epoch?.epoch === number);
  const id = begun?.epoch_id ?? randomUUID();
  for (const [i, { label, stream, subject }] of streams.entries()) {
    if (firsts[i]) continue;
    const record = makeEpochRecord({ epoch: number, epoch_id: id, previous_head: past.get(label)?.head ?? zeros }, now);
    // The actors' log comes last: once it has its record, the others have theirs.
    const isClosed = restoring && stream === ns.actorsStream;
    await write(nc, subject, isClosed ? { ...record, snapshot: closed(record.snapshot) } : record, 0);
  }
  return { epoch: await readStartedEpoch(nc, ns), opened: !present };
}

/** Opens an epoch that was begun with `restoring`; who comes second changes nothing. @throws FabricError UNAVAILABLE */
export async function openEpoch(
  nc: NatsConnection,
  ns: Namespace,
  { epoch, epoch_id, previous_head }: Epoch,
  beginning: Beginning,
  now: number,
): Promise<void> {
  const facts = { epoch, epoch_id, previous_head };
  const record: ActorRecord = {
    ...makeEpochRecord(facts, now),
    n: 2,
    event: { id: `${epoch_id}-opened`, type: openedEvent, epoch, epoch_id, ...beginning },
    snapshot: { status: 'done', value: 'open', context: { ...facts, ...beginning } },
  };
  await write(nc, ns.actorSubject(record), record, 1);
}

function closed(snapshot: Snapshot): Snapshot {
  return { ...snapshot, status: 'active', value: restoringState };
}

async function startedEpoch(nc: NatsConnection, ns: Namespace): Promise<StartedEpoch | undefined> {
  const first = await firstRecord(nc, ns.actorsStream, `$KV.${ns.actorsBucket}.>`);
  const epoch = first && readEpochRecord(first);
  if (!first || !epoch) return undefined;
  if (first.snapshot.value !== restoringState) return { ...epoch, restoring: false };
  const last = await new StreamReader(nc, ns.actorsStream).last(ns.actorSubject(first));
  return { ...epoch, restoring: last?.record.snapshot.value === restoringState };
}

function auditedSubjects(
  ns: Namespace,
  epoch: number,
): Array<{ label: string; stream: string; subject: string; first: string }> {
  return [
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
    {
      label: ns.actorsBucket,
      stream: ns.actorsStream,
      subject: ns.actorSubject({ kind: 'epoch', id: String(epoch) }),
      first: `$KV.${ns.actorsBucket}.>`,
    },
  ];
}

/**
 * The audited streams that hold messages and no epoch record at their beginning: someone wrote to them after everything
 * was lost, or they are not of this fabric. @throws FabricError UNAVAILABLE
 */
export async function strayStreams(nc: NatsConnection, ns: Namespace): Promise<string[]> {
  const strays = auditedSubjects(ns, 1).map(async ({ stream, first }) => {
    const found = await new StreamReader(nc, stream).next(first, 1);
    return !found || isBeginning(found) ? [] : [stream];
  });
  return (await Promise.all(strays)).flat();
}

function isBeginning({ record, revision }: StoredRecord): boolean {
  return revision === 1 && readEpochRecord(record) !== undefined;
}

/** The epoch record of a stream; undefined when the stream is empty. */
async function firstRecord(nc: NatsConnection, stream: string, subject: string): Promise<ActorRecord | undefined> {
  const first = await new StreamReader(nc, stream).next(subject, 1);
  if (!first) return undefined;
  if (isBeginning(first)) return first.record;
  throw new FabricError(
    'UNAVAILABLE',
    `the first message of ${stream} is not an epoch record: the cluster lost its memory while writers went on, or the stream is not of this fabric. Use another namespace, or remove the stream.`,
    { lost: true },
  );
}

async function write(nc: NatsConnection, subject: string, record: ActorRecord, expected: number): Promise<void> {
  const h = headers();
  h.set('Nats-Msg-Id', `${record.kind}:${record.id}:${record.event.id}`);
  h.set('Nats-Expected-Last-Subject-Sequence', String(expected));
  for (let attempt = 0; ; attempt++) {
    let why: unknown = 'refused';
    try {
      const answer = answerOf<PublishAnswer>(
        await nc.request(subject, packBytes(record), { headers: h, timeout: 1_000 }),
      );
      if (!answer.error || answer.error.err_code === jsCode.wrongLastSequence) return;
      why = answer.error.description;
    } catch (error) {
      why = error;
    }
    if (attempt >= 20)
      throw new FabricError('UNAVAILABLE', `${formatRef(record)} could not be written to ${subject}`, undefined, {
        cause: why,
      });
    await backOff({ first: 10, max: 500 }, attempt);
  }
}
