/**
 * The tasks that are available now, in the order in which they are to be worked on: higher priority first, then older,
 * then by id. Built from records in any order of arrival: of one task the newest revision counts.
 */
import { stateName } from '../../../machines/record.ts';
import type { TaskContext } from '../../../machines/task/context.ts';
import { type Clock, systemClock } from '../../../src/clock.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { RecentRevisions } from '../recent-revisions.ts';
import { concurrencyLimit } from '../tasks/semaphore-plan.ts';
import { type HeapItem, OrderedHeap } from './ordered-heap.ts';
import {
  type AvailableTask,
  isBefore,
  nobody,
  Profile,
  Requirements,
  type TaskEntry,
  type TaskProfile,
} from './task-profile.ts';

/** After so many profiles that do not qualify, it is cheaper to ask all of them in any order. */
const askedInOrder = 64;

export class AvailableTasks {
  readonly #entries = new Map<string, TaskEntry>();
  readonly #profiles = new Map<string, Profile>();
  /** Those that have a task that is not held. */
  readonly #offering = new OrderedHeap<Profile>((a, b) => isBefore(a.tasks.first!, b.tasks.first!));
  readonly #byConcurrencyKey = new Map<string, Set<Profile>>();
  readonly #requirements = new Requirements();
  readonly #gone = new RecentRevisions();
  readonly #clock: Pick<Clock, 'now'>;

  /** The clock tells for whom a task that was assigned is kept. Default: the system's. */
  constructor(clock: Pick<Clock, 'now'> = systemClock) {
    this.#clock = clock;
  }

  /**
   * Takes in a record of a task; answers with the task when it has become available with it. `own` says that this process
   * committed it; a record may be seen before that is known.
   */
  apply({ record, revision }: StoredRecord, own = false): AvailableTask | undefined {
    const { id } = record;
    const present = this.#entries.get(id);
    if (own && present?.revision === revision) present.own = true;
    if ((present && present.revision >= revision) || this.#gone.covers(id, revision)) return undefined;
    if (present) this.#remove(present);
    if (stateName(record.snapshot.value) !== 'available') {
      this.#gone.note(id, revision);
      return undefined;
    }
    this.#gone.forget(id);
    const { priority, created_at, ...task } = record.snapshot.context as TaskContext;
    const kept = task.assignment != null && task.assignment.until > this.#clock.now() ? task.assignment : null;
    const profile = this.#profileOf(task, kept && (kept.to ?? nobody));
    return this.#add({ task_id: id, priority, created_at, revision, kept_until: kept?.until ?? null, profile, own });
  }

  /** The time is over for which a task was kept: it is anybody's. Undefined when something newer is known of it. */
  open(task: AvailableTask): AvailableTask | undefined {
    const entry = this.#entries.get(task.task_id);
    if (entry !== task) return undefined;
    this.#remove(entry);
    return this.#add({
      ...entry,
      kept_until: null,
      profile: this.#shared({ ...contentOf(entry.profile), kept_for: null }),
    });
  }

  /** The profiles of tasks that have a price. */
  *priced(): Generator<TaskProfile, void, undefined> {
    for (const profile of this.#profiles.values()) if (profile.cost_estimate > 0) yield profile;
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
    const asked = new Set<Profile>();
    const ask = (profile: Profile) => {
      asked.add(profile);
      if (qualifies(profile)) open.push({ task: profile.tasks.first!, rest: undefined, position: -1 });
    };
    // Profiles come in the order of their first tasks, so those behind the best task found so far can wait.
    const profiles = this.#offering.inOrder();
    let profile = profiles.next().value;
    for (;;) {
      for (
        ;
        profile && !(open.first && isBefore(open.first.task, profile.tasks.first!));
        profile = profiles.next().value
      ) {
        ask(profile);
        if (asked.size - open.size > askedInOrder) {
          for (const other of this.#profiles.values()) if (other.position >= 0 && !asked.has(other)) ask(other);
          profile = undefined;
          break;
        }
      }
      const source = open.first;
      if (!source) return;
      yield source.task;
      source.rest ??= after(source.task);
      const next = source.rest.next().value;
      if (next) {
        source.task = next;
        open.moved(source);
      } else open.remove(source);
    }
  }

  /**
   * A task of the same profile and priority as one that is not held, not held either, chosen at random from about so many
   * that come next.
   */
  near(task: AvailableTask, range: number, random: () => number): AvailableTask {
    const entry = this.#entries.get(task.task_id);
    if (entry !== task || entry.position < 0) return task;
    const { tasks } = entry.profile;
    let position = Math.floor(random() * Math.min(range, tasks.size));
    // Whatever stands above has at least the same priority, up to the first of all.
    while (tasks.at(position)!.priority < task.priority) position = (position - 1) >> 1;
    return tasks.at(position)!;
  }

  /** The profiles of tasks that share this key. */
  profilesOfKey(concurrencyKey: string): Iterable<TaskProfile> {
    return this.#byConcurrencyKey.get(concurrencyKey) ?? [];
  }

  #add(task: Omit<TaskEntry, 'position'>): AvailableTask {
    const entry: TaskEntry = { ...task, position: -1 };
    this.#entries.set(entry.task_id, entry);
    entry.profile.members++;
    this.#offer(entry);
    return entry;
  }

  #offer(entry: TaskEntry): void {
    const { profile } = entry;
    profile.tasks.push(entry);
    if (profile.position < 0) this.#offering.push(profile);
    else this.#offering.moved(profile);
  }

  #withdraw(entry: TaskEntry): void {
    if (entry.position < 0) return;
    const { profile } = entry;
    const { tasks } = profile;
    // Out of the outer heap first: without a first task it has no place there.
    if (tasks.size === 1) this.#offering.remove(profile);
    tasks.remove(entry);
    if (tasks.size > 0) this.#offering.moved(profile);
  }

  #remove(entry: TaskEntry): void {
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

  #profileOf(
    { task_type, concurrency_key, ...task }: Omit<TaskContext, 'priority' | 'created_at'>,
    kept_for: string | null,
  ): Profile {
    const concurrency_limit = concurrency_key === null ? Number.POSITIVE_INFINITY : concurrencyLimit(task);
    const cost_estimate = task.cost_estimate ?? 0;
    const requires = this.#requirements.shared(task.requires);
    return this.#shared({ task_type, ...requires, concurrency_key, concurrency_limit, cost_estimate, kept_for });
  }

  #shared(content: ProfileContent): Profile {
    const { task_type, requires_key, concurrency_key, concurrency_limit, cost_estimate, kept_for } = content;
    const keeper = kept_for === null ? '' : `for ${kept_for}`;
    // Only the last of them may hold a line feed.
    const key = `${requires_key}\n${cost_estimate}\n${concurrency_limit}\n${keeper}\n${concurrency_key ?? ''}\n${task_type}`;
    const present = this.#profiles.get(key);
    if (present) return present;
    const profile = new Profile(key, content);
    this.#profiles.set(key, profile);
    this.#requirements.keep(this.#profiles);
    if (concurrency_key !== null) {
      const sharing = this.#byConcurrencyKey.get(concurrency_key) ?? new Set();
      this.#byConcurrencyKey.set(concurrency_key, sharing.add(profile));
    }
    return profile;
  }
}

type ProfileContent = Omit<TaskProfile, 'first'>;

function contentOf(profile: TaskProfile): ProfileContent {
  const { task_type, requires, requires_key, concurrency_key, concurrency_limit, cost_estimate, kept_for } = profile;
  return { task_type, requires, requires_key, concurrency_key, concurrency_limit, cost_estimate, kept_for };
}

/** The tasks of a profile behind its first. */
function after(first: TaskEntry): Generator<TaskEntry, void, undefined> {
  const all = first.profile.tasks.inOrder();
  all.next();
  return all;
}

/** The tasks of one profile while the profiles are merged: the next one, and those after it. */
interface Source extends HeapItem {
  task: TaskEntry;
  rest: Generator<TaskEntry, void, undefined> | undefined;
}
