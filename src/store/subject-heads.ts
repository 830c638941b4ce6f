/**
 * The last message of a subject, as a value that is read from the stream's leader and changed by compare-and-swap. For
 * streams without an audit, where the newest message of a subject is all that matters.
 *
 * A write whose answer is lost is sent again until the server says what became of it: each carries a mark of its own, by
 * which it is recognised, and the revision that it expects, so that it is never applied over a later one. The mark is in
 * the body and no message id, which the servers would remember for minutes.
 */
import { type NatsConnection, headers as newHeaders } from '@nats-io/nats-core';
import { type Backoff, backOff } from '../backoff.ts';
import { answerOf, isClosed, jsCode, type PublishAnswer } from '../bus/jetstream-answer.ts';
import { decodeBody, encodeBody } from '../data/codec.ts';
import { FabricError } from '../errors.ts';
import { LeaderRead, type LeaderReadOptions, type StoredMessage } from './leader-read.ts';
import { newId } from './unique-id.ts';

export interface Head {
  /** The stream sequence of the message. */
  readonly revision: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** How long a read or write goes on in the face of silence, milliseconds. */
const defaultDeadlineMs = 10_000;
const betweenTries: Backoff = { first: 5, max: 250 };

export class SubjectHeads {
  readonly #nc: NatsConnection;
  readonly #leader: LeaderRead;
  readonly #attemptTimeoutMs: number;
  readonly #deadlineMs: number;

  constructor(nc: NatsConnection, stream: string, options: LeaderReadOptions = {}) {
    this.#nc = nc;
    this.#attemptTimeoutMs = options.attemptTimeoutMs ?? 1_000;
    this.#deadlineMs = options.deadlineMs ?? defaultDeadlineMs;
    this.#leader = new LeaderRead(nc, stream, { deadlineMs: defaultDeadlineMs, ...options });
  }

  /** Undefined when the subject has no message. @throws FabricError UNAVAILABLE */
  async read(subject: string): Promise<Head | undefined> {
    const message = await this.#leader.message({ last_by_subj: subject });
    return message && headOf(message);
  }

  /**
   * Writes a message over the last one of its subject; answers with its revision. Where `expected` is given and the last
   * message has another revision (0: there is one), nothing is written and the answer is undefined.
   * @throws FabricError UNAVAILABLE: the outcome is unknown; a conditional write may still take effect until someone
   *   else writes
   */
  async write(
    subject: string,
    body: Readonly<Record<string, unknown>>,
    headers: Readonly<Record<string, string>>,
    expected?: number,
  ): Promise<number | undefined> {
    const mark = newId();
    const bytes = encodeBody({ ...body, mark }, 'json');
    const condition = expected === undefined ? {} : { 'Nats-Expected-Last-Subject-Sequence': String(expected) };
    const deadline = Date.now() + this.#deadlineMs;
    for (let attempt = 0, inDoubt = false; ; attempt++) {
      const answer = await this.#publish(subject, bytes, { ...headers, ...condition });
      if (!answer.error && answer.seq !== undefined) return answer.seq;
      const { err_code = 0, code = 503, description = 'no sequence' } = answer.error ?? {};
      if (err_code === jsCode.wrongLastSequence) {
        const head = inDoubt ? await this.read(subject) : undefined;
        return head?.body['mark'] === mark ? head.revision : undefined;
      }
      if (code < 500 && !passing.has(err_code))
        throw new FabricError('INTERNAL', `the message ${subject} is refused: ${description} (${err_code})`);
      if (!refused.has(err_code)) inDoubt = true;
      if (Date.now() >= deadline) throw unavailable(`${subject} could not be written (${description}); try again`);
      await backOff(betweenTries, attempt);
    }
  }

  /** Silence is an answer, too: an error 503 of no particular code. */
  async #publish(subject: string, body: Uint8Array, headers: Readonly<Record<string, string>>): Promise<PublishAnswer> {
    const h = newHeaders();
    for (const [name, value] of Object.entries(headers)) h.set(name, value);
    try {
      return answerOf<PublishAnswer>(
        await this.#nc.request(subject, body, { headers: h, timeout: this.#attemptTimeoutMs }),
      );
    } catch (error) {
      if (isClosed(error)) throw unavailable('the connection to the cluster is closed', error);
      return { error: { code: 503, err_code: 0, description: error instanceof Error ? error.message : String(error) } };
    }
  }
}

/** This try was not applied, for certain. */
const refused: ReadonlySet<number> = new Set([
  jsCode.wrongLastSequenceInFlight,
  jsCode.lastSequenceNotReady,
  jsCode.tooManyRequests,
  jsCode.storeFull,
  jsCode.accountLimit,
]);
/** Errors of the range of a caller's mistakes that another try may not meet. */
const passing: ReadonlySet<number> = new Set([...refused, jsCode.duplicateInProcess, jsCode.streamNotFound]);

function headOf({ seq, data }: StoredMessage): Head {
  try {
    return { revision: seq, body: decodeBody(data, 'json') };
  } catch {
    // Not of this fabric's making; it holds nothing that could be meant.
    return { revision: seq, body: {} };
  }
}

function unavailable(what: string, cause?: unknown): FabricError {
  return new FabricError('UNAVAILABLE', what, undefined, cause === undefined ? undefined : { cause });
}
