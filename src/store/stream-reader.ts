/** Reads of a stream that are answered by its leader, never by a follower: what a decision may rest on. */
import type { NatsConnection } from '@nats-io/nats-core';
import { type Backoff, backOff } from '../backoff.ts';
import { type ApiError, answerOf, isClosed, jsCode } from '../bus/jetstream-answer.ts';
import { FabricError } from '../errors.ts';
import type { StoredRecord } from './record-log.ts';
import { recordFrom } from './record-message.ts';

interface GetAnswer {
  readonly message?: { readonly seq: number; readonly data?: string };
  readonly error?: ApiError;
}

const betweenTries: Backoff = { first: 10, max: 250 };
/** A node that has just started does not know all streams yet; after this long it does, milliseconds. */
const goneForGoodMs = 3_000;

export class StreamReader {
  readonly #nc: NatsConnection;
  readonly #stream: string;
  readonly #attemptTimeoutMs: number;
  readonly #deadlineMs: number;

  constructor(nc: NatsConnection, stream: string, options: { attemptTimeoutMs?: number; deadlineMs?: number } = {}) {
    this.#nc = nc;
    this.#stream = stream;
    this.#attemptTimeoutMs = options.attemptTimeoutMs ?? 1_000;
    this.#deadlineMs = options.deadlineMs ?? 15_000;
  }

  /** The last record under a subject. @throws FabricError UNAVAILABLE */
  async last(subject: string): Promise<StoredRecord | undefined> {
    return await this.#get({ last_by_subj: subject });
  }

  /** The first record under a subject (wildcards allowed) from a sequence on; `until` skips those before it. */
  async next(
    subject: string,
    from: number,
    until: (found: StoredRecord) => boolean = () => true,
  ): Promise<StoredRecord | undefined> {
    for (let seq = from; ; ) {
      const found = await this.#get({ next_by_subj: subject, seq });
      if (!found || until(found)) return found;
      seq = found.revision + 1;
    }
  }

  async #get(query: Record<string, unknown>): Promise<StoredRecord | undefined> {
    const body = JSON.stringify(query);
    const begunAt = Date.now();
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#ask(body);
      if (answer.message) {
        const { seq, data } = answer.message;
        return { revision: seq, record: recordFrom(Buffer.from(data ?? '', 'base64')) };
      }
      if (answer.error?.err_code === jsCode.messageNotFound) return undefined;
      const isGone = answer.error?.err_code === jsCode.streamNotFound;
      if (Date.now() >= begunAt + Math.min(this.#deadlineMs, isGone ? goneForGoodMs : Number.POSITIVE_INFINITY)) {
        const why = answer.error?.description ?? 'no answer';
        // A single node keeps nothing in memory, not even that there was a stream.
        throw new FabricError(
          'UNAVAILABLE',
          `the log ${this.#stream} cannot be read (${why}); try again`,
          isGone ? { lost: true } : undefined,
        );
      }
      await backOff(betweenTries, attempt);
    }
  }

  async #ask(body: string): Promise<GetAnswer> {
    try {
      const reply = await this.#nc.request(`$JS.API.STREAM.MSG.GET.${this.#stream}`, body, {
        timeout: this.#attemptTimeoutMs,
      });
      return answerOf<GetAnswer>(reply);
    } catch (error) {
      if (isClosed(error))
        throw new FabricError('UNAVAILABLE', 'the connection to the cluster is closed', undefined, { cause: error });
      return { error: { code: 503, err_code: 0, description: error instanceof Error ? error.message : String(error) } };
    }
  }
}
