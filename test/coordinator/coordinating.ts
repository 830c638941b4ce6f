/**
 * What a coordinator process consists of as far as leases and liveness go, put together by hand: each part can be left
 * out, as if it had failed, and several of them share one cluster as processes do.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import pino from 'pino';
import { leaseTimer } from '../../actors/coordinator/leases/lease-timers.ts';
import { Leases } from '../../actors/coordinator/leases/leases.ts';
import { Liveness } from '../../actors/coordinator/liveness/liveness.ts';
import { livenessTimer } from '../../actors/coordinator/liveness/signs-of-life.ts';
import { SwarmOperations } from '../../actors/coordinator/swarms/swarm-operations.ts';
import { TaskOperations } from '../../actors/coordinator/tasks/task-operations.ts';
import type { TaskView } from '../../actors/coordinator/tasks/task-view.ts';
import { taskView } from '../../actors/coordinator/tasks/task-view.ts';
import { systemClock } from '../../src/clock.ts';
import { Rounds } from '../../src/rounds.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { type Follower, follow } from '../../src/store/follower.ts';
import { Lanes } from '../../src/store/lanes.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { NatsTimers } from '../../src/store/nats-timers.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { NatsRegisters } from '../../src/store/registers.ts';
import type { TimerConsumer } from '../../src/store/timers.ts';
import { newId } from '../../src/store/unique-id.ts';
import { freshId } from '../store/fixtures.ts';
import type { TestCluster } from '../support/cluster.ts';

export interface Parts {
  /** Whether this process handles due timers. Default true. */
  readonly handlesDue?: boolean;
  /** Default true. */
  readonly sweeps?: boolean;
  /** Milliseconds. Default 30,000. */
  readonly livenessMs?: number;
}

export interface Coordinating {
  readonly nc: NatsConnection;
  readonly log: NatsRecordLog;
  readonly store: ActorStore;
  readonly timers: NatsTimers;
  readonly tasks: TaskOperations;
  readonly swarms: SwarmOperations;
  readonly leases: Leases;
  readonly liveness: Liveness;
  /** What is on record of a task. */
  recorded(task_id: string): Promise<TaskView>;
  /** The records of a task, oldest first. */
  history(task_id: string): Promise<StoredRecord[]>;
  /** A task that this swarm has claimed; with its token. */
  claimed(
    owner: string,
    content?: { lease_ms?: number; max_attempts?: number },
  ): Promise<{ task_id: string; token: number; at: number }>;
  register(swarm_id: string): Promise<void>;
  stop(): Promise<void>;
}

const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' });

export async function startCoordinating(cluster: TestCluster, parts: Parts = {}): Promise<Coordinating> {
  const { handlesDue = true, sweeps = true, livenessMs = 30_000 } = parts;
  const { namespace } = cluster;
  const nc = await cluster.connect();
  const records = new NatsRecordLog(nc, namespace);
  const timers = new NatsTimers({ nc, namespace, log });
  const lanes = new Lanes();
  const apply = (stored: StoredRecord) => {
    leases.apply(stored);
    liveness.apply(stored);
  };
  const store = new ActorStore({
    log: records,
    clock: systemClock,
    newId,
    onCommit: (committed) => {
      committed.forEach(apply);
      leases.committed(committed);
      liveness.committed(committed);
    },
  });
  const policy = {
    min_capability_match: 0.7,
    circuit_breaker_failure_threshold: 1_000_000,
    lease_ms: 30_000,
    max_cost_per_task: 10,
    archive_after_ms: 3_600_000,
  };
  const tasks = new TaskOperations({ store, lanes, policy, epoch: 1, newId, dependentsOf: () => [] });
  const swarms = new SwarmOperations({ store, lanes, newId });
  const owned = new Map<string, Set<string>>();
  const leases = new Leases({
    tasks: {
      held: async (by, task_id, token) => await tasks.held(by, task_id, token),
      read: async (id) => await store.read({ kind: 'task', id }),
      leasesExpired: async (ends) => await tasks.leasesExpired(ends),
    },
    timers,
    registers: new NatsRegisters(nc, namespace),
    clock: systemClock,
    log,
  });
  const liveness = new Liveness({
    store,
    tasks: {
      owners: () => [...owned.keys()],
      ownedBy: async (swarm_id) => [...(owned.get(swarm_id) ?? [])],
      ownerLost: async (task_id, owner, reason) => void (await tasks.ownerLost(task_id, owner, reason)),
    },
    timers,
    clock: systemClock,
    newId,
    log,
    livenessMs,
  });
  const follower: Follower = await follow({
    nc,
    namespace,
    log,
    kinds: ['task', 'swarm'],
    isKnown: () => false,
    onRecord: (stored) => {
      apply(stored);
      store.learn(stored);
      if (stored.record.kind === 'task') noteOwner(owned, stored);
    },
  });
  const due: TimerConsumer | undefined = handlesDue
    ? await timers.consume(async (timer) => {
        if (timer.what === leaseTimer) await leases.due(timer);
        if (timer.what === livenessTimer) await liveness.due(timer);
      })
    : undefined;
  const rounds = sweeps
    ? new Rounds(
        1_000,
        async () => {
          await leases.sweep();
          await liveness.sweep();
        },
        () => {},
      )
    : undefined;
  return {
    nc,
    log: records,
    store,
    timers,
    tasks,
    swarms,
    leases,
    liveness,
    async recorded(task_id) {
      return taskView((await store.read({ kind: 'task', id: task_id }))!);
    },
    async history(task_id) {
      const found: StoredRecord[] = [];
      for await (const stored of records.history({ kind: 'task', id: task_id })) found.push(stored);
      return found;
    },
    async claimed(owner, content = {}) {
      const task_id = freshId('t');
      await tasks.create('operator', { task_id, task_type: 'build', ...content });
      const answer = await tasks.claim(owner, task_id);
      if (!answer.claimed) throw new Error(`not claimed: ${answer.reason}`);
      return { task_id, token: answer.token, at: answer.task.lease_expires_at! };
    },
    async register(swarm_id) {
      await swarms.register(swarm_id, { capabilities: [], cost_per_hour: 0 });
    },
    async stop() {
      await rounds?.stop();
      await due?.stop();
      await follower.stop();
      await leases.stop();
      await liveness.stop();
    },
  };
}

function noteOwner(owned: Map<string, Set<string>>, { record }: StoredRecord): void {
  for (const tasks of owned.values()) tasks.delete(record.id);
  const { owner } = record.snapshot.context as { owner: string | null };
  if (owner === null || record.snapshot.status === 'done') return;
  const tasks = owned.get(owner) ?? new Set();
  owned.set(owner, tasks.add(record.id));
}
