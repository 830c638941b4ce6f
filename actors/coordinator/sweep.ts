/**
 * The net under timers and effects: round after round it looks for what should have happened without anyone having
 * noticed. It may find what another process is about to do; the machines decide once.
 */
import type { Log } from '../../src/log.ts';
import { Rounds } from '../../src/rounds.ts';

export interface SweepOptions {
  /** Each looks after one thing. One that fails does not keep the others from their turn. */
  readonly parts: Readonly<Record<string, () => Promise<void> | void>>;
  readonly log: Log;
  /** Milliseconds between two rounds. Default 1,000. */
  readonly everyMs?: number;
}

export class Sweep {
  readonly #rounds: Rounds;

  constructor({ parts, log, everyMs = 1_000 }: SweepOptions) {
    const round = async (signal: AbortSignal) => {
      for (const [part, run] of Object.entries(parts)) {
        if (signal.aborted) return;
        try {
          await run();
        } catch (error) {
          log.warn({ err: error, part }, 'a sweep was not finished; the next one goes on');
        }
      }
    };
    this.#rounds = new Rounds(everyMs, round, () => {});
  }

  async stop(): Promise<void> {
    await this.#rounds.stop();
  }
}
