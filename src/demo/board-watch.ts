/**
 * The state of every task of the demo as it changes: events tell it at once, and a list now and then makes up for events
 * that were lost. A board on which nothing moves for long, or a task of which fails, is given up.
 */
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import type { Task } from '../sdk/task.ts';
import { type TaskEvents, watchTasks } from '../sdk/task-events.ts';

/** A task as it was seen last. */
export interface Sighting {
  readonly task_id: string;
  readonly state: string;
  readonly owner: string | null;
  readonly revision: number;
  /** By `performance.now()`. */
  readonly seen_at: number;
}

export interface BoardWatchOptions {
  /** An operator's. */
  readonly client: FabricClient;
  readonly onChange: (completed: number) => void;
  readonly onFailure: (reason: FabricError) => void;
}

/** How often the board is listed, and how long nothing may move, milliseconds. */
const listEveryMs = 1_000;
const stalledAfterMs = 30_000;

export class BoardWatch {
  readonly #options: BoardWatchOptions;
  readonly #tasks = new Map<string, Sighting>();
  readonly #events: TaskEvents;
  readonly #timer: NodeJS.Timeout;
  readonly #waiting = new Set<() => void>();
  /** When transitions were seen, in their order. */
  readonly #moves: number[] = [];
  #lastMove = performance.now();
  #listing = false;
  #closed = false;

  constructor(options: BoardWatchOptions) {
    this.#options = options;
    this.#events = watchTasks(options.client, options.client.namespace, (event) => this.#note(event));
    this.#timer = setInterval(() => void this.#list(), listEveryMs);
  }

  get ready(): Promise<void> {
    return this.#events.ready;
  }

  /** How many of these tasks are completed. */
  completedOf(taskIds: readonly string[]): number {
    return taskIds.filter((task_id) => this.#tasks.get(task_id)?.state === 'completed').length;
  }

  /** Whether someone works on one of these, or has. */
  hasBegun(taskIds: readonly string[]): boolean {
    return taskIds.some((task_id) => ['in_progress', 'completed'].includes(this.#tasks.get(task_id)?.state ?? ''));
  }

  /** Resolves as soon as the test holds, which is asked after every change. */
  async until(test: () => boolean): Promise<void> {
    this.#lastMove = performance.now();
    await new Promise<void>((resolve) => {
      const check = () => {
        if (this.#closed || !test()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  /** Resolves with the first sighting of a task that passes the test. */
  async sighted(task_id: string, test: (task: Sighting) => boolean): Promise<Sighting> {
    let found: Sighting | undefined;
    await this.until(() => {
      const task = this.#tasks.get(task_id);
      if (task && test(task)) found ??= task;
      return found !== undefined;
    });
    return found!;
  }

  async completed(taskIds: readonly string[]): Promise<void> {
    await this.until(() => this.completedOf(taskIds) === taskIds.length);
  }

  /** The longest time without a transition between two moments, by `performance.now()`, and when it ended. */
  longestPause(from: number, to: number): { readonly ms: number; readonly ended_at: number } {
    let longest = { ms: 0, ended_at: from };
    let last = from;
    for (const at of [...this.#moves.filter((move) => move > from && move < to), to]) {
      if (at - last > longest.ms) longest = { ms: at - last, ended_at: at };
      last = at;
    }
    return longest;
  }

  /** Whoever still waits is not told any more. */
  close(): void {
    this.#closed = true;
    this.#events.close();
    clearInterval(this.#timer);
    this.#waiting.clear();
  }

  #note({ task_id, state, owner, revision }: Omit<Sighting, 'seen_at'>): void {
    const known = this.#tasks.get(task_id);
    if (known && known.revision >= revision) return;
    if (state === 'failed' || state === 'cancelled') void this.#giveUp(task_id, state);
    this.#lastMove = performance.now();
    this.#moves.push(this.#lastMove);
    this.#tasks.set(task_id, { task_id, state, owner, revision, seen_at: this.#lastMove });
    if (state === 'completed') this.#options.onChange(this.completedOf([...this.#tasks.keys()]));
    for (const check of this.#waiting) check();
  }

  async #list(): Promise<void> {
    if (this.#listing) return;
    this.#listing = true;
    const { client, onFailure } = this.#options;
    try {
      const { tasks } = await client.request<{ tasks: Task[] }>('task', 'list', { limit: 1_000 });
      for (const task of tasks) this.#note(task);
      if (performance.now() - this.#lastMove < stalledAfterMs) return;
      const open = tasks
        .filter(({ state }) => state !== 'completed')
        .map(({ task_id, state, owner }) => `${task_id} is ${state}${owner === null ? '' : ` (${owner})`}`);
      if (open.length === 0) return;
      onFailure(
        new FabricError(
          'TIMEOUT',
          `nothing happened to any task for ${stalledAfterMs / 1_000} s: ${open.slice(0, 5).join(', ')}; repeat the demo, and use --keep to look into its logs`,
        ),
      );
    } catch (error) {
      if (error instanceof FabricError && performance.now() - this.#lastMove >= stalledAfterMs) onFailure(error);
    } finally {
      this.#listing = false;
    }
  }

  async #giveUp(task_id: string, state: string): Promise<void> {
    const task = await this.#options.client.request<Task>('task', 'get', { task_id }).catch(() => undefined);
    const error = task?.error as { message?: unknown } | string | null | undefined;
    const message = typeof error === 'object' ? error?.message : error;
    const why = typeof message === 'string' ? `: ${message}` : '';
    this.#options.onFailure(
      new FabricError(
        'TASK_NOT_AVAILABLE',
        `the task ${task_id} ${state === 'failed' ? 'has failed' : 'was cancelled'}${why}`,
      ),
    );
  }
}
