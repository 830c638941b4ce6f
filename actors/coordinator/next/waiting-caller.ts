/** One request for a next task while it is being answered: who asks, for what, and how long it may wait. */
import type { Caller } from './parked-callers.ts';
import type { TypeFilter } from './type-filter.ts';

export class WaitingCaller<Answer> implements Caller {
  readonly swarm_id: string;
  readonly types: TypeFilter;
  readonly answered: Promise<Answer>;
  #resolve: (answer: Answer) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  /** When its time is over, by `performance.now`; undefined when it does not wait, or no longer. */
  #until: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `waitMs` counts from now; 0: it does not wait. */
  constructor(options: { swarm_id: string; types: TypeFilter; waitMs: number }) {
    this.swarm_id = options.swarm_id;
    this.types = options.types;
    this.#until = options.waitMs > 0 ? performance.now() + options.waitMs : undefined;
    this.answered = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Whether it is to wait when there is nothing for it. */
  get waits(): boolean {
    return this.#until !== undefined;
  }

  answer(answer: Answer): void {
    this.#resolve(answer);
  }

  fail(error: unknown): void {
    this.#reject(error);
  }

  /** Calls `over` when its time is over; once, however often it is asked to. */
  watch(over: () => void): void {
    if (this.#until !== undefined) this.#timer ??= setTimeout(over, Math.max(0, this.#until - performance.now()));
  }

  stopWaiting(): void {
    this.#until = undefined;
    clearTimeout(this.#timer);
  }
}
