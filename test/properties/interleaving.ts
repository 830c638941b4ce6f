/**
 * The order in which concurrent things go on: whoever wants to touch what is shared takes a turn, and fast-check's
 * scheduler picks whose turn it is among all that wait. Nothing moves between two turns, so that a failure can be repeated.
 */
import { setTimeout as realDelay } from 'node:timers/promises';
import type fc from 'fast-check';

/** Nobody has a turn to take for so long, although something is not done: it hangs. Milliseconds of real time. */
const longestSilenceMs = 5_000;
/** Far more turns than anything takes that comes to an end. */
const mostTurns = 100_000;

export class Interleaving {
  readonly #scheduler: fc.Scheduler;
  #turns = 0;

  constructor(scheduler: fc.Scheduler) {
    this.#scheduler = scheduler;
  }

  /** Resolves when it is this one's turn. */
  async turn(label: string): Promise<void> {
    await this.#scheduler.schedule(Promise.resolve(), label);
  }

  /** Gives out turns until this is done; what others began goes on meanwhile. Rejects as it does, or when it hangs. */
  async until<Result>(done: Promise<Result>): Promise<Result> {
    let over = false;
    const end = () => {
      over = true;
    };
    done.then(end, end);
    let silentMs = 0;
    for (await settled(); !over; await settled()) {
      if (this.#scheduler.count() > 0) {
        await this.#next();
        silentMs = 0;
      } else if (silentMs++ > longestSilenceMs) {
        throw new Error('something was begun that never ends: nobody waits for a turn, and it is not done');
      } else await realDelay(1);
    }
    return await done;
  }

  /** Gives out turns until nobody wants one. */
  async idle(): Promise<void> {
    for (await settled(); this.#scheduler.count() > 0; await settled()) await this.#next();
  }

  async #next(): Promise<void> {
    if (this.#turns++ > mostTurns) throw new Error(`after ${mostTurns} turns there is still no end`);
    await this.#scheduler.waitOne();
  }
}

/** Lets everything run that can run without a turn. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
