/**
 * What a worker knows of the tasks that are available: lists bring them in, events keep them up to date. Being wrong
 * costs a claim that is answered "taken", nothing else. Bounded: beyond the limit, the next list brings the rest.
 */
import type { TaskEvent } from './task-events.ts';

interface Known {
  readonly task_id: string;
  readonly task_type: string;
  readonly priority: number;
}

export class KnownTasks {
  readonly #known = new Map<string, number>();
  readonly #types: ReadonlySet<string> | undefined;
  readonly #limit: number;
  readonly #random: () => number;

  /** Without `types`, tasks of all types count. */
  constructor(types: readonly string[] | undefined, limit: number, random: () => number = Math.random) {
    this.#types = types && new Set(types);
    this.#limit = limit;
    this.#random = random;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Takes note of an available task; false when it is of another type, or there is no room. */
  add({ task_id, task_type, priority }: Known): boolean {
    if (this.#types && !this.#types.has(task_type)) return false;
    if (this.#known.size >= this.#limit && !this.#known.has(task_id)) return false;
    this.#known.set(task_id, priority);
    return true;
  }

  /** Takes note of a transition; true when it made a task available. */
  apply(event: TaskEvent): boolean {
    if (event.state === 'available') return this.add(event);
    this.#known.delete(event.task_id);
    return false;
  }

  /**
   * Removes and gives the next task to try: of those with the highest priority any, at random, so that workers that
   * know the same tasks do not all go for the same one.
   */
  take(): string | undefined {
    let best: string[] = [];
    let highest = Number.NEGATIVE_INFINITY;
    for (const [task_id, priority] of this.#known) {
      if (priority < highest) continue;
      if (priority > highest) best = [];
      highest = priority;
      best.push(task_id);
    }
    const chosen = best[Math.floor(this.#random() * best.length)];
    if (chosen !== undefined) this.#known.delete(chosen);
    return chosen;
  }
}
