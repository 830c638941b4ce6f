import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decide } from '../../machines/machine.ts';
import type { ActorRecord, Snapshot } from '../../machines/record.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { packBytes } from '../../src/data/codec.ts';
import { establishEpoch, type KnownPast, openEpoch, readEpoch, readStartedEpoch } from '../../src/store/epoch.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { restoreLog } from '../../src/store/restore.ts';
import { ensureStreams } from '../../src/store/streams.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { makeEpochRecord } from '../../src/witness/epoch.ts';
import { create } from '../machines/task-events.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';

const tasks = 4_000;

let cluster: TestCluster;
let nc: NatsConnection;
let past: Map<string, KnownPast>;
let path: string;

beforeEach(async () => {
  cluster = await startTestCluster({ nodes: 1 });
  nc = await cluster.connect();
  path = join(cluster.dataDir, 'witness.db');
  past = new Map([['IF_actors', { epoch: 1, head: remembered() }]]);
  await streams();
});

afterEach(async () => await cluster.stop());

/** A witness of one epoch with many tasks; answers with its head. */
function remembered(): string {
  const database = WitnessDatabase.open(path);
  const records: ActorRecord[] = [makeEpochRecord({ epoch: 1, epoch_id: 'first', previous_head: '0'.repeat(64) }, 1)];
  for (let i = 1; i <= tasks; i++) {
    const verdict = decide(taskMachine, taskMachine.absent, create());
    if (!verdict.accepted) throw new Error('a task can be created');
    const snapshot = verdict.snapshot as Snapshot;
    const event = { id: `e${i}`, ...create() };
    records.push({ v: 1, kind: 'task', id: `t${i}`, n: 1, event, at: 1, by: 'alpha', trace_id: `t${i}`, snapshot });
  }
  const messages = records.map((record, i) => ({
    seq: i + 1,
    time_ms: Date.now(),
    subject: `$KV.IF_actors.${record.kind}.${record.id}`,
    body: packBytes(record),
  }));
  const { head_hash } = database.appendBatch('IF_actors/1', messages, () => 'lost');
  database.close();
  return head_hash;
}

async function streams(): Promise<void> {
  const options = { replicas: 1, storage: 'memory', maxLogBytes: 64 * 1024 * 1024 } as const;
  await ensureStreams(await jetstreamManager(nc), cluster.namespace, options);
}

async function begin() {
  return (await establishEpoch(nc, cluster.namespace, past, Date.now(), { restoring: true })).epoch;
}

/** A restore, interrupted after its first commit if it is to be. */
async function restore(interrupted = false) {
  const stop = new AbortController();
  return await restoreLog({
    nc,
    namespace: cluster.namespace,
    epoch: await begin(),
    path,
    archiveAfterMs: 0,
    now: () => Date.now(),
    signal: stop.signal,
    onProgress: () => interrupted && stop.abort(new Error('interrupted')),
  });
}

async function held(): Promise<number> {
  const jsm = await jetstreamManager(nc);
  return (await jsm.streams.info(cluster.namespace.actorsStream)).state.messages;
}

describe('a restore that was interrupted', () => {
  it('is gone on with, and gives each actor back once', async () => {
    await expect(restore(true)).rejects.toThrow('interrupted');
    expect(await held()).toBeLessThan(tasks);
    expect(await held()).toBeGreaterThan(1);
    await expect(readEpoch(nc, cluster.namespace)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      details: { restoring: true },
    });
    expect(await restore()).toEqual({ actors: tasks, keys: 0 });
    expect(await held()).toBe(tasks + 1);
    const epoch = await readStartedEpoch(nc, cluster.namespace);
    await openEpoch(nc, cluster.namespace, epoch, { origin: 'witness', actors: tasks, keys: 0 }, Date.now());
    await openEpoch(nc, cluster.namespace, epoch, { origin: 'witness', actors: tasks, keys: 0 }, Date.now());
    expect(await readEpoch(nc, cluster.namespace)).toMatchObject({ epoch: 2 });
    expect(await held()).toBe(tasks + 2);
    const one = await new NatsRecordLog(nc, cluster.namespace).read({ kind: 'task', id: 't7' });
    expect(one?.record).toMatchObject({ n: 2, event: { type: 'RESTORED', epoch: 2, chain: 'IF_actors/1', seq: 8 } });
  });

  it('by the loss of everything begins anew, under the same number and another id', async () => {
    await expect(restore(true)).rejects.toThrow('interrupted');
    const before = await readStartedEpoch(nc, cluster.namespace);
    const jsm = await jetstreamManager(nc);
    for (const { stream } of cluster.namespace.auditedStreams) await jsm.streams.delete(stream);
    await streams();
    expect(await restore()).toEqual({ actors: tasks, keys: 0 });
    const after = await readStartedEpoch(nc, cluster.namespace);
    expect(after).toMatchObject({ epoch: before.epoch, restoring: true });
    expect(after.epoch_id).not.toBe(before.epoch_id);
  });
});

describe('a writer that knows only the epoch before', () => {
  it('writes nothing after its connection was lost', async () => {
    const epoch = await begin();
    const log = new NatsRecordLog(nc, cluster.namespace, { epoch });
    const jsm = await jetstreamManager(nc);
    for (const { stream } of cluster.namespace.auditedStreams) await jsm.streams.delete(stream);
    await streams();
    const told = async (wanted: string) => {
      for await (const { type } of nc.status()) if (type === wanted) return;
    };
    const [disconnected, reconnected] = [told('disconnect'), told('reconnect')];
    await nc.reconnect();
    await disconnected;
    const record = {
      v: 1,
      kind: 'task',
      id: 'late',
      n: 1,
      at: 1,
      by: 'alpha',
      trace_id: 't',
      event: { id: 'e', type: 'CREATE' },
    };
    const write = { record: { ...record, snapshot: taskMachine.absent as Snapshot }, expected: 0 };
    await expect(log.append([write], Date.now() + 5_000)).rejects.toMatchObject({ details: { lost: true } });
    await reconnected;
    await expect(log.append([write], Date.now() + 5_000)).rejects.toMatchObject({ details: { lost: true } });
    await expect(log.read({ kind: 'task', id: 'late' })).rejects.toMatchObject({ details: { lost: true } });
    expect(await held()).toBe(0);
  });
});
