/**
 * The consumers of the witnesses, one durable one per witness on each audited stream. What the slowest of them has not
 * acknowledged is not trimmed; that of a witness that has been gone for an hour is removed by the servers.
 */
import { AckPolicy, type ConsumerInfo, DeliverPolicy, type JetStreamManager } from '@nats-io/jetstream';
import { nanos } from '@nats-io/nats-core';
import { type Backoff, backOff } from '../../src/backoff.ts';
import { isClosed, jsCode } from '../../src/bus/jetstream-answer.ts';
import { FabricError } from '../../src/errors.ts';
import { isApiError } from './api-error.ts';

const prefix = 'witness-';

/** How long a witness may be gone before the log is trimmed without it, milliseconds. */
export const missedForMs = 3_600_000;

/** Messages that may be on their way to a witness, or wait there for being stored. */
export const mostUnacknowledged = 10_000;

const betweenTries: Backoff = { first: 50, max: 1_000 };

export function consumerOf(witness: string): string {
  return `${prefix}${witness}`;
}

/**
 * Makes the consumer anew, right behind `position`: what an earlier process took but did not store is delivered again at
 * once. @throws FabricError UNAVAILABLE
 */
export async function makeConsumer(
  jsm: JetStreamManager,
  { stream, witness, position }: { stream: string; witness: string; position: number },
): Promise<void> {
  const durable_name = consumerOf(witness);
  for (let attempt = 0; ; attempt++) {
    try {
      await jsm.consumers.delete(stream, durable_name).catch((error: unknown) => {
        if (!isApiError(error, jsCode.consumerNotFound)) throw error;
      });
      await jsm.consumers.add(stream, {
        durable_name,
        ack_policy: AckPolicy.All,
        ack_wait: nanos(30_000),
        max_ack_pending: mostUnacknowledged,
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: position + 1,
        inactive_threshold: nanos(missedForMs),
      });
      return;
    } catch (error) {
      if (isClosed(error) || attempt > 30)
        throw new FabricError('UNAVAILABLE', `the witness cannot read ${stream}`, undefined, { cause: error });
    }
    await backOff(betweenTries, attempt);
  }
}

/** Where a witness is on one stream. */
export interface WitnessProgress {
  readonly witness: string;
  /** The last sequence that it has stored. */
  readonly stored: number;
  /** Messages that it has not stored. */
  readonly lag: number;
  /** Whether it asks for messages at the moment. */
  readonly present: boolean;
}

/** All witnesses that a stream has a consumer of, by id. @throws JetStreamError when the stream cannot be asked */
export async function witnessesOf(jsm: JetStreamManager, stream: string): Promise<WitnessProgress[]> {
  const found: WitnessProgress[] = [];
  for await (const info of jsm.consumers.list(stream)) {
    if (info.name.startsWith(prefix)) found.push(progressOf(info));
  }
  return found.sort((a, b) => (a.witness < b.witness ? -1 : 1));
}

function progressOf({ name, ack_floor, num_pending, num_ack_pending, num_waiting }: ConsumerInfo): WitnessProgress {
  return {
    witness: name.slice(prefix.length),
    stored: ack_floor.stream_seq,
    lag: num_pending + num_ack_pending,
    present: num_waiting > 0,
  };
}

/**
 * The last sequence up to which this witness may have the log trimmed: what all of them have stored. One of those that are
 * present trims for all; the others get 0.
 */
export function trimLimit(
  all: readonly WitnessProgress[],
  own: { readonly witness: string; readonly stored: number },
): number {
  const first = all.find(({ present }) => present)?.witness ?? own.witness;
  return first === own.witness ? Math.min(own.stored, ...all.map(({ stored }) => stored)) : 0;
}
