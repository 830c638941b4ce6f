/** Timers on a simulated clock, for tests: advancing the clock delivers what is due. */
import type { SimulatedClock } from '../clock.ts';
import type { PendingTimer, Timer, TimerConsumer, Timers } from './timers.ts';

interface Waiting {
  readonly timer: Timer;
  readonly revision: number;
  readonly takeBack: () => void;
}

export class MemoryTimers implements Timers {
  readonly #clock: SimulatedClock;
  readonly #waiting = new Map<string, Waiting>();
  readonly #overdue: Timer[] = [];
  #revision = 0;
  #handler: ((timer: Timer) => Promise<void>) | undefined;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  async set(timer: Timer): Promise<number> {
    const key = keyOf(timer.what, timer.id);
    this.#waiting.get(key)?.takeBack();
    const takeBack = this.#clock.schedule(timer.at, async () => {
      this.#waiting.delete(key);
      if (this.#handler) await this.#handler(timer);
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

  async consume(handler: (timer: Timer) => Promise<void>): Promise<TimerConsumer> {
    this.#handler = handler;
    for (const timer of this.#overdue.splice(0)) await handler(timer);
    return {
      stop: async () => {
        this.#handler = undefined;
      },
    };
  }
}

function keyOf(what: string, id: string): string {
  return `${what}.${id}`;
}
