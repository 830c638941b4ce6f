/** Work that comes round again: one round after another, with a pause between; a round that fails is tried again next time. */
import { setTimeout as delay } from 'node:timers/promises';

export class Rounds {
  readonly #stopping = new AbortController();
  readonly #loop: Promise<void>;

  /** The first round comes after `everyMs` milliseconds. `round` ends early when its signal aborts. */
  constructor(everyMs: number, round: (signal: AbortSignal) => Promise<void>, onFailure: (error: unknown) => void) {
    this.#loop = this.#run(everyMs, round, onFailure);
  }

  /** Lets the present round end; there is none after it. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(
    everyMs: number,
    round: (signal: AbortSignal) => Promise<void>,
    onFailure: (error: unknown) => void,
  ): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await delay(everyMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      await round(signal).catch(onFailure);
    }
  }
}
