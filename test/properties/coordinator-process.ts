/**
 * One process with a coordinator in it: the real parts, wired as in a coordinator on a bus, with residents and views of
 * its own. When it dies, everything that it began stays unfinished.
 */
import pino from 'pino';
import { BlockerOperations } from '../../actors/coordinator/blockers/blocker-operations.ts';
import { Dependents } from '../../actors/coordinator/dependencies/dependents.ts';
import { Settling } from '../../actors/coordinator/dependencies/settling.ts';
import { leaseTimer } from '../../actors/coordinator/leases/lease-timers.ts';
import { Leases } from '../../actors/coordinator/leases/leases.ts';
import { ActorLists } from '../../actors/coordinator/lists.ts';
import { Liveness } from '../../actors/coordinator/liveness/liveness.ts';
import { livenessTimer } from '../../actors/coordinator/liveness/signs-of-life.ts';
import { NextTask } from '../../actors/coordinator/next/next-task.ts';
import { SwarmOperations } from '../../actors/coordinator/swarms/swarm-operations.ts';
import { DueTasks } from '../../actors/coordinator/tasks/due-tasks.ts';
import { TaskOperations } from '../../actors/coordinator/tasks/task-operations.ts';
import type { SimulatedClock } from '../../src/clock.ts';
import { FabricError } from '../../src/errors.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { GroupCommit } from '../../src/store/group-commit.ts';
import { Lanes } from '../../src/store/lanes.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import type { Registers } from '../../src/store/registers.ts';
import type { Timer, Timers } from '../../src/store/timers.ts';
import type { Interleaving } from './interleaving.ts';
import { LaggingView } from './lagging-view.ts';
import { Reach } from './reach.ts';
import { ReachedLog, ReachedRegisters, ReachedTimers } from './reached.ts';
import type { SharedLog } from './shared-log.ts';

export const policy = {
  min_capability_match: 0.7,
  circuit_breaker_failure_threshold: 3,
  lease_ms: 1_000,
  max_cost_per_task: 10,
  archive_after_ms: 3_600_000,
};

export const livenessMs = 3_000;

export interface ProcessOptions {
  readonly name: string;
  readonly shared: SharedLog;
  readonly timers: Timers;
  readonly registers: Registers;
  readonly interleaving: Interleaving;
  readonly clock: SimulatedClock;
  readonly newId: () => string;
}

export class CoordinatorProcess {
  readonly name: string;
  readonly reach: Reach;
  readonly store: ActorStore;
  readonly tasks: TaskOperations;
  readonly swarms: SwarmOperations;
  readonly blockers: BlockerOperations;
  readonly lists: ActorLists;
  readonly leases: Leases;
  readonly liveness: Liveness;
  readonly next: NextTask;
  readonly #dependents: Dependents;
  readonly #settling: Settling;
  readonly #due: DueTasks;

  constructor(options: ProcessOptions) {
    const { name, shared, interleaving, clock, newId } = options;
    this.name = name;
    this.reach = new Reach(name, interleaving);
    const log = pino({ level: 'silent' });
    const lanes = new Lanes();
    const timers = new ReachedTimers(this.reach, options.timers);
    const records = new GroupCommit(new ReachedLog(this.reach, shared));
    const store = new ActorStore({ log: records, clock, newId, onCommit: (committed) => this.#committed(committed) });
    this.store = store;
    this.lists = new ActorLists({ store, log: records });
    const index = this.lists.entries('task');
    const follower = new LaggingView({ shared, reach: this.reach, onRecord: (stored) => this.#seen(stored) });
    this.lists.followedBy(follower);
    this.#dependents = new Dependents((id) => index.get(id)?.revision ?? 0);
    const stateOf = (id: string) => index.get(id)?.state;
    // Few at a time, so that wide fans are not needed to find out what happens between two commits.
    this.#settling = new Settling({ store, dependents: this.#dependents, follower, stateOf, log, batch: 1 });
    const dependentsOf = (id: string) => this.#dependents.of(id);
    const tasks = new TaskOperations({ store, lanes, policy, epoch: 1, newId, dependentsOf });
    this.tasks = tasks;
    this.swarms = new SwarmOperations({ store, lanes, newId });
    this.blockers = new BlockerOperations({ store, lanes, newId, notify: () => {} });
    this.next = new NextTask({
      claim: async (by, task_id) => await tasks.claim(by, task_id, { fresh: true }),
      readSwarm: async (id) => await store.read({ kind: 'swarm', id }),
      catchUp: async () => await this.lists.catchUp('task'),
      minCapabilityMatch: policy.min_capability_match,
      random: () => 0.5,
    });
    this.#due = new DueTasks({ tasks, index, timers, log });
    this.leases = new Leases({
      tasks: {
        held: async (by, task_id, token) => await tasks.held(by, task_id, token),
        read: async (id) => await store.read({ kind: 'task', id }),
        leasesExpired: async (ends) => await tasks.leasesExpired(ends),
      },
      timers,
      registers: new ReachedRegisters(this.reach, options.registers),
      clock,
      log,
    });
    const ofLiveness = {
      owners: () => index.owners(),
      ownedBy: async (swarm_id: string) => await this.lists.ownedBy(swarm_id),
      ownerLost: async (task_id: string, owner: string, reason: 'offline' | 'unregistered') =>
        await tasks.ownerLost(task_id, owner, reason),
    };
    this.liveness = new Liveness({ store, tasks: ofLiveness, timers, clock, newId, log, livenessMs });
    follower.start();
  }

  get alive(): boolean {
    return !this.reach.dead;
  }

  /** A request of this caller, which is a sign of life before it is anything else. */
  async answer<Answer>(by: string, run: () => Promise<Answer>): Promise<Answer> {
    await this.liveness.onCaller(by);
    return await run();
  }

  /** The swarm leaves, and its tasks go back. */
  async unregister(swarm_id: string): Promise<void> {
    await this.swarms.unregister(swarm_id);
    for (const task_id of await this.lists.ownedBy(swarm_id))
      await this.tasks.ownerLost(task_id, swarm_id, 'unregistered');
  }

  /** A timer is due, and this process was handed it. */
  async due(timer: Timer): Promise<void> {
    if (timer.what === DueTasks.timer) await this.#due.due(timer);
    else if (timer.what === leaseTimer) await this.leases.due(timer);
    else if (timer.what === livenessTimer) await this.liveness.due(timer);
  }

  /** One round of the net under timers and effects; what one part of it cannot reach keeps no other from its turn. */
  async sweep(): Promise<void> {
    await tolerant(this.#due.sweep());
    await tolerant(this.leases.sweep());
    for (const swarm_id of this.next.waiting()) void this.liveness.onCaller(swarm_id);
    await tolerant(this.liveness.sweep());
    this.#settling.sweep();
    await this.#settling.idle();
  }

  #seen(stored: StoredRecord): void {
    this.store.learn(stored);
    this.#apply(stored, false);
  }

  #apply(stored: StoredRecord, own: boolean): void {
    this.lists.apply(stored);
    this.#dependents.apply(stored);
    this.blockers.apply(stored);
    this.leases.apply(stored);
    this.liveness.apply(stored);
    this.next.apply(stored, own);
  }

  #committed(committed: readonly StoredRecord[]): void {
    for (const stored of committed) {
      this.#apply(stored, true);
      this.#settling.committed(stored);
      this.#due.committed(stored);
      this.blockers.committed(stored);
    }
    this.leases.committed(committed);
    this.liveness.committed(committed);
  }
}

async function tolerant(running: Promise<unknown>): Promise<void> {
  await running.catch((error: unknown) => {
    if (!(error instanceof FabricError)) throw error;
  });
}
