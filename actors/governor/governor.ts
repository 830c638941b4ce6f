/**
 * The governor: answers `governor.*` and `approval.*`, and looks after what follows from budgets, circuits, blockers and
 * policy. Any number of governors may run, in any number of processes; none owns anything, and one that dies loses nothing.
 */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { operatorId } from '../../machines/address.ts';
import { Responder } from '../../src/bus/responder.ts';
import { FabricError } from '../../src/errors.ts';
import { Redactor } from '../../src/redaction.ts';
import { AuditGate } from '../../src/store/audit-gate.ts';
import { readEpoch } from '../../src/store/epoch.ts';
import { watchEpoch } from '../../src/store/epoch-watch.ts';
import { follow } from '../../src/store/follower.ts';
import { GroupCommit } from '../../src/store/group-commit.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { NatsTimers } from '../../src/store/nats-timers.ts';
import { NatsRegisters } from '../../src/store/registers.ts';
import { ensureMailbox } from '../../src/store/streams.ts';
import type { Epoch } from '../../src/witness/epoch.ts';
import { Mailboxes } from '../coordinator/mailboxes/mailboxes.ts';
import { swarmView } from '../coordinator/swarms/swarm-view.ts';
import { Sweep } from '../coordinator/sweep.ts';
import { taskView } from '../coordinator/tasks/task-view.ts';
import type { RunningService, ServiceContext } from '../service.ts';
import { ServiceLifetime } from '../service-lifetime.ts';
import { approvalRequests } from './approvals/approval-requests.ts';
import { governorName } from './circuits.ts';
import { followedKinds, GovernorCore } from './core.ts';
import { governorRequests } from './requests.ts';
import { unknownSwarm } from './swarm-changes.ts';

export class Governor implements RunningService {
  readonly core: GovernorCore;
  readonly #context: ServiceContext;
  readonly #jsm: JetStreamManager;
  readonly #timers: NatsTimers;
  readonly #audit: AuditGate;
  readonly #mailboxes: Mailboxes;
  readonly #lifetime: ServiceLifetime;

  private constructor(context: ServiceContext, jsm: JetStreamManager, epoch: Epoch) {
    this.#context = context;
    this.#jsm = jsm;
    const { nc, namespace, log, settings } = context;
    this.#timers = new NatsTimers({ nc, namespace, log });
    this.#audit = AuditGate.open(nc, namespace);
    this.core = new GovernorCore({
      records: new GroupCommit(new NatsRecordLog(nc, namespace, { epoch, permit: () => this.#audit.requireAudited() })),
      timers: this.#timers,
      registers: new NatsRegisters(nc, namespace),
      log,
      policy: settings.policy,
      policiesDir: settings.policies_dir,
      livenessMs: settings.liveness_ms,
      notify: (to, type, notice) => this.#mailboxes.notify(to, type, notice),
      push: async (to, task_id) => await this.#mailboxes.push(governorName, { to, what: { task_id } }),
      deliver: async (to, type, notice) => await this.#mailboxes.deliver(to, type, notice),
    });
    this.#mailboxes = this.#openMailboxes();
    this.#lifetime = new ServiceLifetime(nc);
  }

  get failed(): Promise<never> {
    return this.#lifetime.failed;
  }

  /** Resolves when requests are answered. @throws FabricError UNAVAILABLE */
  static async start(context: ServiceContext): Promise<Governor> {
    const epoch = await readEpoch(context.nc, context.namespace);
    const jsm = await jetstreamManager(context.nc, { checkAPI: false });
    const governor = new Governor(context, jsm, epoch);
    await governor.#start(epoch);
    return governor;
  }

  async #start(epochRecord: Epoch): Promise<void> {
    const { nc, namespace, log } = this.#context;
    const { core } = this;
    // People are told of what the log already holds, so their mailbox comes first.
    await Promise.all([ensureMailbox(this.#jsm, namespace, operatorId), core.start()]);
    const follower = await follow({
      nc,
      namespace,
      log,
      kinds: followedKinds,
      isKnown: () => false,
      isWanted: (kind, id, state) => core.wants(kind, id, state),
      onRecord: (stored) => core.seen(stored),
    });
    this.#lifetime.restsOn(follower);
    core.followedBy(follower);
    const timers = await this.#timers.consume(async (timer) => await core.due(timer), core.ownTimers);
    const sweep = new Sweep({ log, parts: core.swept });
    const responders = this.#answer();
    // Whoever learns that this service is up must find its subscriptions on every server.
    await nc.flush();
    const epoch = watchEpoch(nc, namespace, epochRecord);
    this.#lifetime.restsOn(epoch);
    this.#lifetime.endsBy([
      async () => await Promise.all(responders.map(async (responder) => await responder.drain())),
      async () => await epoch.stop(),
      async () => await sweep.stop(),
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

  #openMailboxes(): Mailboxes {
    const { nc, namespace, log } = this.#context;
    const { store } = this.core;
    return new Mailboxes({
      nc,
      jsm: this.#jsm,
      namespace,
      log,
      from: governorName,
      createTask: async () => {
        throw new FabricError('INTERNAL', 'the governor pushes tasks that exist, and makes none');
      },
      getTask: async (task_id) => {
        const stored = await store.read({ kind: 'task', id: task_id });
        if (!stored) throw new FabricError('TASK_NOT_FOUND', `there is no task ${task_id}`);
        return taskView(stored);
      },
      getSwarm: async (swarm_id) => {
        const stored = await store.read({ kind: 'swarm', id: swarm_id });
        if (!stored) throw unknownSwarm(swarm_id);
        return swarmView(stored);
      },
    });
  }

  #answer(): Responder[] {
    const { nc, namespace, log, settings } = this.#context;
    const redactor = new Redactor(settings.redact_keys);
    const onCaller = (caller: string) => this.core.onCaller(caller);
    const services = { governor: governorRequests(this.core), approval: approvalRequests(this.core.approvals) };
    return Object.entries(services).map(
      ([service, operations]) => new Responder({ nc, namespace, service, operations, log, onCaller, redactor }),
    );
  }
}
