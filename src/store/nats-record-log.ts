/**
 * The record log on JetStream KV: one round trip per commit, a single publish or an atomic batch. Every write carries a
 * message id and the revision that it expects, so that a repeated write is recognised and a stale one refused.
 *
 * Outcomes: 10071 means that the key has moved on (the caller reads again and decides again); 10164 means that another
 * write is in flight and proves nothing; a time-out leaves open whether the write took effect, so the same write is sent
 * again until the server says which. After a lost connection the log's epoch is looked at first.
 */
import { type MsgHdrs, type NatsConnection, nuid } from '@nats-io/nats-core';
import { type ActorRef, formatRef } from '../../machines/address.ts';
import { refOf } from '../../machines/record.ts';
import { type Backoff, backOff } from '../backoff.ts';
import { answerOf, isClosed, isUndelivered, jsCode, type PublishAnswer } from '../bus/jetstream-answer.ts';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import type { Epoch } from '../witness/epoch.ts';
import { EpochGate } from './epoch-gate.ts';
import { type Appended, maxRecordBytes, type RecordLog, type StoredRecord, type Write } from './record-log.ts';
import { headersOf, packWrites } from './record-message.ts';
import { StreamReader } from './stream-reader.ts';

export interface NatsRecordLogOptions {
  /** How long one try waits for its answer, milliseconds. Default 1,000. */
  attemptTimeoutMs?: number;
  /** The largest encoded record, bytes. Default {@link maxRecordBytes}. */
  maxRecordBytes?: number;
  /** The epoch that the writer knows: nothing is written to a log of another one, however it came to be there. */
  epoch?: Epoch;
  /** Asked before each commit begins; nothing of it is written when this throws, and that is the answer. */
  permit?: () => void;
}

interface Prepared {
  readonly write: Write;
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers: MsgHdrs;
}

type Try =
  | { readonly kind: 'applied'; readonly lastRevision: number }
  /** It was applied by an earlier try; the revisions have to be looked up. */
  | { readonly kind: 'known' }
  | { readonly kind: 'conflict' }
  /** Not applied by this try; another may succeed. */
  | { readonly kind: 'again'; readonly why: string }
  /** Not applied by this try, and nothing else would be. */
  | { readonly kind: 'full'; readonly why: string }
  | { readonly kind: 'unknown'; readonly why: string };

const betweenTries: Backoff = { first: 2, max: 250 };
/** How long a read waits until the epoch of the log is known again, milliseconds. */
const readPatienceMs = 15_000;

export class NatsRecordLog implements RecordLog {
  readonly #nc: NatsConnection;
  readonly #ns: Namespace;
  readonly #reader: StreamReader;
  readonly #attemptTimeoutMs: number;
  readonly #maxRecordBytes: number;
  readonly #gate: EpochGate | undefined;
  readonly #permit: () => void;

  constructor(nc: NatsConnection, ns: Namespace, options: NatsRecordLogOptions = {}) {
    this.#nc = nc;
    this.#ns = ns;
    this.#attemptTimeoutMs = options.attemptTimeoutMs ?? 1_000;
    this.#maxRecordBytes = options.maxRecordBytes ?? maxRecordBytes;
    this.#reader = new StreamReader(nc, ns.actorsStream, { attemptTimeoutMs: this.#attemptTimeoutMs });
    this.#gate = options.epoch && new EpochGate(nc, ns, options.epoch);
    this.#permit = options.permit ?? (() => {});
  }

  async read(ref: ActorRef): Promise<StoredRecord | undefined> {
    await this.#sameEpoch();
    return await this.#reader.last(this.#ns.actorSubject(ref));
  }

  async lastRevision(kind: string): Promise<number> {
    await this.#sameEpoch();
    return (await this.#reader.last(`$KV.${this.#ns.actorsBucket}.${kind}.>`))?.revision ?? 0;
  }

  async *history(ref: ActorRef): AsyncIterable<StoredRecord> {
    const subject = this.#ns.actorSubject(ref);
    for (let from = 1; ; ) {
      const next = await this.#reader.next(subject, from);
      if (!next) return;
      yield next;
      from = next.revision + 1;
    }
  }

  async append(writes: readonly Write[], deadline: number): Promise<Appended> {
    this.#permit();
    const prepared = this.#prepare(writes);
    let inDoubt = false;
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#try(prepared, deadline);
      switch (outcome.kind) {
        case 'applied':
          return {
            committed: true,
            revisions: prepared.map((_, i) => outcome.lastRevision - (prepared.length - 1 - i)),
          };
        case 'known':
          return await this.#lookUp(prepared);
        case 'conflict':
          // The key moved on. If an earlier try is in doubt, it may be that try that moved it.
          return inDoubt ? await this.#lookUp(prepared) : { committed: false };
        case 'full':
          // An earlier try in doubt may have been applied, or be so yet: only going on can tell.
          if (!inDoubt) throw full(outcome.why);
          break;
        case 'unknown':
          inDoubt = true;
      }
      if (Date.now() >= deadline) throw this.#gaveUp(prepared, outcome.why, inDoubt);
      await backOff(betweenTries, attempt);
    }
  }

  /** An empty log is not one in which there is nothing. @throws FabricError UNAVAILABLE */
  async #sameEpoch(): Promise<void> {
    if (this.#gate && !this.#gate.isOpen) await this.#gate.opened(readPatienceMs);
  }

  #prepare(writes: readonly Write[]): Prepared[] {
    const seen = new Set<string>();
    return packWrites(writes, this.#maxRecordBytes).map(({ write, body }) => {
      const subject = this.#ns.actorSubject(refOf(write.record));
      // The servers compare no revision of a key that the same batch has written already.
      const first = !seen.has(subject);
      seen.add(subject);
      return { write, subject, body, headers: headersOf(write, first) };
    });
  }

  async #try(prepared: readonly Prepared[], deadline: number): Promise<Try> {
    const timeout = Math.max(50, Math.min(this.#attemptTimeoutMs, deadline - Date.now()));
    let answer: PublishAnswer;
    if (this.#gate && !this.#gate.isOpen) {
      const closed = await passed(this.#gate, deadline);
      if (closed) return closed;
    }
    try {
      answer =
        prepared.length === 1
          ? await this.#publish(prepared[0]!, timeout)
          : await this.#publishBatch(prepared, timeout);
    } catch (error) {
      if (isClosed(error)) throw unavailable('the connection to the cluster is closed', error);
      if (isUndelivered(error)) return { kind: 'again', why: 'no server leads the log at the moment' };
      return { kind: 'unknown', why: error instanceof Error ? error.message : String(error) };
    }
    return judge(answer, prepared);
  }

  async #publish({ subject, body, headers }: Prepared, timeout: number): Promise<PublishAnswer> {
    return answerOf<PublishAnswer>(await this.#nc.request(subject, body, { headers, timeout }));
  }

  /** One round trip: all but the last message are published without a reply subject, the last one commits. */
  async #publishBatch(prepared: readonly Prepared[], timeout: number): Promise<PublishAnswer> {
    const batch = nuid.next();
    const last = prepared.length - 1;
    for (let i = 0; i < last; i++) {
      const { subject, body, headers } = prepared[i]!;
      headers.set('Nats-Batch-Id', batch);
      headers.set('Nats-Batch-Sequence', String(i + 1));
      this.#nc.publish(subject, body, { headers });
    }
    const { subject, body, headers } = prepared[last]!;
    headers.set('Nats-Batch-Id', batch);
    headers.set('Nats-Batch-Sequence', String(last + 1));
    headers.set('Nats-Batch-Commit', '1');
    return answerOf<PublishAnswer>(await this.#nc.request(subject, body, { headers, timeout }));
  }

  /**
   * Finds out whether the writes took effect: the record that followed the expected revision either is ours or is not.
   * They took effect all or none, one after the other, so the first tells for all.
   */
  async #lookUp(prepared: readonly Prepared[]): Promise<Appended> {
    const { write, subject } = prepared[0]!;
    const follower = await this.#reader.next(subject, write.expected + 1, (found) => found.record.n >= write.record.n);
    const ours = follower?.record.n === write.record.n && follower.record.event.id === write.record.event.id;
    if (ours) return { committed: true, revisions: prepared.map((_, i) => follower.revision + i) };
    if (follower && follower.record.n > write.record.n)
      throw this.#gaveUp(prepared, 'the log no longer holds the record that would tell', true);
    return { committed: false };
  }

  #gaveUp(prepared: readonly Prepared[], why: string, inDoubt: boolean): FabricError {
    const actors = prepared.slice(0, 3).map(({ write }) => formatRef(write.record));
    const known = inDoubt ? 'It is not known whether the change took effect' : 'The change did not take effect';
    return new FabricError(
      'UNAVAILABLE',
      `the log did not take the change of ${actors.join(', ')} in time (${why}). ${known}; ask for the present state, or repeat the request.`,
    );
  }
}

/** Undefined once the gate is open. @throws FabricError UNAVAILABLE when the log is not of the epoch any more */
async function passed(gate: EpochGate, deadline: number): Promise<Try | undefined> {
  try {
    await gate.opened(Math.max(50, deadline - Date.now()));
    return undefined;
  } catch (error) {
    if (!(error instanceof FabricError) || error.details?.['lost'] === true) throw error;
    return { kind: 'again', why: error.message };
  }
}

function judge(answer: PublishAnswer, prepared: readonly Prepared[]): Try {
  const { error } = answer;
  if (!error) {
    if (answer.seq === undefined) return { kind: 'unknown', why: 'the answer of the log has no sequence' };
    return answer.duplicate ? { kind: 'known' } : { kind: 'applied', lastRevision: answer.seq };
  }
  switch (error.err_code) {
    case jsCode.wrongLastSequence:
      return { kind: 'conflict' };
    case jsCode.batchDuplicateId:
      return { kind: 'known' };
    case jsCode.wrongLastSequenceInFlight:
    case jsCode.lastSequenceNotReady:
    case jsCode.tooManyRequests:
    case jsCode.batchTooManyInFlight:
    case jsCode.batchIncomplete:
      return { kind: 'again', why: error.description };
    case jsCode.duplicateInProcess:
    case jsCode.temporarilyUnavailable:
      return { kind: 'unknown', why: error.description };
    case jsCode.storeFull:
    case jsCode.accountLimit:
    case jsCode.insufficientResources:
      return { kind: 'full', why: error.description };
    case jsCode.batchTooLarge:
      throw new FabricError(
        'PAYLOAD_TOO_LARGE',
        `these servers take fewer than ${prepared.length} transitions in a commit (${error.description}); raise max_msgs of a batch in their configuration`,
      );
    default: {
      const actors = prepared.map(({ write }) => formatRef(write.record)).slice(0, 3);
      throw new FabricError(
        'INTERNAL',
        `the log refused the change of ${actors.join(', ')}: ${error.description} (${error.err_code})`,
      );
    }
  }
}

function full(why: string): FabricError {
  return new FabricError(
    'RATE_LIMITED',
    `the log is full (${why}); nothing was written. Let the witness catch up, or raise max_log_bytes.`,
  );
}

function unavailable(what: string, cause: unknown): FabricError {
  return new FabricError('UNAVAILABLE', what, undefined, { cause });
}
