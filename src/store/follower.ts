/**
 * Follows the actors' log: first the last record of every actor, then each new one, in commit order. What is built from
 * it (indexes, lists, views) lags the log by about a millisecond; decisions are made on the log itself.
 */
import { DeliverPolicy, type JsMsg, jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { soonMissed } from '../bus/consuming.ts';
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
  /** Whether the last record of an actor is known up to this revision, so that it need not be decoded. */
  readonly isKnown: (kind: string, id: string, revision: number) => boolean;
  /** Whether a record of an actor in this state is wanted at all, so that others need not be decoded. Default: every one. */
  readonly isWanted?: (kind: string, id: string, state: string) => boolean;
  readonly onRecord: (stored: StoredRecord) => void;
  readonly log: Log;
}

export interface Follower {
  /** Rejects when the log cannot be followed any further. */
  readonly failed: Promise<never>;
  /** The sequence of the last record that was seen. */
  readonly position: number;
  /** Resolves when every record up to this sequence was seen. @throws FabricError UNAVAILABLE after `timeoutMs` */
  reached(seq: number, timeoutMs?: number): Promise<void>;
  stop(): Promise<void>;
}

/** Resolves when what was in the log at the start has been seen. @throws FabricError UNAVAILABLE */
export async function follow(options: FollowOptions): Promise<Follower> {
  const { nc, namespace, kinds = ['*'], isKnown, isWanted } = options;
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
  const messages = await consumer.consume({ max_messages: 1_000, ...soonMissed });
  let stopped = false;
  let caughtUp: () => void = () => {};
  let fail: (error: unknown) => void = () => {};
  const start = new Promise<void>((resolve) => {
    caughtUp = resolve;
  });
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  if (atStart === 0) caughtUp();
  let seen = 0;
  const loop = (async () => {
    for await (const message of messages) {
      const [kind, id] = actorOf(message.subject);
      const isTaken =
        !isKnown(kind, id, message.seq) && (isWanted?.(kind, id, message.headers?.get('IF-State') ?? '') ?? true);
      if (isTaken) take(message, options);
      advance(message.seq);
      // While others write, something is always pending; what was there at the start has come by then.
      if (++seen >= atStart || message.info.pending === 0) caughtUp();
    }
    if (!stopped) throw new FabricError('UNAVAILABLE', 'the log is not followed any more');
  })().catch(fail);
  await Promise.race([start, failed]);

  return {
    failed,
    get position() {
      return position;
    },
    async reached(seq, timeoutMs = 5_000) {
      if (position >= seq) return;
      await new Promise<void>((resolve, reject) => {
        const waiter = { seq, resolve };
        const timer = setTimeout(() => {
          waiting.delete(waiter);
          reject(
            new FabricError(
              'UNAVAILABLE',
              `the view of the log has not reached ${seq} within ${timeoutMs} ms; try again`,
            ),
          );
        }, timeoutMs);
        waiter.resolve = () => {
          clearTimeout(timer);
          resolve();
        };
        waiting.add(waiter);
      });
    },
    async stop() {
      stopped = true;
      messages.stop();
      await loop;
    },
  };
}

function take(message: JsMsg, { onRecord, log }: FollowOptions): void {
  try {
    onRecord({ record: recordFrom(message.data), revision: message.seq });
  } catch (error) {
    // Not of this fabric's making; whoever wrote it there, the rest of the log goes on.
    log.error(
      { err: error, subject: message.subject, seq: message.seq },
      'a message of the log is no record; it is passed over',
    );
  }
}

/** The actor of `$KV.<bucket>.<kind>.<id>`; ids may hold dots, the others do not. */
function actorOf(subject: string): [kind: string, id: string] {
  const [, , kind = '', ...id] = subject.split('.');
  return [kind, id.join('.')];
}
