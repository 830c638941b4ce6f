/**
 * The coordinator: answers `task.*`, `blocker.*` and `swarm.*`. Any number of coordinators may run, in any number of
 * processes; none owns an actor, and one that dies loses nothing.
 */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { operatorId } from '../../machines/address.ts';
import { Responder } from '../../src/bus/responder.ts';
import { systemClock } from '../../src/clock.ts';
import { openMailboxGate } from '../../src/identity/mailbox-gate.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { readEpoch } from '../../src/store/epoch.ts';
import { watchEpoch } from '../../src/store/epoch-watch.ts';
import { type Follower, follow } from '../../src/store/follower.ts';
import { GroupCommit } from '../../src/store/group-commit.ts';
import { Journal } from '../../src/store/journal.ts';
import { Lanes } from '../../src/store/lanes.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { NatsTimers } from '../../src/store/nats-timers.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { NatsRegisters } from '../../src/store/registers.ts';
import { ensureMailbox, youngestTrimmedMs } from '../../src/store/streams.ts';
import { newId } from '../../src/store/unique-id.ts';
import type { Epoch } from '../../src/witness/epoch.ts';
import type { RunningService, ServiceContext } from '../service.ts';
import { BlockerOperations } from './blockers/blocker-operations.ts';
import { blockerRequests } from './blockers/blocker-requests.ts';
import { Dependents } from './dependencies/dependents.ts';
import { Settling } from './dependencies/settling.ts';
import { leaseTimer } from './leases/lease-timers.ts';
import { Leases } from './leases/leases.ts';
import { ActorLists, listedKinds } from './lists.ts';
import { Liveness } from './liveness/liveness.ts';
import { livenessTimer } from './liveness/signs-of-life.ts';
import { Mailboxes } from './mailboxes/mailboxes.ts';
import { noticeOf } from './mailboxes/notices.ts';
import { pushRequests } from './mailboxes/push-requests.ts';
import { Undelivered } from './mailboxes/undelivered.ts';
import { NextTask } from './next/next-task.ts';
import { TaskExplain } from './next/task-explain.ts';
import { SwarmOperations } from './swarms/swarm-operations.ts';
import { swarmRequests } from './swarms/swarm-requests.ts';
import { Sweep } from './sweep.ts';
import { DueTasks } from './tasks/due-tasks.ts';
import { TaskOperations } from './tasks/task-operations.ts';
import { taskRequests } from './tasks/task-requests.ts';
import { taskView } from './tasks/task-view.ts';

export class Coordinator implements RunningService {
  readonly store: ActorStore;
  readonly tasks: TaskOperations;
  readonly swarms: SwarmOperations;
  readonly blockers: BlockerOperations;
  readonly lists: ActorLists;
  readonly next: NextTask;
  readonly failed: Promise<never>;
  readonly #context: ServiceContext;
  readonly #timers: NatsTimers;
  readonly #dependents: Dependents;
  readonly #settling: Settling;
  readonly #due: DueTasks;
  readonly #leases: Leases;
  readonly #liveness: Liveness;
  readonly #mailboxes: Mailboxes;
  readonly #jsm: JetStreamManager;
  #follower: Follower | undefined;
  /** What ends the parts, in the order in which they end. */
  #releases: Array<() => unknown> = [];
  #fail: (error: unknown) => void = () => {};

  private constructor(context: ServiceContext, jsm: JetStreamManager, epoch: number) {
    this.#context = context;
    this.#jsm = jsm;
    const { nc, namespace, log, settings } = context;
    const clock = systemClock;
    const records = new GroupCommit(new NatsRecordLog(nc, namespace));
    const lanes = new Lanes();
    const timers = new NatsTimers({ nc, namespace, log });
    this.#timers = timers;
    this.store = new ActorStore({
      log: records,
      clock,
      newId,
      onCommit: (committed) => this.#committed(committed),
    });
    const { store } = this;
    this.lists = new ActorLists({ store, log: records });
    const index = this.lists.entries('task');
    const stateOf = (task_id: string) => index.get(task_id)?.state;
    this.#dependents = new Dependents((task_id) => index.get(task_id)?.revision ?? 0);
    this.#settling = new Settling({
      store,
      dependents: this.#dependents,
      follower: { reached: async (revision) => await this.#reached(revision) },
      stateOf,
      log,
    });
    this.tasks = new TaskOperations({
      store,
      lanes,
      policy: settings,
      epoch,
      newId,
      dependentsOf: (task_id) => this.#dependents.of(task_id),
    });
    const { tasks } = this;
    this.swarms = new SwarmOperations({ store, lanes, newId });
    this.#mailboxes = new Mailboxes({
      nc,
      jsm,
      namespace,
      log,
      createTask: async (by, task) => await tasks.create(by, task),
      getTask: async (task_id) => taskView(await tasks.get(task_id)),
      getSwarm: async (swarm_id) => await this.swarms.get(swarm_id),
    });
    this.blockers = new BlockerOperations({
      store,
      lanes,
      newId,
      notify: (to, type, notice) => this.#mailboxes.notify(to, type, notice),
    });
    this.next = new NextTask({
      claim: async (by, task_id) => await tasks.claim(by, task_id, { fresh: true }),
      readSwarm: async (id) => await store.read({ kind: 'swarm', id }),
      catchUp: async () => await this.lists.catchUp('task'),
      minCapabilityMatch: settings.min_capability_match,
    });
    this.#due = new DueTasks({ tasks, index, timers, log });
    this.#leases = new Leases({
      tasks: {
        held: async (by, task_id, token) => await tasks.held(by, task_id, token),
        read: async (id) => await store.read({ kind: 'task', id }),
        leasesExpired: async (ends) => await tasks.leasesExpired(ends),
      },
      timers,
      registers: new NatsRegisters(nc, namespace),
      clock,
      log,
    });
    this.#liveness = new Liveness({
      store,
      tasks: {
        owners: () => index.owners(),
        ownedBy: async (swarm_id) => await this.lists.ownedBy(swarm_id),
        ownerLost: async (task_id, owner, reason) => await tasks.ownerLost(task_id, owner, reason),
      },
      timers,
      clock,
      newId,
      log,
      livenessMs: settings.liveness_ms,
    });
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    void nc
      .closed()
      .then((error) => this.#fail(new Error('the connection to the cluster was closed', { cause: error })));
    // Whoever supervises looks at it; nobody else has to.
    this.failed.catch(() => {});
  }

  /** Resolves when requests are answered. @throws FabricError UNAVAILABLE */
  static async start(context: ServiceContext): Promise<Coordinator> {
    const epoch = await readEpoch(context.nc, context.namespace);
    const jsm = await jetstreamManager(context.nc, { checkAPI: false });
    const coordinator = new Coordinator(context, jsm, epoch.epoch);
    await coordinator.#start(epoch);
    return coordinator;
  }

  async #start(epochRecord: Epoch): Promise<void> {
    const { nc, namespace, log, settings } = this.#context;
    const follower = await follow({
      nc,
      namespace,
      log,
      kinds: [...listedKinds, 'semaphore'],
      isKnown: (kind, id, revision) => this.lists.knows(kind, id, revision),
      onRecord: (stored) => this.#seen(stored),
    });
    this.#follower = follower;
    follower.failed.catch((error: unknown) => this.#fail(error));
    this.lists.followedBy(follower);
    const timers = await this.#timers.consume(async (timer) => {
      if (timer.what === DueTasks.timer) await this.#due.due(timer);
      else if (timer.what === leaseTimer) await this.#leases.due(timer);
      else if (timer.what === livenessTimer) await this.#liveness.due(timer);
    });
    const sweep = this.#sweep();
    const undelivered = new Undelivered({
      jsm: this.#jsm,
      namespace,
      log,
      journal: new Journal(nc, namespace),
      mailboxes: this.#mailboxes,
      maxAgeMs: settings.mailbox_max_age_ms,
    });
    const responders = this.#answer();
    await ensureMailbox(this.#jsm, namespace, operatorId);
    const gate = openMailboxGate(nc, namespace);
    // Whoever learns that this service is up must find its subscriptions on every server.
    await nc.flush();
    const epoch = watchEpoch(nc, namespace, epochRecord);
    epoch.failed.catch((error: unknown) => this.#fail(error));
    this.#releases = [
      () => this.next.stop(),
      async () => await Promise.all(responders.map(async (responder) => await responder.drain())),
      async () => await gate.close(),
      async () => await epoch.stop(),
      async () => await sweep.stop(),
      async () => await undelivered.stop(),
      async () => await timers.stop(),
      async () => await this.#settling.stop(),
      async () => await this.#liveness.stop(),
      async () => await this.#leases.stop(),
      async () => await this.#due.stop(),
      async () => await this.#mailboxes.stop(),
      async () => await follower.stop(),
    ];
  }

  /** Answers what was taken on, takes nothing more, and leaves the connection open. */
  async stop(): Promise<void> {
    for (const release of this.#releases.splice(0)) await release();
  }

  #answer(): Responder[] {
    const { nc, namespace, log, settings } = this.#context;
    const { store, lists } = this;
    const explain = new TaskExplain({
      readTask: async (id) => await store.read({ kind: 'task', id }),
      catchUp: async () => {
        await Promise.all([lists.catchUp('task'), lists.catchUp('swarm')]);
      },
      swarms: this.next.swarms,
      semaphores: this.next.semaphores,
      minCapabilityMatch: settings.min_capability_match,
      now: () => systemClock.now(),
    });
    const registered = async (swarmId: string) => await ensureMailbox(this.#jsm, namespace, swarmId);
    const unregistered = async (swarmId: string) => await this.#returnTasks(swarmId);
    const services = {
      task: {
        ...taskRequests({
          tasks: this.tasks,
          lists: this.lists,
          leases: this.#leases,
          next: this.next,
          explain: async (wish) => await explain.explain(wish),
        }),
        ...pushRequests(this.#mailboxes),
      },
      blocker: blockerRequests(this.blockers, this.lists),
      swarm: swarmRequests(this.swarms, this.lists, { registered, unregistered }),
    };
    const onCaller = (caller: string) => this.#liveness.onCaller(caller);
    return Object.entries(services).map(
      ([service, operations]) => new Responder({ nc, namespace, service, operations, log, onCaller }),
    );
  }

  #sweep(): Sweep {
    const { log, settings } = this.#context;
    const keptMs = Math.max(settings.archive_after_ms, youngestTrimmedMs);
    return new Sweep({
      log,
      parts: {
        due: async () => await this.#due.sweep(),
        leases: async () => await this.#leases.sweep(),
        // A parked request is a sign of life as long as it waits.
        parked: () => {
          for (const swarm_id of this.next.waiting()) void this.#liveness.onCaller(swarm_id);
        },
        liveness: async () => await this.#liveness.sweep(),
        dependents: () => this.#settling.sweep(),
        ended: () => {
          for (const kind of listedKinds) this.lists.entries(kind).forgetTerminal(Date.now() - keptMs);
        },
      },
    });
  }

  /** A record of another process, or one of the time before this one. */
  #seen(stored: StoredRecord): void {
    this.store.learn(stored);
    this.#apply(stored, false);
  }

  #apply(stored: StoredRecord, own: boolean): void {
    this.lists.apply(stored);
    this.#dependents.apply(stored);
    this.blockers.apply(stored);
    this.#leases.apply(stored);
    this.#liveness.apply(stored);
    this.next.apply(stored, own);
  }

  /** What follows from a commit of this process. All of it is found by a sweep, or comes again, if it does not happen. */
  #committed(committed: readonly StoredRecord[]): void {
    for (const stored of committed) {
      this.#apply(stored, true);
      this.#settling.committed(stored);
      this.#due.committed(stored);
      this.blockers.committed(stored);
      const told = noticeOf(stored);
      if (told) this.#mailboxes.notify(told.to, 'control', told.notice);
    }
    this.#leases.committed(committed);
    this.#liveness.committed(committed);
  }

  async #reached(revision: number): Promise<void> {
    await this.#follower?.reached(revision);
  }

  async #returnTasks(swarmId: string): Promise<void> {
    for (const task_id of await this.lists.ownedBy(swarmId))
      await this.tasks.ownerLost(task_id, swarmId, 'unregistered');
  }
}
