/**
 * The next task for a swarm: the first available one that it qualifies for, claimed. A caller that finds none may wait;
 * what makes a task available wakes the one caller that the task is for, and no other.
 *
 * Several processes may do this at once: a task is handed out by the one whose claim is committed.
 */
import type { SwarmState } from '../../../machines/swarm/context.ts';
import { type Clock, systemClock } from '../../../src/clock.ts';
import { FabricError } from '../../../src/errors.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { FleetKnown } from '../../fleet-known.ts';
import { hasWidened } from '../../swarm-index/known-swarm.ts';
import { SwarmIndex } from '../../swarm-index/swarm-index.ts';
import type { ClaimAnswer } from '../tasks/task-claims.ts';
import { AvailableTasks } from './available-tasks.ts';
import { ClaimAttempts, type Claimed } from './claim-attempts.ts';
import { Delayed } from './delayed.ts';
import { FirstTries } from './first-tries.ts';
import { Funds } from './funds.ts';
import { KeptTasks } from './kept-tasks.ts';
import { ParkedCallers } from './parked-callers.ts';
import { SemaphoresKnown } from './semaphores-known.ts';
import type { AvailableTask, TaskProfile } from './task-profile.ts';
import { TypeFilter } from './type-filter.ts';
import { WaitingCaller } from './waiting-caller.ts';
import { WakeRounds } from './wake-rounds.ts';

/** What a caller gets: a task as its claim answers it, or none. */
export type NextAnswer = Omit<Claimed, 'claimed'> | { readonly task: null };

export interface NextRequest {
  /** How long to wait for a task that fits, milliseconds. Default 0. */
  readonly wait_ms?: number | undefined;
  /** Only tasks of these types. Default: of all. */
  readonly task_types?: readonly string[] | undefined;
}

export interface NextTaskOptions {
  /** Claims a task. One that the swarm owned already must be refused: it is in the hands of another caller. */
  readonly claim: (by: string, task_id: string) => Promise<ClaimAnswer>;
  /** The swarm's last record, from the leader of the log. @throws FabricError UNAVAILABLE */
  readonly readSwarm: (swarmId: string) => Promise<StoredRecord | undefined>;
  /** Resolves when every record of a task that was committed before the call was applied. @throws FabricError UNAVAILABLE */
  readonly catchUp: () => Promise<void>;
  /** Policy, 0 to 1; asked whenever it matters. */
  readonly minCapabilityMatch: () => number;
  /** What is known of the whole fabric; given each record before `apply` is. Default: nothing. */
  readonly fleet?: FleetKnown;
  /** Default: the system's. */
  readonly clock?: Pick<Clock, 'now'>;
  /** Callers that may wait at a time, of all swarms and of one. Default 10,000 and 64; more are refused. */
  readonly maxParked?: number;
  readonly maxParkedPerSwarm?: number;
  /** At least 0, less than 1. Default `Math.random`. */
  readonly random?: () => number;
}

export interface NextTaskStats {
  /** Claims that were tried, and those of them that someone else was faster with. */
  readonly claims: number;
  readonly conflicts: number;
  /** Callers that wait now. */
  readonly parked: number;
  /** How often a caller that waited was offered a task. */
  readonly wakeups: number;
}

const none: NextAnswer = { task: null };

type Waiting = WaitingCaller<NextAnswer>;

export class NextTask {
  readonly swarms = new SwarmIndex();
  readonly semaphores = new SemaphoresKnown();
  readonly #options: NextTaskOptions;
  readonly #fleet: FleetKnown;
  readonly #tasks: AvailableTasks;
  readonly #funds: Funds;
  readonly #kept: KeptTasks;
  readonly #attempts: ClaimAttempts;
  readonly #parked: ParkedCallers<Waiting>;
  readonly #rounds: WakeRounds<Waiting>;
  readonly #firstTries: FirstTries;
  readonly #delayed = new Delayed();
  #stopped = false;
  #wasPaused = false;
  #wakeups = 0;

  constructor(options: NextTaskOptions) {
    this.#options = options;
    const { claim, minCapabilityMatch, random = Math.random, fleet = new FleetKnown(), clock = systemClock } = options;
    this.#fleet = fleet;
    this.#tasks = new AvailableTasks(clock);
    const [tasks, swarms, semaphores, delayed] = [this.#tasks, this.swarms, this.semaphores, this.#delayed];
    this.#funds = new Funds({ fleet, now: () => clock.now(), delayed, onMore: () => this.#offerPriced() });
    this.#attempts = new ClaimAttempts({
      claim,
      minCapabilityMatch,
      random,
      tasks,
      swarms,
      semaphores,
      fleet,
      funds: this.#funds,
      delayed,
      onFree: (profile) => this.#rounds.offer(profile),
      onSwarm: (swarmId, mayHaveMore) => this.#swarmMoved(swarmId, mayHaveMore),
    });
    this.#parked = new ParkedCallers({
      swarms,
      isReady: (swarm) => this.#attempts.isReady(swarm),
      affords: (swarm, profile) => this.#attempts.affords(swarm, profile),
      minCapabilityMatch,
      maxCallers: options.maxParked,
      maxPerSwarm: options.maxParkedPerSwarm,
    });
    this.#rounds = new WakeRounds({
      parked: this.#parked,
      tasks,
      isOpen: (profile) => this.#attempts.isOpen(profile),
      choose: (caller) => this.#choose(caller),
      wake: (caller, task) => {
        this.#wakeups++;
        void this.#serve(caller, task);
      },
    });
    const onOpen = (profile: TaskProfile) => this.#rounds.offer(profile);
    this.#kept = new KeptTasks({ tasks, delayed, clock, onOpen });
    this.#firstTries = new FirstTries({
      tasks,
      delayed,
      random,
      patienceMs: () => this.#attempts.patienceMs,
      onOver: onOpen,
    });
  }

  /** Takes in a record; `own` says that this process committed it. Records may come twice, and in any order. */
  apply(stored: StoredRecord, own: boolean): void {
    const { kind } = stored.record;
    if (kind === 'task') this.#applyTask(stored, own);
    else if (kind === 'swarm') this.#applySwarm(stored);
    else if (kind === 'fleet') this.#fleetMoved();
    else if (kind === 'semaphore') {
      const freed = this.semaphores.apply(stored);
      if (freed !== undefined) this.#attempts.placeFreed(freed);
    }
  }

  /**
   * The next task of a swarm, claimed; none when nothing fits within `wait_ms`.
   * @throws FabricError SWARM_NOT_FOUND, RATE_LIMITED, and what a claim throws
   */
  async next(by: string, { wait_ms = 0, task_types }: NextRequest = {}): Promise<NextAnswer> {
    const waitMs = this.#stopped ? 0 : wait_ms;
    const caller: Waiting = new WaitingCaller({ swarm_id: by, types: new TypeFilter(task_types), waitMs });
    this.#parked.admit(caller);
    try {
      await this.#serve(caller);
      return await caller.answered;
    } finally {
      caller.stopWaiting();
      this.#parked.discharge(caller);
    }
  }

  /** Rules that hold for everyone have changed: whoever waits may have what was not for it before. */
  reconsider(): void {
    for (const swarmId of this.#parked.swarmIds()) this.#swarmMoved(swarmId, true);
  }

  /** The swarms that have callers who wait now. */
  waiting(): readonly string[] {
    return this.#parked.swarmIds();
  }

  stats(): NextTaskStats {
    const { claims, conflicts } = this.#attempts;
    return { claims, conflicts, parked: this.#parked.size, wakeups: this.#wakeups };
  }

  /** Whoever waits is answered that there is no task, and whoever comes no longer waits. */
  stop(): void {
    this.#stopped = true;
    this.#rounds.stop();
    this.#delayed.stop();
    for (const caller of this.#parked.all()) this.#timeIsOver(caller);
  }

  /** Tries tasks for a caller until it has one, is parked, or is told that there is none. Never rejects. */
  async #serve(caller: Waiting, offered?: AvailableTask): Promise<void> {
    let isUpToDate = caller.waits;
    try {
      if (!offered && !this.#isRegistered(caller.swarm_id)) await this.#readSwarm(caller.swarm_id);
      let task = offered ?? this.#choose(caller);
      for (;;) {
        for (; task; task = this.#choose(caller)) {
          const claimed = await this.#claim(caller, task);
          if (claimed) return caller.answer(claimed);
        }
        if (caller.waits) return this.#park(caller);
        if (isUpToDate) return caller.answer(none);
        // "No task" is said of what is in the log, not of what was known of it a moment ago.
        await Promise.all([this.#options.catchUp(), this.#readSwarm(caller.swarm_id)]);
        isUpToDate = true;
        task = this.#choose(caller);
      }
    } catch (error) {
      caller.fail(error);
    }
  }

  #isRegistered(swarmId: string): boolean {
    return this.swarms.get(swarmId)?.state.registration === 'registered';
  }

  #choose({ swarm_id, types }: Waiting): AvailableTask | undefined {
    return this.#attempts.choose(swarm_id, (taskType) => types.admits(taskType));
  }

  async #claim({ swarm_id }: Waiting, task: AvailableTask): Promise<NextAnswer | undefined> {
    const takeBack = this.#parked.serve(swarm_id);
    const claimed = await this.#attempts.claim(swarm_id, task);
    if (!claimed) {
      takeBack();
      return undefined;
    }
    const { claimed: _, ...answer } = claimed;
    return answer;
  }

  #park(caller: Waiting): void {
    caller.watch(() => this.#timeIsOver(caller));
    this.#parked.park(caller);
  }

  #timeIsOver(caller: Waiting): void {
    caller.stopWaiting();
    // While a claim for it is under way, its outcome is the answer.
    if (this.#parked.take(caller)) caller.answer(none);
  }

  /** @throws FabricError SWARM_NOT_FOUND, UNAVAILABLE */
  async #readSwarm(swarmId: string): Promise<void> {
    const stored = await this.#options.readSwarm(swarmId);
    if (stored) this.#applySwarm(stored);
    const registration = stored ? (stored.record.snapshot.value as unknown as SwarmState).registration : 'absent';
    if (registration !== 'registered') throw notRegistered(swarmId, registration);
  }

  #applyTask(stored: StoredRecord, own: boolean): void {
    const task = this.#tasks.apply(stored, own);
    if (!task) {
      if (own) this.#firstTries.isOurs(stored.record.id, stored.revision);
    } else if (task.kept_until !== null) {
      this.#kept.keep(task);
      this.#rounds.offer(task.profile);
    } else if (own) this.#rounds.offer(task.profile);
    else if (this.#parked.fitting(task.profile)) this.#firstTries.leave(task);
  }

  #offerPriced(): void {
    for (const profile of this.#tasks.priced()) this.#rounds.offer(profile);
  }

  #fleetMoved(): void {
    const isPaused = this.#fleet.paused !== null;
    if (isPaused !== this.#wasPaused) this.reconsider();
    this.#wasPaused = isPaused;
    this.#funds.fleetChanged();
  }

  #applySwarm(stored: StoredRecord): void {
    const change = this.swarms.apply(stored);
    if (!change) return;
    const { swarm_id, state } = change.after;
    const pauseEnded = this.#attempts.swarmChanged(change.after);
    this.#swarmMoved(swarm_id, pauseEnded || hasWidened(change) || this.#funds.hasMore(change));
    if (state.registration === 'registered') return;
    for (const caller of this.#parked.of(swarm_id)) {
      this.#parked.take(caller);
      caller.fail(notRegistered(swarm_id, state.registration));
    }
  }

  #swarmMoved(swarmId: string, mayHaveMore: boolean): void {
    this.#parked.changed(swarmId);
    if (mayHaveMore) this.#rounds.retry(swarmId);
  }
}

function notRegistered(swarmId: string, registration: string): FabricError {
  return new FabricError('SWARM_NOT_FOUND', `swarm ${swarmId} is ${registration}, not registered; register it first`, {
    registration,
  });
}
