/** How many tasks a worker does at a time, and which: the bound, and the ids of those in hand. */
export class Slots {
  readonly #limit: number;
  readonly #running = new Map<string, Promise<void>>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  has(task_id: string): boolean {
    return this.#running.has(task_id);
  }

  /** `running` must not reject. */
  add(task_id: string, running: Promise<void>): void {
    const done = running.finally(() => this.#running.delete(task_id));
    this.#running.set(task_id, done);
  }

  /** Resolves when there is room for one more. */
  async free(): Promise<void> {
    while (this.#running.size >= this.#limit) await Promise.race(this.#running.values());
  }

  /** Resolves when all are done. */
  async idle(): Promise<void> {
    await Promise.all(this.#running.values());
  }
}
