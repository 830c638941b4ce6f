/**
 * Reading one's own mailbox: tasks that others push, calls for help, words of control. Messages come one at a time, oldest
 * first, at least once; one that comes again is recognised by its id and not handed out twice. What is not handled is kept
 * by the fabric until it is, or until its age limit, when its sender is told.
 */
import { type Consumer, type JsMsg, jetstream } from '@nats-io/jetstream';
import { LRUCache } from 'lru-cache';
import { type Backoff, backOff } from '../backoff.ts';
import type { FabricClient } from '../bus/client.ts';
import { soonMissed } from '../bus/consuming.ts';
import { FabricError } from '../errors.ts';
import { decodeMessage, type MailboxMessage } from '../store/mailbox-message.ts';
import { mailboxAckWaitMs } from '../store/streams.ts';
import type { Task } from './task.ts';
import type { Trouble } from './trouble.ts';

export interface MailboxOptions {
  /** Of `join`; its swarm must have registered, or been invited, before there is a mailbox. One reader per swarm id. */
  readonly client: FabricClient;
  /** Abort it to stop. */
  readonly signal: AbortSignal;
  /**
   * Handles a message, which is acknowledged when this returns, and comes again after a second when it throws. `signal` is
   * the one above: what is handled meanwhile may still end, and is acknowledged.
   */
  readonly onMessage: (message: MailboxMessage<Task>, signal: AbortSignal) => Promise<void> | void;
  /** Told when the mailbox cannot be read at present, or a message was not handled; must not throw. */
  readonly onTrouble?: (trouble: Trouble) => void;
}

const betweenTries: Backoff = { first: 100, max: 5_000 };
/** Ids of handled messages that are remembered: more than can be unacknowledged at a time. */
const remembered = 10_000;
const againAfterMs = 1_000;

/** Reads until `signal` aborts, then resolves; acknowledgements have left by then. @throws FabricError UNAVAILABLE when the connection was closed */
export async function readMailbox(options: MailboxOptions): Promise<void> {
  const { client, signal, onTrouble = () => {} } = options;
  const handled = new LRUCache<string, true>({ max: remembered });
  let consumer: Consumer | undefined;
  let failures = 0;
  while (!signal.aborted) {
    try {
      consumer ??= await open(client);
      await readNext(consumer, options, handled);
      failures = 0;
    } catch (error) {
      if (signal.aborted) break;
      const message = error instanceof Error ? error.message : String(error);
      if (client.connection.isClosed())
        throw new FabricError('UNAVAILABLE', 'the connection to the cluster was closed', undefined, { cause: error });
      onTrouble({ type: 'trouble', code: 'UNAVAILABLE', message: `the mailbox cannot be read: ${message}` });
      await backOff(betweenTries, failures++, signal).catch(() => {});
    }
  }
  await client.connection.flush().catch(() => {});
}

async function open({ connection, namespace, callerId }: FabricClient): Promise<Consumer> {
  return await jetstream(connection).consumers.get(namespace.inboxStream, namespace.mailboxConsumer(callerId));
}

/** Handles the next message, or returns after ten seconds without one. */
async function readNext(consumer: Consumer, options: MailboxOptions, handled: LRUCache<string, true>): Promise<void> {
  const { signal } = options;
  // One at a time: what is fetched ahead would wait behind a slow handler, and for the next reader when this one leaves.
  const messages = await consumer.fetch({ max_messages: 1, ...soonMissed });
  const stop = () => messages.stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    if (signal.aborted) return stop();
    for await (const message of messages) await handle(message, options, handled);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function handle(
  raw: JsMsg,
  { onMessage, onTrouble = () => {}, signal }: MailboxOptions,
  handled: LRUCache<string, true>,
): Promise<void> {
  const message = decodeMessage<Task>(raw.data);
  if (!message) {
    onTrouble({ type: 'trouble', code: 'INVALID_REQUEST', message: `no message of the fabric: ${raw.subject}` });
    raw.term();
    return;
  }
  if (!handled.has(message.id)) {
    const working = setInterval(() => raw.working(), mailboxAckWaitMs / 3);
    try {
      await onMessage(message, signal);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      onTrouble({ type: 'trouble', code: 'INTERNAL', message: `the message ${message.id} was not handled: ${why}` });
      raw.nak(againAfterMs);
      return;
    } finally {
      clearInterval(working);
    }
    handled.set(message.id, true);
  }
  raw.ack();
}
