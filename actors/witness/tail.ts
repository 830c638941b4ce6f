/**
 * Tails one audited stream into the witness database: every message once, in order, stored before it is acknowledged.
 *
 * The durable consumer is made anew at each start, right behind the last stored message: what an earlier process took
 * but did not store is delivered again at once, and the consumer's position tells the cluster what may be trimmed. While
 * the database cannot be written the tail keeps the batch that it has, takes nothing more, says that the fabric is
 * unaudited, and tries again until it can.
 */
import { type ConsumerMessages, type JetStreamManager, type JsMsg, jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { type Backoff, backOff } from '../../src/backoff.ts';
import { soonMissed } from '../../src/bus/consuming.ts';
import { FabricError } from '../../src/errors.ts';
import type { Log } from '../../src/log.ts';
import type { AppendResult, GapDecision } from '../../src/witness/append.ts';
import type { WitnessDatabase } from '../../src/witness/database.ts';
import type { GapReason } from '../../src/witness/entry.ts';
import type { WitnessMessage } from '../../src/witness/message.ts';
import type { AuditState } from './audit-state.ts';
import { holdsAnyOf, reasonOf } from './missing-messages.ts';
import { storageTrouble } from './storage-trouble.ts';
import { wholeCommits } from './whole-commits.ts';
import { consumerOf, makeConsumer, mostUnacknowledged } from './witness-consumers.ts';
import type { StoredBatch } from './witness-metrics.ts';

export interface TailOptions {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly database: WitnessDatabase;
  /** The id of the witness. */
  readonly witness: string;
  readonly stream: string;
  readonly chain: string;
  readonly audit: AuditState;
  /** Throws when the stream is not of the epoch of the chain any more. */
  readonly checkEpoch: () => Promise<void>;
  readonly onStored: (batch: StoredBatch) => void;
  readonly log: Log;
}

/** Messages taken ahead of what is stored. */
const ahead = mostUnacknowledged / 2;
const mostPerBatch = 1_000;
const whileTroubled: Backoff = { first: 50, max: 1_000 };
/** A tail that cannot store shows at times that it is still there, so that its consumer is not removed; milliseconds. */
const presenceEveryMs = 600_000;

export class Tail {
  readonly #options: TailOptions;
  readonly #buffer: JsMsg[] = [];
  #messages: ConsumerMessages | undefined;
  #flushing: Promise<void> | undefined;
  #position: number;
  #stopped = false;
  /** Whether the database takes nothing at the moment. */
  #paused = false;
  /** Counts the consumers; what an earlier one still delivers is left to the present one. */
  #delivery = 0;
  #fail: (error: unknown) => void = () => {};
  /** Rejects when the tail cannot go on. */
  readonly failed: Promise<never>;

  private constructor(options: TailOptions) {
    this.#options = options;
    this.#position = options.database.head(options.chain)?.last_seq ?? 0;
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => {});
  }

  static async start(options: TailOptions): Promise<Tail> {
    const tail = new Tail(options);
    await tail.#start();
    return tail;
  }

  get stream(): string {
    return this.#options.stream;
  }

  get chain(): string {
    return this.#options.chain;
  }

  /** The last sequence that is stored. */
  get position(): number {
    return this.#position;
  }

  /**
   * Resolves when everything that is in the stream now is stored, says whether it is; at the latest after `timeoutMs`, and
   * at once when nothing can be stored.
   */
  async caughtUp(timeoutMs: number): Promise<boolean> {
    const until = Date.now() + timeoutMs;
    const { last_seq: goal } = (await this.#options.jsm.streams.info(this.#options.stream)).state;
    while (this.#position < goal && Date.now() < until && !this.#stopped && !this.#paused)
      await new Promise((resolve) => setTimeout(resolve, 5));
    return this.#position >= goal;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#messages?.stop();
    await this.#flushing?.catch(() => {});
  }

  async #start(): Promise<void> {
    const { nc, stream, witness } = this.#options;
    await this.#makeConsumer();
    const consumer = await jetstream(nc).consumers.get(stream, consumerOf(witness));
    const delivery = ++this.#delivery;
    const messages = await consumer.consume({
      max_messages: ahead,
      ...soonMissed,
      callback: (message) => {
        if (delivery !== this.#delivery) return;
        this.#buffer.push(message);
        this.#flush();
      },
    });
    this.#messages = messages;
    void this.#watch(messages, delivery);
    void messages.closed().then((error) => {
      if (this.#stopped || delivery !== this.#delivery) return;
      this.#fail(
        new FabricError(
          'UNAVAILABLE',
          `the witness is cut off from ${stream}`,
          undefined,
          error ? { cause: error } : {},
        ),
      );
    });
  }

  /** A consumer that is gone, by whatever hand, is made again. */
  async #watch(messages: ConsumerMessages, delivery: number): Promise<void> {
    for await (const { type } of messages.status()) {
      if (this.#stopped || delivery !== this.#delivery) return;
      if (type !== 'consumer_not_found' && type !== 'consumer_deleted' && type !== 'stream_not_found') continue;
      this.#options.log.warn(
        { chain: this.#options.chain, type },
        'the consumer of the witness is gone; it is made again',
      );
      await this.#options
        .checkEpoch()
        .then(async () => await this.#startOver())
        .catch((error: unknown) => this.#fail(error));
      return;
    }
  }

  /** Has everything behind the last stored message delivered again. */
  async #startOver(): Promise<void> {
    this.#paused = false;
    this.#delivery++;
    this.#buffer.length = 0;
    this.#messages?.stop();
    await this.#start();
    if (this.#stopped) this.#messages?.stop();
  }

  async #makeConsumer(): Promise<void> {
    const { jsm, stream, witness } = this.#options;
    await makeConsumer(jsm, { stream, witness, position: this.#position });
  }

  /** Stores what has arrived, commits whole; one batch at a time, and what arrives meanwhile is the next. */
  #flush(): void {
    if (this.#flushing || this.#stopped) return;
    this.#flushing = (async () => {
      // Everything that the connection has already parsed joins this batch.
      await new Promise((resolve) => setImmediate(resolve));
      for (let count = this.#ready(); count > 0 && !this.#stopped; count = this.#ready()) {
        await this.#store(this.#buffer.splice(0, count));
        // Also while it catches up, requests are answered between two batches.
        await new Promise((resolve) => setImmediate(resolve));
      }
    })()
      .catch((error: unknown) => {
        // Nothing further is stored: what follows would seem to follow a gap.
        this.#stopped = true;
        this.#messages?.stop();
        this.#fail(error);
      })
      .finally(() => {
        this.#flushing = undefined;
        if (this.#ready() > 0) this.#flush();
      });
  }

  /** How many of the messages that have arrived can be stored now. */
  #ready(): number {
    return wholeCommits(this.#buffer, mostPerBatch);
  }

  async #store(batch: JsMsg[]): Promise<void> {
    const { nc, jsm, stream, chain, log } = this.#options;
    // Delivered again, which a new leader of the consumer does; or numbered anew, by a stream that has lost everything.
    if (batch.some(({ seq }) => seq <= this.#position)) await this.#options.checkEpoch();
    const messages = batch.map(toWitnessMessage);
    const reasons = new Map<string, GapReason>();
    for (;;) {
      const result = await this.#append(messages, (first, last) => reasons.get(`${first}-${last}`));
      if (!result) return;
      this.#position = result.last_seq;
      if (!result.waiting_for) break;
      const { first_seq, last_seq } = result.waiting_for;
      if (await holdsAnyOf(nc, stream, first_seq, last_seq)) {
        log.warn(
          { chain, first_seq, last_seq },
          'messages were lost on their way to the witness; they are delivered again',
        );
        return await this.#startOver();
      }
      const reason = await reasonOf(jsm, stream, last_seq);
      log.warn({ chain, first_seq, last_seq, reason }, 'messages are missing in the stream; the chain records a gap');
      reasons.set(`${first_seq}-${last_seq}`, reason);
    }
    if (this.#paused) return await this.#startOver();
    batch.findLast(({ seq }) => seq === this.#position)?.ack();
  }

  /** Tries until the database takes the messages; undefined when the tail is stopped before that. */
  async #append(messages: readonly WitnessMessage[], decide: GapDecision): Promise<AppendResult | undefined> {
    const { database, chain, audit, onStored } = this.#options;
    let shownAt = performance.now();
    for (let attempt = 0; !this.#stopped; attempt++) {
      const startedAt = performance.now();
      try {
        const result = database.appendBatch(chain, messages, decide);
        audit.stored(chain);
        const times = messages.slice(0, result.duplicates + result.appended).map(({ time_ms }) => time_ms);
        onStored({ times, entries: result.appended + result.gaps, ms: performance.now() - startedAt });
        return result;
      } catch (error) {
        const trouble = storageTrouble(error);
        if (trouble === undefined) throw error;
        audit.failing(chain, trouble);
      }
      this.#pause();
      await backOff(whileTroubled, attempt);
      if (performance.now() - shownAt < presenceEveryMs) continue;
      shownAt = performance.now();
      await this.#makeConsumer().catch(() => {});
    }
    return undefined;
  }

  /** Takes no further messages; `#startOver` has them delivered again. */
  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#delivery++;
    this.#buffer.length = 0;
    this.#messages?.stop();
  }
}

function toWitnessMessage(message: JsMsg): WitnessMessage {
  return {
    seq: message.seq,
    // The server's time, exact: `timestamp` goes through a floating-point number.
    time_ms: Number(message.timestampNanos / 1_000_000n),
    subject: message.subject,
    headers: message.headers,
    body: message.data,
  };
}
