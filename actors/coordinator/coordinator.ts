/**
 * The coordinator: answers `task.*`, `blocker.*` and `swarm.*`. Any number of coordinators may run, in any number of
 * processes; none owns an actor, and one that dies loses nothing.
 */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { operatorId } from '../../machines/address.ts';
import { Responder } from '../../src/bus/responder.ts';
import { systemClock } from '../../src/clock.ts';
import { openMailboxGate } from '../../src/identity/mailbox-gate.ts';
import { Redactor } from '../../src/redaction.ts';
import type { ActorStore } from '../../src/store/actor-store.ts';
import { AuditGate } from '../../src/store/audit-gate.ts';
import { readEpoch } from '../../src/store/epoch.ts';
import { watchEpoch } from '../../src/store/epoch-watch.ts';
import { follow } from '../../src/store/follower.ts';
import { GroupCommit } from '../../src/store/group-commit.ts';
import { Journal } from '../../src/store/journal.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { NatsTimers } from '../../src/store/nats-timers.ts';
import { NatsRegisters } from '../../src/store/registers.ts';
import { ensureMailbox } from '../../src/store/streams.ts';
import type { Epoch } from '../../src/witness/epoch.ts';
import { PolicyKnown } from '../policy-known.ts';
import type { RunningService, ServiceContext } from '../service.ts';
import { ServiceLifetime } from '../service-lifetime.ts';
import { blockerRequests } from './blockers/blocker-requests.ts';
import { CoordinatorCore, followedKinds } from './core.ts';
import { leaseTimer } from './leases/lease-timers.ts';
import type { ActorLists } from './lists.ts';
import { livenessTimer } from './liveness/signs-of-life.ts';
import { Mailboxes } from './mailboxes/mailboxes.ts';
import { pushRequests } from './mailboxes/push-requests.ts';
import { Undelivered } from './mailboxes/undelivered.ts';
import { TaskExplain } from './next/task-explain.ts';
import type { SwarmOperations } from './swarms/swarm-operations.ts';
import { swarmRequests } from './swarms/swarm-requests.ts';
import { Sweep } from './sweep.ts';
import { DueTasks } from './tasks/due-tasks.ts';
import type { TaskOperations } from './tasks/task-operations.ts';
import { taskRequests } from './tasks/task-requests.ts';
import { taskView } from './tasks/task-view.ts';

const ownTimers = { name: 'coordinator', kinds: [DueTasks.timer, leaseTimer, livenessTimer] };

export class Coordinator implements RunningService {
  readonly #context: ServiceContext;
  readonly #jsm: JetStreamManager;
  readonly #timers: NatsTimers;
  readonly #audit: AuditGate;
  readonly #core: CoordinatorCore;
  readonly #policy: PolicyKnown;
  readonly #mailboxes: Mailboxes;
  readonly #lifetime: ServiceLifetime;

  private constructor(context: ServiceContext, jsm: JetStreamManager, epoch: Epoch) {
    this.#context = context;
    this.#jsm = jsm;
    const { nc, namespace, log, settings } = context;
    this.#timers = new NatsTimers({ nc, namespace, log });
    this.#audit = AuditGate.open(nc, namespace);
    this.#policy = new PolicyKnown(settings.policy);
    this.#core = new CoordinatorCore({
      records: new GroupCommit(new NatsRecordLog(nc, namespace, { epoch, permit: () => this.#audit.requireAudited() })),
      timers: this.#timers,
      registers: new NatsRegisters(nc, namespace),
      log,
      policy: this.#policy,
      settings,
      epoch: epoch.epoch,
      notify: (to, type, notice) => this.#mailboxes.notify(to, type, notice),
    });
    const { tasks, swarms } = this.#core;
    this.#mailboxes = new Mailboxes({
      nc,
      jsm,
      namespace,
      log,
      createTask: async (by, task) => await tasks.create(by, task),
      getTask: async (task_id) => taskView(await tasks.get(task_id)),
      getSwarm: async (swarm_id) => await swarms.get(swarm_id),
    });
    this.#lifetime = new ServiceLifetime(nc);
  }

  get store(): ActorStore {
    return this.#core.store;
  }
  get tasks(): TaskOperations {
    return this.#core.tasks;
  }
  get swarms(): SwarmOperations {
    return this.#core.swarms;
  }
  get lists(): ActorLists {
    return this.#core.lists;
  }
  get next(): CoordinatorCore['next'] {
    return this.#core.next;
  }

  get failed(): Promise<never> {
    return this.#lifetime.failed;
  }

  /** Resolves when requests are answered. @throws FabricError UNAVAILABLE */
  static async start(context: ServiceContext): Promise<Coordinator> {
    const epoch = await readEpoch(context.nc, context.namespace);
    const jsm = await jetstreamManager(context.nc, { checkAPI: false });
    const coordinator = new Coordinator(context, jsm, epoch);
    await coordinator.#start(epoch);
    return coordinator;
  }

  async #start(epochRecord: Epoch): Promise<void> {
    const { nc, namespace, log, settings } = this.#context;
    const core = this.#core;
    const follower = await follow({
      nc,
      namespace,
      log,
      kinds: followedKinds,
      isKnown: (kind, id, revision) => core.lists.knows(kind, id, revision),
      onRecord: (stored) => core.seen(stored),
    });
    this.#lifetime.restsOn(follower);
    core.followedBy(follower);
    const timers = await this.#timers.consume(async (timer) => await core.due(timer), ownTimers);
    const sweep = new Sweep({ log, parts: core.swept });
    const undelivered = new Undelivered({
      jsm: this.#jsm,
      namespace,
      log,
      journal: new Journal(nc, namespace, this.#audit, epochRecord),
      mailboxes: this.#mailboxes,
      maxAgeMs: settings.mailbox_max_age_ms,
    });
    const responders = this.#answer();
    await ensureMailbox(this.#jsm, namespace, operatorId);
    const gate = openMailboxGate(nc, namespace);
    // Whoever learns that this service is up must find its subscriptions on every server.
    await nc.flush();
    const epoch = watchEpoch(nc, namespace, epochRecord);
    this.#lifetime.restsOn(epoch);
    this.#lifetime.endsBy([
      () => core.next.stop(),
      async () => await Promise.all(responders.map(async (responder) => await responder.drain())),
      async () => await gate.close(),
      async () => await epoch.stop(),
      async () => await sweep.stop(),
      async () => await undelivered.stop(),
      async () => await timers.stop(),
      async () => await core.stop(),
      async () => await this.#mailboxes.stop(),
      () => this.#audit.close(),
      async () => await follower.stop(),
    ]);
  }

  /** Answers what was taken on, takes nothing more, and leaves the connection open. */
  async stop(): Promise<void> {
    await this.#lifetime.stop();
  }

  #answer(): Responder[] {
    const { nc, namespace, log, settings } = this.#context;
    const { store, tasks, swarms, blockers, lists, leases, liveness, next } = this.#core;
    const explain = new TaskExplain({
      readTask: async (id) => await store.read({ kind: 'task', id }),
      catchUp: async () => {
        await Promise.all([lists.catchUp('task'), lists.catchUp('swarm')]);
      },
      swarms: next.swarms,
      semaphores: next.semaphores,
      fleet: this.#core.fleet,
      policy: this.#policy,
      now: () => systemClock.now(),
    });
    const services = {
      task: {
        ...taskRequests({ tasks, lists, leases, next, explain: async (wish) => await explain.explain(wish) }),
        ...pushRequests(this.#mailboxes),
      },
      blocker: blockerRequests(blockers, lists),
      swarm: swarmRequests(swarms, lists, {
        registered: async (swarmId) => await ensureMailbox(this.#jsm, namespace, swarmId),
        unregistered: async (swarmId) => await this.#core.returnTasks(swarmId),
      }),
    };
    const onCaller = (caller: string) => liveness.onCaller(caller);
    const redactor = new Redactor(settings.redact_keys);
    return Object.entries(services).map(
      ([service, operations]) => new Responder({ nc, namespace, service, operations, log, onCaller, redactor }),
    );
  }
}
