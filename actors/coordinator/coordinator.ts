/**
 * The coordinator: answers `task.*` and `swarm.*`. Any number of coordinators may run, in any number of processes; none
 * owns an actor, and one that dies loses nothing.
 */
import { jetstreamManager } from '@nats-io/jetstream';
import { stateName } from '../../machines/record.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import { Responder } from '../../src/bus/responder.ts';
import { systemClock } from '../../src/clock.ts';
import { type MailboxGate, openMailboxGate } from '../../src/identity/mailbox-gate.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { readEpoch } from '../../src/store/epoch.ts';
import { type EpochWatch, watchEpoch } from '../../src/store/epoch-watch.ts';
import { type Follower, follow } from '../../src/store/follower.ts';
import { GroupCommit } from '../../src/store/group-commit.ts';
import { Lanes } from '../../src/store/lanes.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { NatsTimers } from '../../src/store/nats-timers.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { ensureMailbox } from '../../src/store/streams.ts';
import type { TimerConsumer } from '../../src/store/timers.ts';
import { newId } from '../../src/store/unique-id.ts';
import type { Epoch } from '../../src/witness/epoch.ts';
import type { RunningService, ServiceContext } from '../service.ts';
import { ActorLists, listedKinds } from './lists.ts';
import { SwarmOperations } from './swarm-operations.ts';
import { swarmRequests } from './swarm-requests.ts';
import { Sweep } from './sweep.ts';
import { TaskOperations } from './task-operations.ts';
import { taskRequests } from './task-requests.ts';

/** The kind of the timer that makes a waiting task available. */
export const taskDueTimer = 'task-due';

export class Coordinator implements RunningService {
  readonly store: ActorStore;
  readonly tasks: TaskOperations;
  readonly swarms: SwarmOperations;
  readonly lists: ActorLists;
  readonly failed: Promise<never>;
  readonly #context: ServiceContext;
  readonly #timers: NatsTimers;
  readonly #setting = new Set<Promise<void>>();
  #fail: (error: unknown) => void = () => {};
  #parts:
    | {
        responders: Responder[];
        gate: MailboxGate;
        follower: Follower;
        due: TimerConsumer;
        sweep: Sweep;
        epoch: EpochWatch;
      }
    | undefined;

  private constructor(context: ServiceContext, epoch: number) {
    this.#context = context;
    const { nc, namespace, log } = context;
    const records = new GroupCommit(new NatsRecordLog(nc, namespace));
    const lanes = new Lanes();
    this.#timers = new NatsTimers({ nc, namespace, log });
    this.store = new ActorStore({
      log: records,
      clock: systemClock,
      newId,
      onCommit: (committed) => this.#committed(committed),
    });
    this.lists = new ActorLists({ store: this.store, log: records });
    this.tasks = new TaskOperations({ store: this.store, lanes, policy: context.settings, epoch, newId });
    this.swarms = new SwarmOperations({ store: this.store, lanes, newId });
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
    const coordinator = new Coordinator(context, epoch.epoch);
    await coordinator.#start(epoch);
    return coordinator;
  }

  async #start(epochRecord: Epoch): Promise<void> {
    const { nc, namespace, log, settings } = this.#context;
    const follower = await follow({
      nc,
      namespace,
      log,
      kinds: listedKinds,
      isKnown: (kind, id, revision) => this.lists.knows(kind, id, revision),
      onRecord: (stored) => this.#seen(stored),
    });
    follower.failed.catch((error: unknown) => this.#fail(error));
    this.lists.followedBy(follower);
    const due = await this.#timers.consume(async ({ what, id }) => {
      if (what === taskDueTimer) await this.tasks.due(id);
    });
    const sweep = new Sweep({
      lists: this.lists,
      tasks: this.tasks,
      store: this.store,
      log,
      archiveAfterMs: settings.archive_after_ms,
    });
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    const registered = async (swarmId: string) => await ensureMailbox(jsm, namespace, swarmId);
    const unregistered = async (swarmId: string) => await this.#returnTasks(swarmId);
    const services = {
      task: taskRequests(this.tasks, this.lists),
      swarm: swarmRequests(this.swarms, this.lists, { registered, unregistered }),
    };
    const responders = Object.entries(services).map(
      ([service, operations]) => new Responder({ nc, namespace, service, operations, log }),
    );
    const gate = openMailboxGate(nc, namespace);
    // Whoever learns that this service is up must find its subscriptions on every server.
    await nc.flush();
    const epoch = watchEpoch(nc, namespace, epochRecord);
    epoch.failed.catch((error: unknown) => this.#fail(error));
    this.#parts = { responders, gate, follower, due, sweep, epoch };
  }

  /** Answers what was taken on, takes nothing more, and leaves the connection open. */
  async stop(): Promise<void> {
    const parts = this.#parts;
    if (!parts) return;
    this.#parts = undefined;
    await Promise.all(parts.responders.map(async (responder) => await responder.drain()));
    await parts.gate.close();
    await parts.epoch.stop();
    await parts.sweep.stop();
    await parts.due.stop();
    await parts.follower.stop();
    await Promise.all(this.#setting);
  }

  /** A record of another process, or one of the time before this one. */
  #seen(stored: StoredRecord): void {
    this.lists.apply(stored);
    this.store.learn(stored);
  }

  #committed(committed: readonly StoredRecord[]): void {
    for (const stored of committed) {
      this.lists.apply(stored);
      const at = dueAt(stored);
      if (at !== undefined) this.#set(stored.record.id, at);
    }
  }

  /** A timer that cannot be set is found by the sweep. */
  #set(id: string, at: number): void {
    const setting = this.#timers
      .set({ what: taskDueTimer, id, at })
      .catch((error: unknown) => this.#context.log.warn({ err: error, task_id: id }, 'a timer was not set'))
      .finally(() => this.#setting.delete(setting));
    this.#setting.add(setting);
  }

  async #returnTasks(swarmId: string): Promise<void> {
    for (const task_id of await this.lists.ownedBy(swarmId))
      await this.tasks.ownerLost(task_id, swarmId, 'unregistered');
  }
}

/** When a waiting task is due by itself, milliseconds since 1970. */
function dueAt({ record }: StoredRecord): number | undefined {
  if (record.kind !== 'task' || stateName(record.snapshot.value) !== 'waiting') return undefined;
  const { due_at, open_dependencies } = record.snapshot.context as TaskContext;
  return open_dependencies.length === 0 ? (due_at ?? undefined) : undefined;
}
