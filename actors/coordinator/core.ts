/**
 * What a coordinator does, without the bus: its operations, what it knows of the log, and what follows from time. It is
 * given the log, the timers and the clock, so that it runs on a cluster as well as on simulated ones.
 */
import { type Clock, systemClock } from '../../src/clock.ts';
import type { Log } from '../../src/log.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import type { Follower } from '../../src/store/follower.ts';
import { Lanes } from '../../src/store/lanes.ts';
import type { RecordLog, StoredRecord } from '../../src/store/record-log.ts';
import type { Registers } from '../../src/store/registers.ts';
import { youngestTrimmedMs } from '../../src/store/streams.ts';
import type { Timer, Timers } from '../../src/store/timers.ts';
import { newId as uniqueId } from '../../src/store/unique-id.ts';
import { FleetKnown } from '../fleet-known.ts';
import type { PolicyKnown } from '../policy-known.ts';
import { BlockerOperations, type Notify } from './blockers/blocker-operations.ts';
import { Dependents } from './dependencies/dependents.ts';
import { Settling } from './dependencies/settling.ts';
import { leaseTimer } from './leases/lease-timers.ts';
import { Leases } from './leases/leases.ts';
import { ActorLists, listedKinds } from './lists.ts';
import { Liveness } from './liveness/liveness.ts';
import { livenessTimer } from './liveness/signs-of-life.ts';
import { noticeOf } from './mailboxes/notices.ts';
import { NextTask } from './next/next-task.ts';
import { SwarmOperations } from './swarms/swarm-operations.ts';
import type { SweepOptions } from './sweep.ts';
import { CircuitReturns } from './tasks/circuit-returns.ts';
import { DueTasks } from './tasks/due-tasks.ts';
import { TaskOperations } from './tasks/task-operations.ts';
import { governedTasks, type TaskSettings } from './tasks/task-policy.ts';

export interface CoordinatorCoreOptions {
  readonly records: RecordLog;
  readonly timers: Timers;
  readonly registers: Registers;
  readonly log: Log;
  /** The governor's policy; given every record that this is given. */
  readonly policy: PolicyKnown;
  readonly settings: TaskSettings & { readonly liveness_ms: number };
  /** The number of the log's epoch. */
  readonly epoch: number;
  readonly notify: Notify;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** A new unique id: `[A-Za-z0-9_-]+`. */
  readonly newId?: () => string;
  /** At least 0, less than 1. Default `Math.random`. */
  readonly random?: () => number;
  /** Of dependents in the commits that follow the end of a task. Default as of `Settling`. */
  readonly settledPerCommit?: number;
}

/** The kinds of actors whose records a coordinator has to see. */
export const followedKinds: readonly string[] = [...listedKinds, 'semaphore', 'fleet', 'policy'];

export class CoordinatorCore {
  readonly store: ActorStore;
  readonly tasks: TaskOperations;
  readonly swarms: SwarmOperations;
  readonly blockers: BlockerOperations;
  readonly lists: ActorLists;
  readonly next: NextTask;
  readonly leases: Leases;
  readonly liveness: Liveness;
  readonly settling: Settling;
  /** What is known of the whole fabric. */
  readonly fleet = new FleetKnown();
  readonly #circuits: CircuitReturns;
  readonly #options: CoordinatorCoreOptions;
  readonly #dependents: Dependents;
  readonly #due: DueTasks;
  #follower: Follower | undefined;

  constructor(options: CoordinatorCoreOptions) {
    this.#options = options;
    const {
      records,
      timers,
      registers,
      log,
      policy: known,
      settings,
      epoch,
      clock = systemClock,
      newId = uniqueId,
    } = options;
    const lanes = new Lanes();
    const policy = governedTasks(known, settings);
    const fleet = this.fleet;
    const store = new ActorStore({ log: records, clock, newId, onCommit: (committed) => this.#committed(committed) });
    const lists = new ActorLists({ store, log: records });
    const index = lists.entries('task');
    this.store = store;
    this.lists = lists;
    this.#dependents = new Dependents((task_id) => index.get(task_id)?.revision ?? 0);
    this.settling = new Settling({
      store,
      dependents: this.#dependents,
      follower: { reached: async (revision) => await this.#follower?.reached(revision) },
      stateOf: (task_id) => index.get(task_id)?.state,
      log,
      ...(options.settledPerCommit === undefined ? {} : { batch: options.settledPerCommit }),
    });
    const dependentsOf = (task_id: string) => this.#dependents.of(task_id);
    const tasks = new TaskOperations({ store, lanes, policy, fleet, clock, epoch, newId, dependentsOf });
    this.tasks = tasks;
    this.swarms = new SwarmOperations({
      store,
      lanes,
      newId,
      mayRaise: () => !known.current.approvals_required.includes('raise_budget'),
    });
    this.next = new NextTask({
      claim: async (by, task_id) => await tasks.claim(by, task_id, { fresh: true }),
      readSwarm: async (id) => await store.read({ kind: 'swarm', id }),
      catchUp: async () => await lists.catchUp('task'),
      minCapabilityMatch: () => policy.min_capability_match,
      fleet,
      clock,
      ...(options.random ? { random: options.random } : {}),
    });
    this.blockers = new BlockerOperations({
      store,
      lanes,
      newId,
      notify: options.notify,
      helpers: { swarms: this.next.swarms, policy: known },
    });
    this.#due = new DueTasks({ tasks, index, timers, log });
    this.leases = new Leases({
      tasks: {
        held: async (by, task_id, token) => await tasks.held(by, task_id, token),
        read: async (id) => await store.read({ kind: 'task', id }),
        leasesExpired: async (ends) => await tasks.leasesExpired(ends),
      },
      timers,
      registers,
      clock,
      log,
    });
    this.liveness = new Liveness({
      store,
      tasks: {
        owners: () => index.owners(),
        ownedBy: async (swarm_id) => await lists.ownedBy(swarm_id),
        ownerLost: async (task_id, owner, reason) => await tasks.ownerLost(task_id, owner, reason),
      },
      timers,
      clock,
      newId,
      log,
      livenessMs: settings.liveness_ms,
    });
    this.#circuits = new CircuitReturns({
      tasks: {
        owners: () => index.owners(),
        ownedBy: async (swarm_id) => await lists.ownedBy(swarm_id),
        circuitOpened: async (task_id, owner) => await tasks.circuitOpened(task_id, owner),
      },
      policy,
      fleet: this.fleet,
      log,
    });
  }

  /** Where the records come from that `seen` is given. */
  followedBy(follower: Follower): void {
    this.#follower = follower;
    this.lists.followedBy(follower);
    this.#circuits.begin();
  }

  /** Takes in a record of another process, or one of the time before this one. */
  seen(stored: StoredRecord): void {
    this.store.learn(stored);
    this.#apply(stored, false);
  }

  /** Handles a due timer. @throws FabricError when it has to come again */
  async due(timer: Timer): Promise<void> {
    if (timer.what === DueTasks.timer) await this.#due.due(timer);
    else if (timer.what === leaseTimer) await this.leases.due(timer);
    else if (timer.what === livenessTimer) await this.liveness.due(timer);
  }

  /** A swarm has left: its tasks go back. @throws FabricError UNAVAILABLE: the sweep goes on */
  async returnTasks(swarm_id: string): Promise<void> {
    for (const task_id of await this.lists.ownedBy(swarm_id))
      await this.tasks.ownerLost(task_id, swarm_id, 'unregistered');
  }

  /** What a sweep goes through, round after round. */
  get swept(): SweepOptions['parts'] {
    const { settings, clock = systemClock } = this.#options;
    const keptMs = Math.max(settings.archive_after_ms, youngestTrimmedMs);
    return {
      due: async () => await this.#due.sweep(),
      leases: async () => await this.leases.sweep(),
      // A parked request is a sign of life as long as it waits.
      parked: () => {
        for (const swarm_id of this.next.waiting()) void this.liveness.onCaller(swarm_id);
      },
      liveness: async () => await this.liveness.sweep(),
      circuits: async () => await this.#circuits.sweep(),
      dependents: () => this.settling.sweep(),
      ended: () => {
        for (const kind of listedKinds) this.lists.entries(kind).forgetTerminal(clock.now() - keptMs);
      },
    };
  }

  /** Finishes what is under way, and begins nothing. */
  async stop(): Promise<void> {
    await this.settling.stop();
    await this.#circuits.stop();
    await this.liveness.stop();
    await this.leases.stop();
    await this.#due.stop();
  }

  #apply(stored: StoredRecord, own: boolean): void {
    this.lists.apply(stored);
    this.#dependents.apply(stored);
    this.blockers.apply(stored);
    this.leases.apply(stored);
    this.liveness.apply(stored);
    this.fleet.apply(stored);
    this.#circuits.apply(stored);
    if (stored.record.kind === 'policy') this.#applyPolicy(stored);
    this.next.apply(stored, own);
  }

  #applyPolicy(stored: StoredRecord): void {
    const { policy } = this.#options;
    const before = policy.current;
    policy.apply(stored);
    if (policy.current !== before) this.next.reconsider();
  }

  /** What follows from a commit of this process. All of it is found by a sweep, or comes again, if it does not happen. */
  #committed(committed: readonly StoredRecord[]): void {
    for (const stored of committed) {
      this.#apply(stored, true);
      this.settling.committed(stored);
      this.#due.committed(stored);
      this.blockers.committed(stored);
      const told = noticeOf(stored);
      if (told) this.#options.notify(told.to, 'control', told.notice);
    }
    this.leases.committed(committed);
    this.liveness.committed(committed);
  }
}
