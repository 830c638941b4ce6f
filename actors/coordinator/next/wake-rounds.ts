/**
 * Brings callers who wait and tasks together, in rounds: all that happened since the last round is one piece of work, so
 * that a commit that makes 1,000 tasks available is looked at once.
 *
 * After a round no task is available that fits a caller who waits. So tasks that become available are only compared with
 * the callers, and a swarm that may have more than before only with the tasks that are there.
 */
import type { AvailableTasks } from './available-tasks.ts';
import { type HeapItem, OrderedHeap } from './ordered-heap.ts';
import type { Caller, ParkedCallers } from './parked-callers.ts';
import { type AvailableTask, isBefore, type TaskProfile } from './task-profile.ts';

export interface WakeRoundsOptions<C extends Caller> {
  readonly parked: ParkedCallers<C>;
  readonly tasks: AvailableTasks;
  /** Whether tasks of this profile may be claimed at all now. */
  readonly isOpen: (profile: TaskProfile) => boolean;
  /** The task that a caller should try, held; undefined when there is none. */
  readonly choose: (caller: C) => AvailableTask | undefined;
  /** Tries a task, which is held, for a caller who is no longer parked. */
  readonly wake: (caller: C, task: AvailableTask) => void;
}

/** The next task of a profile. */
interface Offer extends HeapItem {
  readonly profile: TaskProfile;
  task: AvailableTask;
}

export class WakeRounds<C extends Caller> {
  readonly #options: WakeRoundsOptions<C>;
  readonly #profiles = new Set<TaskProfile>();
  readonly #swarms = new Set<string>();
  #next: NodeJS.Immediate | undefined;
  #stopped = false;

  constructor(options: WakeRoundsOptions<C>) {
    this.#options = options;
  }

  /** Tasks of this profile may have become available. */
  offer(profile: TaskProfile): void {
    this.#profiles.add(profile);
    this.#schedule();
  }

  /** The swarm may have tasks that it could not have before. */
  retry(swarmId: string): void {
    this.#swarms.add(swarmId);
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    clearImmediate(this.#next);
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#next ??= setImmediate(() => {
      this.#next = undefined;
      this.#offerAll();
      this.#retryAll();
    });
  }

  /** The first task of all goes to the caller whose turn it is, then the next one. */
  #offerAll(): void {
    const { parked, tasks, isOpen, wake } = this.#options;
    const offers = new OrderedHeap<Offer>((a, b) => isBefore(a.task, b.task));
    for (const profile of this.#profiles) {
      if (profile.first) offers.push({ profile, task: profile.first, position: -1 });
    }
    this.#profiles.clear();
    for (let offer = offers.first; offer && parked.size > 0; offer = offers.first) {
      const { profile, task } = offer;
      const caller = isOpen(profile) ? parked.fitting(profile) : undefined;
      if (caller) {
        tasks.hold(task);
        parked.take(caller);
        wake(caller, task);
      }
      if (caller && profile.first) {
        offer.task = profile.first;
        offers.moved(offer);
      } else offers.remove(offer);
    }
  }

  #retryAll(): void {
    const { parked, choose, wake } = this.#options;
    for (const swarmId of this.#swarms) {
      const inVain = new Set<string>();
      for (const caller of parked.of(swarmId)) {
        if (inVain.has(caller.types.key)) continue;
        const task = choose(caller);
        if (task) {
          parked.take(caller);
          wake(caller, task);
        } else inVain.add(caller.types.key);
      }
    }
    this.#swarms.clear();
  }
}
