/**
 * The tasks that are available now, in the order in which they are to be worked on: higher priority first, then older,
 * then by id. Built from records in any order of arrival: of one task the newest revision counts.
 *
 * Tasks that the same swarms qualify for share a profile, so that who may have a task is decided per profile and never
 * task by task.
 */
import { stateName } from '../../machines/record.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { type HeapItem, OrderedHeap } from './ordered-heap.ts';
import { RecentRevisions } from './recent-revisions.ts';

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
}

interface Entry extends AvailableTask, HeapItem {
  readonly profile: Profile;
}

interface Profile extends TaskProfile, HeapItem {
  readonly key: string;
  readonly tasks: OrderedHeap<Entry>;
  /** How many tasks have it, those that are held included. */
  members: number;
}

export class AvailableTasks {
  readonly #entries = new Map<string, Entry>();
  readonly #profiles = new Map<string, Profile>();
  /** Those that have a task that is not held. */
  readonly #offering = new OrderedHeap<Profile>((a, b) => isBefore(a.tasks.first!, b.tasks.first!));
  readonly #byConcurrencyKey = new Map<string, Set<Profile>>();
  readonly #gone = new RecentRevisions();

  /** Takes in a record of a task; answers with the task when it has become available with it. */
  apply({ record, revision }: StoredRecord): AvailableTask | undefined {
    const { id } = record;
    const present = this.#entries.get(id);
    if ((present && present.revision >= revision) || this.#gone.covers(id, revision)) return undefined;
    if (present) this.#remove(present);
    if (stateName(record.snapshot.value) !== 'available') {
      this.#gone.note(id, revision);
      return undefined;
    }
    this.#gone.forget(id);
    const { priority, created_at, ...task } = record.snapshot.context as TaskContext;
    const profile = this.#profileOf(task);
    const entry: Entry = { task_id: id, priority, created_at, revision, profile, position: -1 };
    this.#entries.set(id, entry);
    profile.members++;
    this.#offer(entry);
    return entry;
  }

  /** How many tasks are available, those that are held included. */
  get size(): number {
    return this.#entries.size;
  }

  get profileCount(): number {
    return this.#profiles.size;
  }

  /** Whether nothing newer is known of the task. */
  isCurrent(task: AvailableTask): boolean {
    return this.#entries.get(task.task_id) === task;
  }

  /** Keeps a task from being a candidate until it is let go, or a newer record of it arrives. */
  hold(task: AvailableTask): void {
    const entry = this.#entries.get(task.task_id);
    if (entry === task) this.#withdraw(entry);
  }

  /** Makes a task that was held a candidate again; false when a newer record of it has arrived. */
  letGo(task: AvailableTask): boolean {
    const entry = this.#entries.get(task.task_id);
    if (entry !== task) return false;
    if (entry.position < 0) this.#offer(entry);
    return true;
  }

  /** Those that are not held, of the profiles that pass, in order. Nothing may change while they are read. */
  *candidates(qualifies: (profile: TaskProfile) => boolean): Generator<AvailableTask, void, undefined> {
    const open = new OrderedHeap<Source>((a, b) => isBefore(a.task, b.task));
    // Profiles come in the order of their first tasks, so those behind the best task found so far can wait.
    const profiles = this.#offering.inOrder();
    let profile = profiles.next().value;
    for (;;) {
      for (
        ;
        profile && (!open.first || isBefore(profile.tasks.first!, open.first.task));
        profile = profiles.next().value
      ) {
        if (!qualifies(profile)) continue;
        const rest = profile.tasks.inOrder();
        open.push({ task: rest.next().value!, rest, position: -1 });
      }
      const source = open.first;
      if (!source) return;
      yield source.task;
      const next = source.rest.next().value;
      if (next) {
        source.task = next;
        open.moved(source);
      } else open.remove(source);
    }
  }

  /** The profiles of tasks that share this key. */
  profilesOfKey(concurrencyKey: string): Iterable<TaskProfile> {
    return this.#byConcurrencyKey.get(concurrencyKey) ?? [];
  }

  #offer(entry: Entry): void {
    const { profile } = entry;
    profile.tasks.push(entry);
    if (profile.position < 0) this.#offering.push(profile);
    else this.#offering.moved(profile);
  }

  #withdraw(entry: Entry): void {
    if (entry.position < 0) return;
    const { profile } = entry;
    const { tasks } = profile;
    // Out of the outer heap first: without a first task it has no place there.
    if (tasks.size === 1) this.#offering.remove(profile);
    tasks.remove(entry);
    if (tasks.size > 0) this.#offering.moved(profile);
  }

  #remove(entry: Entry): void {
    this.#withdraw(entry);
    this.#entries.delete(entry.task_id);
    const { profile } = entry;
    if (--profile.members > 0) return;
    this.#profiles.delete(profile.key);
    const { concurrency_key } = profile;
    if (concurrency_key === null) return;
    const sharing = this.#byConcurrencyKey.get(concurrency_key);
    sharing?.delete(profile);
    if (sharing?.size === 0) this.#byConcurrencyKey.delete(concurrency_key);
  }

  #profileOf(task: Omit<TaskContext, 'priority' | 'created_at'>): Profile {
    const { task_type, concurrency_key } = task;
    const requires = [...task.requires].sort();
    const requires_key = JSON.stringify(requires);
    const concurrency_limit = concurrency_key === null ? Number.POSITIVE_INFINITY : (task.concurrency_limit ?? 1);
    const cost_estimate = task.cost_estimate ?? 0;
    const key = JSON.stringify([task_type, requires_key, concurrency_key, concurrency_limit, cost_estimate]);
    const present = this.#profiles.get(key);
    if (present) return present;
    const tasks = new OrderedHeap<Entry>(isBefore);
    const profile: Profile = {
      key,
      task_type,
      requires,
      requires_key,
      concurrency_key,
      concurrency_limit,
      cost_estimate,
      tasks,
      members: 0,
      position: -1,
      get first() {
        return tasks.first;
      },
    };
    this.#profiles.set(key, profile);
    if (concurrency_key !== null) {
      const sharing = this.#byConcurrencyKey.get(concurrency_key) ?? new Set();
      this.#byConcurrencyKey.set(concurrency_key, sharing.add(profile));
    }
    return profile;
  }
}

/** The tasks of one profile while the profiles are merged: the next one, and those after it. */
interface Source extends HeapItem {
  task: Entry;
  readonly rest: Generator<Entry, void, undefined>;
}

/** Higher priority first, then older, then by id. */
export function isBefore(a: AvailableTask, b: AvailableTask): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority;
  if (a.created_at !== b.created_at) return a.created_at < b.created_at;
  return a.task_id < b.task_id;
}
