/**
 * Publishing to a stream until it is known what became of it. A message whose answer was lost is sent again with the same
 * message id, which the stream recognises, so that it is stored once.
 */
import type { MsgHdrs, NatsConnection } from '@nats-io/nats-core';
import { type Backoff, backOff } from '../backoff.ts';
import { FabricError } from '../errors.ts';
import { answerOf, isClosed, jsCode, type PublishAnswer } from './jetstream-answer.ts';

/** What a stream made of a message: stored, now or before under the same id, or refused because there is no room. */
export type Stored =
  | { readonly seq: number; readonly duplicate: boolean }
  | { readonly refused: 'subject_full' | 'stream_full' };

export interface PublishOptions {
  /** With `Nats-Msg-Id`. */
  readonly headers: MsgHdrs;
  /** Milliseconds since 1970. */
  readonly deadline: number;
  /** What the message is, for the error. */
  readonly what: string;
  /** Aborted, there is no further try. */
  readonly signal?: AbortSignal;
  /** Awaited before each try, right before it is sent; what it rejects with ends the try, and with `details.lost` all. */
  readonly permitted?: (timeoutMs: number) => Promise<void>;
}

const betweenTries: Backoff = { first: 10, max: 250 };
const attemptTimeoutMs = 1_000;

/** @throws FabricError UNAVAILABLE when it is not known by the deadline whether the message was stored */
export async function publishStored(
  nc: NatsConnection,
  subject: string,
  body: Uint8Array,
  { headers, deadline, what, signal, permitted }: PublishOptions,
): Promise<Stored> {
  for (let attempt = 0; ; attempt++) {
    let cause: unknown;
    try {
      await permitted?.(attemptTimeoutMs);
      const reply = await nc.request(subject, body, { headers, timeout: attemptTimeoutMs });
      const { seq, duplicate = false, error } = answerOf<PublishAnswer>(reply);
      if (seq !== undefined && !error) return { seq, duplicate };
      // The server has one code for both, and says which in prose.
      if (error?.err_code === jsCode.storeFull)
        return { refused: /per subject/.test(error.description) ? 'subject_full' : 'stream_full' };
      cause = error;
    } catch (error) {
      if (error instanceof FabricError && error.details?.['lost'] === true) throw error;
      cause = error;
    }
    if (isClosed(cause) || Date.now() >= deadline || signal?.aborted) {
      throw new FabricError('UNAVAILABLE', `${what} was not stored in time; repeat it with the same id`, undefined, {
        cause,
      });
    }
    await backOff(betweenTries, attempt, signal).catch(() => {});
  }
}
