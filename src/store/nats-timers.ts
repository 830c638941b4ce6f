/**
 * Timers as NATS message schedules: the servers keep them, replicated, and store a message under `<root>.due.…` when the
 * time has come (never early, by measure up to 260 ms late). One durable consumer for each service, of the kinds that are
 * its own, hands each due message to one of its processes, and again if that process dies before it is done.
 */
import { AckPolicy, type Consumer, type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { type NatsConnection, nanos } from '@nats-io/nats-core';
import type { Json } from '../../machines/record.ts';
import { soonMissed } from '../bus/consuming.ts';
import { decodeBody } from '../data/codec.ts';
import { FabricError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Namespace } from '../namespace.ts';
import type { LeaderReadOptions } from './leader-read.ts';
import { SubjectHeads } from './subject-heads.ts';
import {
  latestTime,
  type PendingTimer,
  type Timer,
  type TimerConsumer,
  type TimerKinds,
  type Timers,
} from './timers.ts';

export interface NatsTimersOptions extends LeaderReadOptions {
  readonly nc: NatsConnection;
  readonly namespace: Namespace;
  readonly log: Log;
}

/** A due message that nobody takes for this long is left to the sweep; until then it takes memory on every node. */
const dueKeptFor = '60s';

export class NatsTimers implements Timers {
  readonly #options: NatsTimersOptions;
  readonly #heads: SubjectHeads;

  constructor(options: NatsTimersOptions) {
    this.#options = options;
    this.#heads = new SubjectHeads(options.nc, options.namespace.timersStream, options);
  }

  async set(timer: Timer): Promise<number> {
    // Without a condition there is always a revision.
    return (await this.#schedule(timer)) ?? 0;
  }

  async get(what: string, id: string): Promise<PendingTimer | undefined> {
    const head = await this.#heads.read(this.#options.namespace.timerSubject(what, id));
    const timer = head && timerOf(head.body);
    if (!timer) return undefined;
    const { at, data } = timer;
    return { at, revision: head.revision, ...(data === undefined ? {} : { data }) };
  }

  async replace(timer: Timer, expectedRevision: number): Promise<number | undefined> {
    const revision = await this.#schedule(timer, expectedRevision);
    if (revision !== undefined || expectedRevision !== 0) return revision;
    // What was cancelled a moment ago is still there, and is no timer.
    const head = await this.#heads.read(this.#options.namespace.timerSubject(timer.what, timer.id));
    if (head && timerOf(head.body)) return undefined;
    return await this.#schedule(timer, head?.revision ?? 0);
  }

  /** A message that is no schedule takes the place of the one that was, and is gone a second later. */
  async cancel(what: string, id: string, onlyRevision?: number): Promise<void> {
    const subject = this.#options.namespace.timerSubject(what, id);
    await this.#heads.write(subject, {}, { 'Nats-Rollup': 'sub', 'Nats-TTL': '1s' }, onlyRevision);
  }

  async #schedule({ what, id, at, data }: Timer, expected?: number): Promise<number | undefined> {
    const { namespace } = this.#options;
    if (!(at <= latestTime)) {
      throw new FabricError(
        'INVALID_REQUEST',
        `the timer ${what} of ${id} is set to ${at}; the latest time is ${latestTime}`,
      );
    }
    const body = data === undefined ? { what, id, at } : { what, id, at, data };
    const schedule = {
      'Nats-Schedule': `@at ${new Date(at).toISOString()}`,
      'Nats-Schedule-Target': namespace.dueSubject(what, id),
      'Nats-Schedule-TTL': dueKeptFor,
    };
    return await this.#heads.write(namespace.timerSubject(what, id), body, schedule, expected);
  }

  async consume(handler: (timer: Timer) => Promise<void>, of?: TimerKinds): Promise<TimerConsumer> {
    const consumer = await this.#consumer(of);
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
      timer = timerOf(bodyOf(message.data));
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

  async #consumer(of: TimerKinds | undefined): Promise<Consumer> {
    const { nc, namespace } = this.#options;
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    const name = of ? `timers-${of.name}` : 'timers';
    // Each kind has ids of its own behind it, which may hold dots.
    const filters = of ? of.kinds.map((what) => `${namespace.root}.due.${what}.>`) : [`${namespace.root}.due.>`];
    await jsm.consumers.add(namespace.timersStream, {
      durable_name: name,
      filter_subjects: filters,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(10_000),
      max_ack_pending: 1_000,
    });
    return await jetstream(nc).consumers.get(namespace.timersStream, name);
  }
}

function bodyOf(bytes: Uint8Array): Record<string, unknown> {
  try {
    return decodeBody(bytes, 'json');
  } catch {
    return {};
  }
}

/** Undefined for anything but a timer. */
function timerOf({ what, id, at, data }: Readonly<Record<string, unknown>>): Timer | undefined {
  if (typeof what !== 'string' || typeof id !== 'string' || typeof at !== 'number') return undefined;
  return data === undefined ? { what, id, at } : { what, id, at, data: data as Json };
}
