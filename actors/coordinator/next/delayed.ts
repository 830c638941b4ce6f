/** Things to do later in this process, all of which can be called off at once. They keep no process alive. */
export class Delayed {
  readonly #timers = new Set<NodeJS.Timeout>();
  #stopped = false;

  /** Runs `run` in `ms` milliseconds; answers with a function that calls it off. */
  after(ms: number, run: () => void): () => void {
    if (this.#stopped) return () => {};
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, ms);
    timer.unref();
    this.#timers.add(timer);
    return () => {
      clearTimeout(timer);
      this.#timers.delete(timer);
    };
  }

  /** Calls off everything, and takes nothing more. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
