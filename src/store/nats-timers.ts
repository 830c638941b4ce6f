/**
 * Timers as NATS message schedules: the servers keep them, replicated, and store a message under `<root>.due.…` when the
 * time has come (never early, by measure up to 260 ms late). One durable consumer hands each due message to one of the
 * processes that consume, and again if that process dies before it is done.
 */
import { AckPolicy, type Consumer, type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { type NatsConnection, nanos } from '@nats-io/nats-core';
import { type Backoff, backOff } from '../backoff.ts';
import { soonMissed } from '../bus/consuming.ts';
import { isClosed } from '../bus/jetstream-answer.ts';
import { decodeBody, encodeBody } from '../data/codec.ts';
import { FabricError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Namespace } from '../namespace.ts';
import { latestTime, type Timer, type TimerConsumer, type Timers } from './timers.ts';

export interface NatsTimersOptions {
  readonly nc: NatsConnection;
  readonly namespace: Namespace;
  readonly log: Log;
}

const consumerName = 'timers';
/** A due message that nobody takes for this long is left to the sweep. */
const dueKeptFor = '1h';
const betweenTries: Backoff = { first: 20, max: 500 };
const setDeadlineMs = 10_000;

export class NatsTimers implements Timers {
  readonly #options: NatsTimersOptions;

  constructor(options: NatsTimersOptions) {
    this.#options = options;
  }

  async set({ what, id, at }: Timer): Promise<void> {
    const { nc, namespace } = this.#options;
    if (at > latestTime) {
      throw new FabricError(
        'INVALID_REQUEST',
        `the timer ${what} of ${id} is set to ${at}; the latest time is ${latestTime}`,
      );
    }
    const js = jetstream(nc);
    const deadline = Date.now() + setDeadlineMs;
    const body = encodeBody({ what, id, at }, 'json');
    const schedule = { specification: new Date(at), target: namespace.dueSubject(what, id), ttl: dueKeptFor };
    for (let attempt = 0; ; attempt++) {
      try {
        await js.publish(namespace.timerSubject(what, id), body, { schedule, timeout: 1_000 });
        return;
      } catch (error) {
        if (isClosed(error) || Date.now() >= deadline) {
          throw new FabricError(
            'UNAVAILABLE',
            `the timer ${what} of ${id} could not be set; the sweep will find it`,
            undefined,
            { cause: error },
          );
        }
      }
      await backOff(betweenTries, attempt);
    }
  }

  async consume(handler: (timer: Timer) => Promise<void>): Promise<TimerConsumer> {
    const consumer = await this.#consumer();
    const messages = await consumer.consume({ max_messages: 100, ...soonMissed });
    const running = new Set<Promise<void>>();
    const loop = (async () => {
      for await (const message of messages) {
        const one = this.#handle(message, handler).finally(() => running.delete(one));
        running.add(one);
      }
    })();
    return {
      stop: async () => {
        messages.stop();
        await loop;
        await Promise.all(running);
      },
    };
  }

  async #handle(message: JsMsg, handler: (timer: Timer) => Promise<void>): Promise<void> {
    let timer: Timer | undefined;
    try {
      timer = timerOf(message.data);
      if (!timer) {
        this.#options.log.error({ subject: message.subject }, 'what was due is no timer; it is dropped');
        message.term();
        return;
      }
      // A clock behind the servers' would find the timer early; it comes again when it is due here, too.
      const early = timer.at - Date.now();
      if (early > 0) {
        message.nak(early);
        return;
      }
      await handler(timer);
      message.ack();
    } catch (error) {
      this.#options.log.warn({ err: error, timer }, 'a due timer was not handled; it comes again');
      message.nak(1_000);
    }
  }

  async #consumer(): Promise<Consumer> {
    const { nc, namespace } = this.#options;
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    await jsm.consumers.add(namespace.timersStream, {
      durable_name: consumerName,
      filter_subject: `${namespace.root}.due.>`,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(10_000),
      max_ack_pending: 1_000,
    });
    return await jetstream(nc).consumers.get(namespace.timersStream, consumerName);
  }
}

/** Undefined for anything but a timer. */
function timerOf(body: Uint8Array): Timer | undefined {
  let timer: Partial<Timer>;
  try {
    timer = decodeBody(body, 'json');
  } catch {
    return undefined;
  }
  const { what, id, at } = timer;
  return typeof what === 'string' && typeof id === 'string' && typeof at === 'number' ? { what, id, at } : undefined;
}
