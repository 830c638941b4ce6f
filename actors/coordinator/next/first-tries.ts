/**
 * Tasks that another process made available. It tries them first, for callers of its own; here they are held for a few
 * milliseconds, so that processes do not race for every new task.
 */
import type { AvailableTasks } from './available-tasks.ts';
import type { Delayed } from './delayed.ts';
import type { AvailableTask, TaskProfile } from './task-profile.ts';

/**
 * In times that a claim takes, with one millisecond added: the claim of the one that tries first has to be seen. Chosen at
 * random in between, so that the others do not race either.
 */
const headStart = { least: 1, most: 4 };
const longestMs = 100;

interface FirstTriesOptions {
  readonly tasks: AvailableTasks;
  readonly delayed: Delayed;
  /** How long it takes until a claim that began elsewhere is seen here, milliseconds. */
  readonly patienceMs: () => number;
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
    const { tasks, delayed, random, patienceMs } = this.#options;
    tasks.hold(task);
    const claims = headStart.least + random() * (headStart.most - headStart.least);
    const ms = Math.min(longestMs, 1 + claims * patienceMs());
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
