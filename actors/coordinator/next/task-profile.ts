/**
 * What decides who may claim a task, and the order of those for whom it is the same. Tasks that the same swarms qualify
 * for share a profile, so that who may have a task is found out per profile and never task by task.
 */
import { type HeapItem, OrderedHeap } from './ordered-heap.ts';

/** All of a task that decides who may claim it, and when. */
export interface TaskProfile {
  readonly task_type: string;
  /** Sorted. */
  readonly requires: readonly string[];
  /** The same for equal lists, for tables of what was found out about them. */
  readonly requires_key: string;
  readonly concurrency_key: string | null;
  readonly concurrency_limit: number;
  /** US dollars. */
  readonly cost_estimate: number;
  /** Whose it is to claim for the time being; `nobody` while someone is being chosen, null for anybody's. */
  readonly kept_for: string | null;
  /** The first of its tasks that is not held; undefined when there is none. */
  readonly first: AvailableTask | undefined;
}

export interface AvailableTask {
  readonly task_id: string;
  readonly priority: number;
  readonly created_at: number;
  /** Of the record that made it available. */
  readonly revision: number;
  readonly profile: TaskProfile;
  /** Until when it is kept for someone, milliseconds since 1970; null for a task that is anybody's. */
  readonly kept_until: number | null;
  /** Whether this process made it available. */
  readonly own: boolean;
}

/** Is no swarm. */
export const nobody = '';

export interface TaskEntry extends AvailableTask, HeapItem {
  readonly profile: Profile;
  own: boolean;
}

/** A profile with its tasks. */
export class Profile implements TaskProfile, HeapItem {
  readonly key: string;
  readonly task_type: string;
  readonly requires: readonly string[];
  readonly requires_key: string;
  readonly concurrency_key: string | null;
  readonly concurrency_limit: number;
  readonly cost_estimate: number;
  readonly kept_for: string | null;
  readonly tasks = new OrderedHeap<TaskEntry>(isBefore);
  /** How many tasks have it, those that are held included. */
  members = 0;
  position = -1;

  constructor(key: string, content: Omit<TaskProfile, 'first'>) {
    this.key = key;
    this.task_type = content.task_type;
    this.requires = content.requires;
    this.requires_key = content.requires_key;
    this.concurrency_key = content.concurrency_key;
    this.concurrency_limit = content.concurrency_limit;
    this.cost_estimate = content.cost_estimate;
    this.kept_for = content.kept_for;
  }

  get first(): AvailableTask | undefined {
    return this.tasks.first;
  }
}

/** Lists of requirements, each kept once. */
export class Requirements {
  readonly #lists = new Map<string, Pick<TaskProfile, 'requires' | 'requires_key'>>();

  shared(names: readonly string[]): Pick<TaskProfile, 'requires' | 'requires_key'> {
    const requires = [...names].sort();
    const requires_key = JSON.stringify(requires);
    const present = this.#lists.get(requires_key);
    if (present) return present;
    const list = { requires, requires_key };
    this.#lists.set(requires_key, list);
    return list;
  }

  /** Forgets, now and then, those that no profile has. */
  keep(profiles: ReadonlyMap<string, TaskProfile>): void {
    if (this.#lists.size <= 2 * profiles.size + 16) return;
    this.#lists.clear();
    for (const { requires, requires_key } of profiles.values())
      this.#lists.set(requires_key, { requires, requires_key });
  }
}

/** Higher priority first, then older, then by id. */
export function isBefore(a: AvailableTask, b: AvailableTask): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority;
  if (a.created_at !== b.created_at) return a.created_at < b.created_at;
  return a.task_id < b.task_id;
}
