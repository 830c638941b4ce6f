/**
 * Tails one audited stream into the witness database: every message once, in order, stored before it is acknowledged.
 *
 * The durable consumer is made anew at each start, right behind the last stored message: what an earlier process took
 * but did not store is delivered again at once, and the consumer's position tells the cluster what may be trimmed.
 */
import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamManager,
  type JsMsg,
  jetstream,
} from '@nats-io/jetstream';
import { type NatsConnection, nanos } from '@nats-io/nats-core';
import { type Backoff, backOff } from '../../src/backoff.ts';
import { soonMissed } from '../../src/bus/consuming.ts';
import { type ApiError, answerOf, isClosed, jsCode } from '../../src/bus/jetstream-answer.ts';
import { FabricError } from '../../src/errors.ts';
import type { Log } from '../../src/log.ts';
import type { WitnessDatabase } from '../../src/witness/database.ts';
import type { GapReason } from '../../src/witness/entry.ts';
import type { WitnessMessage } from '../../src/witness/message.ts';
import { isApiError } from './api-error.ts';
import { trimmedThrough } from './trim-mark.ts';

export interface TailOptions {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly database: WitnessDatabase;
  readonly stream: string;
  readonly chain: string;
  /** Throws when the stream is not of the epoch of the chain any more. */
  readonly checkEpoch: () => Promise<void>;
  readonly log: Log;
}

/** The durable consumer of the witness on each audited stream. */
export const witnessConsumer = 'witness';

/** Messages taken ahead of what is stored. */
const ahead = 5_000;
const mostPerBatch = 1_000;
const betweenTries: Backoff = { first: 50, max: 1_000 };

export class Tail {
  readonly #options: TailOptions;
  readonly #buffer: JsMsg[] = [];
  #messages: ConsumerMessages | undefined;
  #flushing: Promise<void> | undefined;
  #position: number;
  #stopped = false;
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

  /** The last sequence that is stored. */
  get position(): number {
    return this.#position;
  }

  /** Resolves when everything that is in the stream now is stored, or after `timeoutMs`; says whether it is. */
  async caughtUp(timeoutMs: number): Promise<boolean> {
    const until = Date.now() + timeoutMs;
    const { last_seq: goal } = (await this.#options.jsm.streams.info(this.#options.stream)).state;
    while (this.#position < goal && Date.now() < until && !this.#stopped)
      await new Promise((resolve) => setTimeout(resolve, 5));
    return this.#position >= goal;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#messages?.stop();
    await this.#flushing?.catch(() => {});
  }

  async #start(): Promise<void> {
    const { nc, stream } = this.#options;
    await this.#makeConsumer();
    const consumer = await jetstream(nc).consumers.get(stream, witnessConsumer);
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
    this.#delivery++;
    this.#buffer.length = 0;
    this.#messages?.stop();
    await this.#start();
    if (this.#stopped) this.#messages?.stop();
  }

  async #makeConsumer(): Promise<void> {
    const { jsm, stream } = this.#options;
    const config = {
      durable_name: witnessConsumer,
      ack_policy: AckPolicy.All,
      ack_wait: nanos(30_000),
      max_ack_pending: 2 * ahead,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.#position + 1,
    };
    for (let attempt = 0; ; attempt++) {
      try {
        await jsm.consumers.delete(stream, witnessConsumer).catch((error: unknown) => {
          if (!isApiError(error, jsCode.consumerNotFound)) throw error;
        });
        await jsm.consumers.add(stream, config);
        return;
      } catch (error) {
        if (isClosed(error) || attempt > 30)
          throw new FabricError('UNAVAILABLE', `the witness cannot read ${stream}`, undefined, { cause: error });
      }
      await backOff(betweenTries, attempt);
    }
  }

  /** Stores what has arrived; one batch at a time, and what arrives meanwhile is the next. */
  #flush(): void {
    if (this.#flushing || this.#stopped) return;
    this.#flushing = (async () => {
      // Everything that the connection has already parsed joins this batch.
      await new Promise((resolve) => setImmediate(resolve));
      while (this.#buffer.length > 0 && !this.#stopped) await this.#store(this.#buffer.splice(0, mostPerBatch));
    })()
      .catch((error: unknown) => {
        // Nothing further is stored: what follows would seem to follow a gap.
        this.#stopped = true;
        this.#messages?.stop();
        this.#fail(error);
      })
      .finally(() => {
        this.#flushing = undefined;
        if (this.#buffer.length > 0) this.#flush();
      });
  }

  async #store(batch: JsMsg[]): Promise<void> {
    const { database, chain, log } = this.#options;
    // Delivered again, which a new leader of the consumer does; or numbered anew, by a stream that has lost everything.
    if (batch.some(({ seq }) => seq <= this.#position)) await this.#options.checkEpoch();
    const messages = batch.map(toWitnessMessage);
    const reasons = new Map<string, GapReason>();
    for (;;) {
      const result = database.appendBatch(chain, messages, (first, last) => reasons.get(`${first}-${last}`));
      this.#position = result.last_seq;
      if (!result.waiting_for) break;
      const { first_seq, last_seq } = result.waiting_for;
      if (await this.#holdsAnyOf(first_seq, last_seq)) {
        log.warn(
          { chain, first_seq, last_seq },
          'messages were lost on their way to the witness; they are delivered again',
        );
        return await this.#startOver();
      }
      const reason = await this.#reasonOf(last_seq);
      log.warn({ chain, first_seq, last_seq, reason }, 'messages are missing in the stream; the chain records a gap');
      reasons.set(`${first_seq}-${last_seq}`, reason);
    }
    batch.findLast(({ seq }) => seq === this.#position)?.ack();
  }

  /**
   * Whether the stream still has some of these messages: what a lost connection swallowed is missing here, not there.
   * Only what the stream itself lacks may be called a gap.
   */
  async #holdsAnyOf(first: number, last: number): Promise<boolean> {
    const { nc, stream } = this.#options;
    const query = JSON.stringify({ seq: first, next_by_subj: '>' });
    for (let attempt = 0; ; attempt++) {
      try {
        const reply = await nc.request(`$JS.API.STREAM.MSG.GET.${stream}`, query, { timeout: 1_000 });
        const { message, error } = answerOf<{ message?: { seq: number }; error?: ApiError }>(reply);
        if (message) return message.seq <= last;
        if (error?.err_code === jsCode.messageNotFound) return false;
      } catch (error) {
        if (isClosed(error)) throw error;
      }
      if (attempt > 30)
        throw new FabricError('UNAVAILABLE', `${stream} does not say what it holds between ${first} and ${last}`);
      await backOff(betweenTries, attempt);
    }
  }

  /** Trimmed when the cluster says that it was trimmed up to there, else lost. */
  async #reasonOf(last: number): Promise<GapReason> {
    const { jsm, stream } = this.#options;
    return last <= trimmedThrough(await jsm.streams.info(stream)) ? 'trimmed' : 'lost';
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
