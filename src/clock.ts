/** Time, injected: services use the system's clock, tests a simulated one. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

interface Scheduled {
  readonly at: number;
  readonly run: () => Promise<void>;
}

/** A clock that stands still until it is advanced, and runs what was scheduled in order of time. */
export class SimulatedClock implements Clock {
  #now: number;
  readonly #scheduled = new Set<Scheduled>();

  /** `start` in milliseconds since 1970. */
  constructor(start = 1_700_000_000_000) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  /** Runs `run` when the clock has reached `at`; answers with a function that takes it back. */
  schedule(at: number, run: () => Promise<void>): () => void {
    const scheduled = { at, run };
    this.#scheduled.add(scheduled);
    return () => this.#scheduled.delete(scheduled);
  }

  /** Moves on by `ms`, stopping at every scheduled time on the way. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      const due = [...this.#scheduled].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#scheduled.delete(due);
      this.#now = Math.max(this.#now, due.at);
      await due.run();
    }
    // Whoever advanced it meanwhile may have gone further.
    this.#now = Math.max(this.#now, until);
  }
}
