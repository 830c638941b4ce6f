/** Tasks that are kept for one swarm, or while one is being chosen: when that time is over, they are anybody's. */
import type { Clock } from '../../../src/clock.ts';
import type { AvailableTasks } from './available-tasks.ts';
import type { Delayed } from './delayed.ts';
import type { AvailableTask, TaskProfile } from './task-profile.ts';

export interface KeptTasksOptions {
  readonly tasks: AvailableTasks;
  readonly delayed: Delayed;
  readonly clock: Pick<Clock, 'now'>;
  /** A task of this profile can be tried by anybody now. */
  readonly onOpen: (profile: TaskProfile) => void;
}

/** What one timer of the process waits for at most, milliseconds. */
const longestWaitMs = 2 ** 31 - 1;

export class KeptTasks {
  readonly #options: KeptTasksOptions;

  constructor(options: KeptTasksOptions) {
    this.#options = options;
  }

  /** Opens the task at the end of its time, unless something newer is known of it then. */
  keep(task: AvailableTask): void {
    const { tasks, delayed, clock, onOpen } = this.#options;
    if (task.kept_until === null || !tasks.isCurrent(task)) return;
    const ms = task.kept_until - clock.now();
    if (ms > 0) {
      // Timers of the process come up to a millisecond early.
      delayed.after(Math.min(longestWaitMs, ms + 1), () => this.keep(task));
      return;
    }
    const opened = tasks.open(task);
    if (opened) onOpen(opened.profile);
  }
}
