/**
 * The state of every task of the demo's board as it changes: events tell it at once, and a list now and then makes up for
 * events that were lost. A board on which nothing moves for long, or a task of which fails, is given up.
 */
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import type { Task } from '../sdk/task.ts';
import { type TaskEvents, watchTasks } from '../sdk/task-events.ts';

export interface BoardWatchOptions {
  /** An operator's. */
  readonly client: FabricClient;
  readonly namespace: Namespace;
  readonly onChange: (completed: number) => void;
  readonly onFailure: (reason: FabricError) => void;
}

/** How often the board is listed, and how long nothing may move, milliseconds. */
const listEveryMs = 1_000;
const stalledAfterMs = 30_000;

export class BoardWatch {
  readonly #options: BoardWatchOptions;
  readonly #completed = new Set<string>();
  readonly #events: TaskEvents;
  readonly #timer: NodeJS.Timeout;
  #lastMove = performance.now();
  #check: () => void = () => {};

  constructor(options: BoardWatchOptions) {
    this.#options = options;
    this.#events = watchTasks(options.client, options.namespace, (event) => this.#note(event));
    this.#timer = setInterval(() => void this.#list(), listEveryMs);
  }

  get ready(): Promise<void> {
    return this.#events.ready;
  }

  /** Resolves when all of these are completed. */
  async completed(taskIds: readonly string[]): Promise<void> {
    this.#lastMove = performance.now();
    await new Promise<void>((resolve) => {
      this.#check = () => {
        if (taskIds.every((task_id) => this.#completed.has(task_id))) resolve();
      };
      this.#check();
    });
  }

  close(): void {
    this.#events.close();
    clearInterval(this.#timer);
    this.#check = () => {};
  }

  #note({ task_id, state }: { readonly task_id: string; readonly state: string }): void {
    if (state === 'failed' || state === 'cancelled') void this.#giveUp(task_id, state);
    if (state !== 'completed') return;
    if (this.#completed.has(task_id)) return;
    this.#lastMove = performance.now();
    this.#completed.add(task_id);
    this.#options.onChange(this.#completed.size);
    this.#check();
  }

  async #list(): Promise<void> {
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
          `no task was completed for ${stalledAfterMs / 1_000} s: ${open.slice(0, 5).join(', ')}; repeat the demo, and use --keep to look into its logs`,
        ),
      );
    } catch (error) {
      if (error instanceof FabricError && performance.now() - this.#lastMove >= stalledAfterMs) onFailure(error);
    }
  }

  async #giveUp(task_id: string, state: string): Promise<void> {
    const task = await this.#options.client.request<Task>('task', 'get', { task_id }).catch(() => undefined);
    const error = task?.error as { message?: unknown } | null | undefined;
    const why = typeof error?.message === 'string' ? `: ${error.message}` : '';
    this.#options.onFailure(
      new FabricError(
        'TASK_NOT_AVAILABLE',
        `the task ${task_id} ${state === 'failed' ? 'has failed' : 'was cancelled'}${why}`,
      ),
    );
  }
}
