/** Tasks that wait for a time: their timers, and the net for timers that were lost. */
import { stateName } from '../../../machines/record.ts';
import type { TaskContext } from '../../../machines/task/context.ts';
import type { Log } from '../../../src/log.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { Timer, Timers } from '../../../src/store/timers.ts';
import type { ActorIndex } from '../actor-index.ts';

export interface DueTasksOptions {
  readonly tasks: { due(task_id: string): Promise<void> };
  readonly index: Pick<ActorIndex, 'due'>;
  readonly timers: Timers;
  readonly log: Log;
}

/** Of one sweep; the next one takes the rest. */
const mostPerSweep = 1_000;

export class DueTasks {
  /** The kind of the timer that makes a waiting task available. */
  static readonly timer = 'task-due';
  readonly #options: DueTasksOptions;
  readonly #setting = new Set<Promise<void>>();

  constructor(options: DueTasksOptions) {
    this.#options = options;
  }

  /** Sets the timer of a task that waits for its time and nothing else. */
  committed({ record }: StoredRecord): void {
    if (record.kind !== 'task' || stateName(record.snapshot.value) !== 'waiting') return;
    const { due_at, open_dependencies } = record.snapshot.context as TaskContext;
    if (due_at === null || open_dependencies.length > 0) return;
    const { timers, log } = this.#options;
    const setting = timers
      .set({ what: DueTasks.timer, id: record.id, at: due_at })
      .then(
        () => {},
        (error: unknown) => log.warn({ err: error, task_id: record.id }, 'a timer was not set; the sweep finds it'),
      )
      .finally(() => this.#setting.delete(setting));
    this.#setting.add(setting);
  }

  /** Handles a due timer. @throws FabricError when it has to come again */
  async due({ id }: Timer): Promise<void> {
    await this.#options.tasks.due(id);
  }

  /** @throws FabricError UNAVAILABLE: the next sweep goes on */
  async sweep(): Promise<void> {
    for (const id of this.#options.index.due(Date.now(), mostPerSweep)) await this.#options.tasks.due(id);
  }

  /** Waits for timers that are being set. */
  async stop(): Promise<void> {
    await Promise.all(this.#setting);
  }
}
