/**
 * Turns within this process: transactions that change the same busy actor take turns instead of conflicting with each
 * other. Only a matter of speed; between processes the compare-and-swap decides.
 */
export class Lanes {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `task` when those before it in the same lane are done. A lane whose turn fails goes on. */
  async run<Result>(lane: string, task: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(lane);
    const mine = before ? before.then(task, task) : task();
    this.#last.set(lane, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(lane) === mine) this.#last.delete(lane);
    }
  }
}
