/**
 * Tasks that another process made available. It tries them first, for callers of its own; here they are held for a few
 * milliseconds, so that processes do not race for every new task.
 */
import type { AvailableTask, AvailableTasks, TaskProfile } from './available-tasks.ts';
import type { Delayed } from './delayed.ts';

/** Milliseconds; chosen at random, since the processes that do not have the first try are not to race either. */
const head = { least: 2, most: 8 };

interface FirstTriesOptions {
  readonly tasks: AvailableTasks;
  readonly delayed: Delayed;
  /** At least 0, less than 1. */
  readonly random: () => number;
  /** A task of this profile can be tried here, and nobody was faster. */
  readonly onOver: (profile: TaskProfile) => void;
}

export class FirstTries {
  readonly #options: FirstTriesOptions;
  readonly #left = new Map<string, { task: AvailableTask; callOff: () => void }>();

  constructor(options: FirstTriesOptions) {
    this.#options = options;
  }

  /** Leaves the first try of this task to the process that made it available. */
  leave(task: AvailableTask): void {
    const { tasks, delayed, random } = this.#options;
    tasks.hold(task);
    const ms = head.least + random() * (head.most - head.least);
    const callOff = delayed.after(ms, () => this.#end(task));
    this.#left.set(task.task_id, { task, callOff });
  }

  /** It turned out that this process made the task available itself, with this revision. */
  isOurs(taskId: string, revision: number): void {
    const left = this.#left.get(taskId);
    if (left?.task.revision !== revision) return;
    left.callOff();
    this.#end(left.task);
  }

  #end(task: AvailableTask): void {
    if (this.#left.get(task.task_id)?.task === task) this.#left.delete(task.task_id);
    if (this.#options.tasks.letGo(task)) this.#options.onOver(task.profile);
  }
}
