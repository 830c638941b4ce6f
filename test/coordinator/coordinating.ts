/**
 * A coordinator without its bus on a real cluster: its timers or its sweep can be left out, as if they had failed, and
 * several share one cluster as processes do.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import pino from 'pino';
import { CoordinatorCore, followedKinds } from '../../actors/coordinator/core.ts';
import { Sweep } from '../../actors/coordinator/sweep.ts';
import { type TaskView, taskView } from '../../actors/coordinator/tasks/task-view.ts';
import { PolicyKnown } from '../../actors/policy-known.ts';
import { defaultPolicy, type GovernorPolicy } from '../../machines/policy/values.ts';
import { follow } from '../../src/store/follower.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { NatsTimers } from '../../src/store/nats-timers.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { NatsRegisters } from '../../src/store/registers.ts';
import type { TimerConsumer } from '../../src/store/timers.ts';
import { freshId } from '../store/fixtures.ts';
import type { TestCluster } from '../support/cluster.ts';

export interface Parts {
  /** Whether this process handles due timers. Default true. */
  readonly handlesDue?: boolean;
  /** Default true. */
  readonly sweeps?: boolean;
  /** Milliseconds. Default 30,000. */
  readonly livenessMs?: number;
  /** What is not the default of the governor's policy; circuits do not open by failures unless it says so. */
  readonly policy?: Partial<GovernorPolicy>;
}

export interface Coordinating {
  readonly core: CoordinatorCore;
  readonly nc: NatsConnection;
  readonly log: NatsRecordLog;
  readonly store: CoordinatorCore['store'];
  readonly timers: NatsTimers;
  readonly tasks: CoordinatorCore['tasks'];
  readonly swarms: CoordinatorCore['swarms'];
  readonly leases: CoordinatorCore['leases'];
  readonly liveness: CoordinatorCore['liveness'];
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
  const core = new CoordinatorCore({
    records,
    timers,
    registers: new NatsRegisters(nc, namespace),
    log,
    policy: new PolicyKnown({ ...defaultPolicy, circuit_breaker_failure_threshold: 1_000_000, ...parts.policy }),
    settings: { lease_ms: 30_000, liveness_ms: livenessMs, archive_after_ms: 3_600_000 },
    epoch: 1,
    notify: () => {},
  });
  const follower = await follow({
    nc,
    namespace,
    log,
    kinds: followedKinds,
    isKnown: (kind, id, revision) => core.lists.knows(kind, id, revision),
    onRecord: (stored) => core.seen(stored),
  });
  core.followedBy(follower);
  const due: TimerConsumer | undefined = handlesDue
    ? await timers.consume(async (timer) => await core.due(timer))
    : undefined;
  const sweep = sweeps ? new Sweep({ log, parts: core.swept }) : undefined;
  const { store, tasks, swarms, leases, liveness } = core;
  return {
    core,
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
      await sweep?.stop();
      await due?.stop();
      await core.stop();
      await follower.stop();
    },
  };
}
