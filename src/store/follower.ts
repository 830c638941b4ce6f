/**
 * Follows the actors' log: first the last record of every actor, then each new one, in commit order. What is built from
 * it (indexes, lists, views) lags the log by about a millisecond; decisions are made on the log itself.
 */
import { DeliverPolicy, jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { isClosed } from '../bus/jetstream-answer.ts';
import { FabricError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Namespace } from '../namespace.ts';
import type { StoredRecord } from './record-log.ts';
import { recordFrom } from './record-message.ts';

export interface FollowOptions {
  readonly nc: NatsConnection;
  readonly namespace: Namespace;
  /** Kinds of actors to follow. Default: all. */
  readonly kinds?: readonly string[];
  readonly onRecord: (stored: StoredRecord) => void;
  readonly log: Log;
}

export interface Follower {
  /** The sequence of the last record that was seen. */
  readonly position: number;
  /** Resolves when every record up to this sequence was seen. @throws FabricError UNAVAILABLE after `timeoutMs` */
  reached(seq: number, timeoutMs?: number): Promise<void>;
  stop(): Promise<void>;
}

/** Resolves when what was in the log at the start has been seen. @throws FabricError UNAVAILABLE */
export async function follow(options: FollowOptions): Promise<Follower> {
  const { nc, namespace, kinds = ['*'] } = options;
  const waiting = new Set<{ seq: number; resolve: () => void }>();
  let position = 0;
  const advance = (seq: number) => {
    position = Math.max(position, seq);
    for (const waiter of waiting) {
      if (waiter.seq > position) continue;
      waiting.delete(waiter);
      waiter.resolve();
    }
  };

  const consumer = await jetstream(nc).consumers.get(namespace.actorsStream, {
    filter_subjects: kinds.map((kind) => `$KV.${namespace.actorsBucket}.${kind}.>`),
    deliver_policy: DeliverPolicy.LastPerSubject,
  });
  const { num_pending: atStart } = await consumer.info();
  const messages = await consumer.consume({ max_messages: 1_000 });
  let caughtUp: () => void = () => {};
  const start = new Promise<void>((resolve) => {
    caughtUp = resolve;
  });
  if (atStart === 0) caughtUp();
  const loop = (async () => {
    for await (const message of messages) {
      options.onRecord({ record: recordFrom(message.data), revision: message.seq });
      advance(message.seq);
      if (message.info.pending === 0) caughtUp();
    }
  })().catch((error: unknown) => {
    if (!isClosed(error)) options.log.error({ err: error }, 'following the log failed');
  });
  await start;

  return {
    get position() {
      return position;
    },
    async reached(seq, timeoutMs = 5_000) {
      if (position >= seq) return;
      await new Promise<void>((resolve, reject) => {
        const waiter = { seq, resolve };
        const timer = setTimeout(() => {
          waiting.delete(waiter);
          reject(new FabricError('UNAVAILABLE', `the view of the log has not reached ${seq} within ${timeoutMs} ms; try again`));
        }, timeoutMs);
        waiter.resolve = () => {
          clearTimeout(timer);
          resolve();
        };
        waiting.add(waiter);
      });
    },
    async stop() {
      messages.stop();
      await loop;
    },
  };
}
