/** Single messages of a stream, read from its leader and from nobody else: what a decision may rest on. */
import type { NatsConnection } from '@nats-io/nats-core';
import { type Backoff, backOff } from '../backoff.ts';
import { type ApiError, answerOf, isClosed, jsCode } from '../bus/jetstream-answer.ts';
import { FabricError } from '../errors.ts';

export interface LeaderReadOptions {
  /** How long one try waits for its answer, milliseconds. Default 1,000. */
  readonly attemptTimeoutMs?: number;
  /** How long a read goes on in the face of silence, milliseconds. Default 15,000. */
  readonly deadlineMs?: number;
}

export interface StoredMessage {
  /** The stream sequence. */
  readonly seq: number;
  readonly data: Uint8Array;
}

/** The last message of a subject, or the first of one from a sequence on (wildcards allowed). */
export type MessageQuery = { readonly last_by_subj: string } | { readonly next_by_subj: string; readonly seq: number };

interface Answer {
  readonly message?: { readonly seq: number; readonly data?: string };
  readonly error?: ApiError;
}

const betweenTries: Backoff = { first: 5, max: 250 };
/** A node that has just started does not know all streams yet; after this long it does, milliseconds. */
const goneForGoodMs = 3_000;

export class LeaderRead {
  readonly #nc: NatsConnection;
  readonly #stream: string;
  readonly #attemptTimeoutMs: number;
  readonly #deadlineMs: number;

  constructor(nc: NatsConnection, stream: string, options: LeaderReadOptions = {}) {
    this.#nc = nc;
    this.#stream = stream;
    this.#attemptTimeoutMs = options.attemptTimeoutMs ?? 1_000;
    this.#deadlineMs = options.deadlineMs ?? 15_000;
  }

  /** Undefined when there is none. @throws FabricError UNAVAILABLE; with `details.lost` when the stream is gone */
  async message(query: MessageQuery): Promise<StoredMessage | undefined> {
    const body = JSON.stringify(query);
    const begunAt = Date.now();
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#ask(body);
      if (answer.message) {
        const { seq, data } = answer.message;
        return { seq, data: Buffer.from(data ?? '', 'base64') };
      }
      if (answer.error?.err_code === jsCode.messageNotFound) return undefined;
      const isGone = answer.error?.err_code === jsCode.streamNotFound;
      if (Date.now() >= begunAt + Math.min(this.#deadlineMs, isGone ? goneForGoodMs : Number.POSITIVE_INFINITY)) {
        const why = answer.error?.description ?? 'no answer';
        // A single node keeps nothing in memory, not even that there was a stream.
        throw new FabricError(
          'UNAVAILABLE',
          `the stream ${this.#stream} cannot be read (${why}); try again`,
          isGone ? { lost: true } : undefined,
        );
      }
      await backOff(betweenTries, attempt);
    }
  }

  async #ask(body: string): Promise<Answer> {
    try {
      const reply = await this.#nc.request(`$JS.API.STREAM.MSG.GET.${this.#stream}`, body, {
        timeout: this.#attemptTimeoutMs,
      });
      return answerOf<Answer>(reply);
    } catch (error) {
      if (isClosed(error))
        throw new FabricError('UNAVAILABLE', 'the connection to the cluster is closed', undefined, { cause: error });
      return { error: { code: 503, err_code: 0, description: error instanceof Error ? error.message : String(error) } };
    }
  }
}
