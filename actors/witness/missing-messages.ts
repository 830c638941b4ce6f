/** What became of messages that did not reach the witness: still in the stream, trimmed, or lost. */
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { type Backoff, backOff } from '../../src/backoff.ts';
import { type ApiError, answerOf, isClosed, jsCode } from '../../src/bus/jetstream-answer.ts';
import { FabricError } from '../../src/errors.ts';
import type { GapReason } from '../../src/witness/entry.ts';
import { trimmedThrough } from './trim-mark.ts';

const betweenTries: Backoff = { first: 50, max: 1_000 };

/**
 * Whether the stream still has some of these messages: what a lost connection swallowed is missing here, not there. Only
 * what the stream itself lacks may be called a gap. @throws FabricError UNAVAILABLE
 */
export async function holdsAnyOf(nc: NatsConnection, stream: string, first: number, last: number): Promise<boolean> {
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
export async function reasonOf(jsm: JetStreamManager, stream: string, last: number): Promise<GapReason> {
  return last <= trimmedThrough(await jsm.streams.info(stream)) ? 'trimmed' : 'lost';
}
