/** Timers on a simulated clock, for tests: advancing the clock delivers what is due. */
import type { SimulatedClock } from '../clock.ts';
import type { Timer, TimerConsumer, Timers } from './timers.ts';

export class MemoryTimers implements Timers {
  readonly #clock: SimulatedClock;
  readonly #pending = new Map<string, { timer: Timer; cancel: () => void }>();
  readonly #overdue: Timer[] = [];
  #handler: ((timer: Timer) => Promise<void>) | undefined;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  async set(timer: Timer): Promise<void> {
    const key = `${timer.what}.${timer.id}`;
    this.#pending.get(key)?.cancel();
    const cancel = this.#clock.schedule(timer.at, async () => {
      this.#pending.delete(key);
      if (this.#handler) await this.#handler(timer);
      else this.#overdue.push(timer);
    });
    this.#pending.set(key, { timer, cancel });
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
