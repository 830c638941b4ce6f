/** Timers on a simulated clock, for tests: advancing the clock delivers what is due. */
import type { SimulatedClock } from '../clock.ts';
import type { PendingTimer, Timer, TimerConsumer, TimerKinds, Timers } from './timers.ts';

interface Consuming {
  readonly handler: (timer: Timer) => Promise<void>;
  readonly of: TimerKinds | undefined;
}

interface Waiting {
  readonly timer: Timer;
  readonly revision: number;
  readonly takeBack: () => void;
}

export class MemoryTimers implements Timers {
  readonly #clock: SimulatedClock;
  readonly #waiting = new Map<string, Waiting>();
  readonly #consumers = new Set<Consuming>();
  #overdue: Timer[] = [];
  #revision = 0;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  async set(timer: Timer): Promise<number> {
    const key = keyOf(timer.what, timer.id);
    this.#waiting.get(key)?.takeBack();
    const takeBack = this.#clock.schedule(timer.at, async () => {
      this.#waiting.delete(key);
      const consumer = [...this.#consumers].find(({ of }) => takes(of, timer));
      if (consumer) await consumer.handler(timer);
      else this.#overdue.push(timer);
    });
    const revision = ++this.#revision;
    this.#waiting.set(key, { timer, revision, takeBack });
    return revision;
  }

  async get(what: string, id: string): Promise<PendingTimer | undefined> {
    const waiting = this.#waiting.get(keyOf(what, id));
    if (!waiting) return undefined;
    const { at, data } = waiting.timer;
    return { at, revision: waiting.revision, ...(data === undefined ? {} : { data }) };
  }

  async replace(timer: Timer, expectedRevision: number): Promise<number | undefined> {
    const present = this.#waiting.get(keyOf(timer.what, timer.id))?.revision ?? 0;
    return present === expectedRevision ? await this.set(timer) : undefined;
  }

  async cancel(what: string, id: string, onlyRevision?: number): Promise<void> {
    const key = keyOf(what, id);
    const waiting = this.#waiting.get(key);
    if (!waiting || (onlyRevision !== undefined && onlyRevision !== waiting.revision)) return;
    waiting.takeBack();
    this.#waiting.delete(key);
  }

  async consume(handler: (timer: Timer) => Promise<void>, of?: TimerKinds): Promise<TimerConsumer> {
    const consuming = { handler, of };
    this.#consumers.add(consuming);
    const overdue = this.#overdue.filter((timer) => takes(of, timer));
    this.#overdue = this.#overdue.filter((timer) => !takes(of, timer));
    for (const timer of overdue) await handler(timer);
    return {
      stop: async () => {
        this.#consumers.delete(consuming);
      },
    };
  }
}

function takes(of: TimerKinds | undefined, timer: Timer): boolean {
  return of === undefined || of.kinds.includes(timer.what);
}

function keyOf(what: string, id: string): string {
  return `${what}.${id}`;
}
