/** What is trimmed from the log, what a witness makes of it, and what it makes of what is lost. */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Retention } from '../../actors/witness/retention.ts';
import { trimmedThrough } from '../../actors/witness/trim-mark.ts';
import { Witness } from '../../actors/witness/witness.ts';
import { consumerOf } from '../../actors/witness/witness-consumers.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { connectTo } from '../../src/bus/connection.ts';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { witnessPath } from '../../src/witness/files.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { startFabric, type TestFabric } from '../coordinator/in-process.ts';
import { all } from '../store/fixtures.ts';
import { startProxy } from '../store/swallowing-proxy.ts';
import { tempDir, until } from '../support/temp.ts';

let fabric: TestFabric;
let alpha: FabricClient;
let jsm: JetStreamManager;
let admin: NatsConnection;
let log: NatsRecordLog;
const stream = 'KV_IF_actors';
const chain = 'IF_actors/1';
const minute = 60_000;
const cleanUp: Array<() => Promise<void>> = [];

beforeEach(async () => {
  fabric = await startFabric();
  await fabric.coordinator();
  admin = await fabric.cluster.connect();
  jsm = await jetstreamManager(admin, { checkAPI: false });
  log = new NatsRecordLog(admin, fabric.cluster.namespace);
  alpha = await fabric.client('alpha');
  await alpha.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
});
afterEach(async () => {
  for (const one of cleanUp.splice(0).reverse()) await one();
  await fabric?.stop();
});

const lastSeq = async () => (await jsm.streams.info(stream)).state.last_seq;

function headOf(dataDir: string): number {
  const database = WitnessDatabase.open(witnessPath(dataDir));
  try {
    return database.head(chain)?.last_seq ?? 0;
  } finally {
    database.close();
  }
}

/** A witness with a data directory of its own, which has caught up. */
async function witness(
  settings: { data_dir?: string; nc?: NatsConnection } = {},
): Promise<{ dir: string; service: Witness }> {
  const temporary = settings.data_dir ? undefined : await tempDir();
  const dir = settings.data_dir ?? temporary!.path;
  if (temporary) cleanUp.push(temporary.remove);
  const context = await fabric.context('witness', { data_dir: dir });
  const service = await Witness.start(settings.nc ? { ...context, nc: settings.nc } : context);
  cleanUp.push(async () => await service.stop());
  await until('the witness has caught up', async () => headOf(dir) >= (await lastSeq()));
  return { dir, service };
}

/** Retention that only does what a test asks. */
function retention(stored: () => number, archiveAfterMs = 10 * minute): Retention {
  const { namespace } = fabric.cluster;
  const silent = { warn: () => {}, error: () => {} } as never;
  const service = new Retention({ nc: admin, jsm, namespace, log: silent, archiveAfterMs, stored, everyMs: 3_600_000 });
  cleanUp.push(async () => await service.stop());
  return service;
}

async function task(task_id: string, complete: boolean): Promise<void> {
  await alpha.request('task', 'create', { task_id, task_type: 'x' });
  const { token } = await alpha.request<{ token: number }>('task', 'claim', { task_id });
  if (complete) await alpha.request('task', 'complete', { task_id, token });
}

const records = async (id: string, kind = 'task') =>
  (await all(log.history({ kind, id }))).map(({ record }) => record.event.type);
const gapsOf = (dir: string) => {
  const database = WitnessDatabase.open(witnessPath(dir));
  try {
    return database
      .query({ event: 'gap', limit: 1_000 })
      .entries.map(({ payload }) => payload as { first_seq: number; last_seq: number; reason: string });
  } finally {
    database.close();
  }
};

describe('the log behind the witness', () => {
  it('keeps an ended actor for its time, and then nothing of it; who lives on stays', async () => {
    await task('done', true);
    await task('open', false);
    const { dir } = await witness();
    const keeper = retention(() => headOf(dir));
    await keeper.round(Date.now() + 9 * minute);
    expect(await records('done')).toEqual(['CREATE', 'CLAIM', 'COMPLETE']);
    await keeper.round(Date.now() + 11 * minute);
    expect(await records('done')).toEqual([]);
    expect(await records('open')).toEqual(['CREATE', 'CLAIM']);
    expect(await records('alpha', 'swarm')).toEqual(['REGISTER', 'SUCCESS']);
    expect(trimmedThrough(await jsm.streams.info(stream))).toBeGreaterThan(0);
    expect(verifyDatabase(witnessPath(dir))).toMatchObject({ ok: true });
    expect(gapsOf(dir)).toEqual([]);
    await expect(alpha.request('task', 'get', { task_id: 'done' })).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
    const { tasks } = await alpha.request<{ tasks: Array<{ task_id: string }> }>('task', 'list');
    expect(tasks.map(({ task_id }) => task_id)).toEqual(['open']);
  });

  it('is never trimmed before the witness has it, nor within the time in which a write may be in doubt', async () => {
    await task('done', true);
    let stored = 0;
    const keeper = retention(() => stored, 0);
    await keeper.round(Date.now() + 60 * minute);
    expect(await records('done')).toHaveLength(3);
    stored = (await lastSeq()) - 2;
    await keeper.round(Date.now() + 60 * minute);
    expect(await records('done'), 'the completion is not stored yet').toHaveLength(3);
    stored = await lastSeq();
    await keeper.round(Date.now() + 3 * minute);
    expect(await records('done'), 'too young').toHaveLength(3);
    await keeper.round(Date.now() + 5 * minute);
    expect(await records('done')).toEqual([]);
  });

  it('keeps of one that lives long the latest records only, and the last one always', async () => {
    for (let i = 0; i < 150; i++)
      await alpha.request('swarm', 'register', { capabilities: [`c${i}`], cost_per_hour: 0 });
    const head = await lastSeq();
    await retention(() => head).round(Date.now() + 60 * minute);
    const left = await all(log.history({ kind: 'swarm', id: 'alpha' }));
    expect(left.length).toBeLessThan(64);
    expect(left.at(-1)?.record.n).toBe(151);
    expect(await alpha.request('swarm', 'heartbeat')).toMatchObject({ capabilities: ['c149'] });
  });

  it('leaves `trimmed` gaps to a witness that starts late, which verifies', async () => {
    await task('one', true);
    await task('two', false);
    await task('three', true);
    const head = await lastSeq();
    await retention(() => head).round(Date.now() + 60 * minute);
    await task('four', true);
    const { dir } = await witness();
    const gaps = gapsOf(dir);
    expect(gaps.length).toBeGreaterThan(0);
    expect(new Set(gaps.map(({ reason }) => reason))).toEqual(new Set(['trimmed']));
    expect(verifyDatabase(witnessPath(dir))).toMatchObject({ ok: true });
    expect(headOf(dir)).toBe(await lastSeq());
  });
});

describe('a message that is gone', () => {
  it('without having been trimmed is `lost`, and verification says so', async () => {
    await task('one', false);
    // A log that is not trimmed can lose messages only by force.
    const { config } = await jsm.streams.info(stream);
    expect(config.deny_delete).toBe(true);
    await jsm.streams.purge(stream, { filter: '$KV.IF_actors.task.one', seq: (await lastSeq()) + 1 });
    await task('two', false);
    const { dir } = await witness();
    expect(gapsOf(dir).map(({ reason }) => reason)).toEqual(['lost']);
    const verification = verifyDatabase(witnessPath(dir));
    expect(verification.ok).toBe(false);
    expect(verification.chains.flatMap(({ errors }) => errors).map(({ code }) => code)).toEqual(['SEQ_MISSING']);
  });

  it('on its way to the witness is no gap: it is delivered again', async () => {
    const proxy = await startProxy(fabric.cluster.cluster.nodes[0]!.port);
    cleanUp.push(proxy.stop);
    const auth = authFromCreds(await fabric.cluster.identity.serviceCreds('witness'));
    const nc = await connectTo({
      servers: [`127.0.0.1:${proxy.port}`],
      authenticator: auth.authenticator,
      inboxPrefix: auth.inboxPrefix,
      name: 'witness',
    });
    cleanUp.push(async () => await nc.close());
    const { dir } = await witness({ nc });
    for (let round = 0; round < 5; round++) {
      proxy.lose('answers');
      await Promise.all(Array.from({ length: 40 }, async (_, i) => await task(`lost-${round}-${i}`, true)));
      proxy.cut();
      await task(`after-${round}`, true);
      await until('the witness has caught up', async () => headOf(dir) >= (await lastSeq()));
    }
    expect(gapsOf(dir)).toEqual([]);
    expect(verifyDatabase(witnessPath(dir))).toMatchObject({ ok: true });
  });
});

describe('a witness', () => {
  it('that is begun again goes on where it stopped', async () => {
    await task('one', true);
    const first = await witness();
    await first.service.stop();
    await task('two', true);
    const { dir } = await witness({ data_dir: first.dir });
    expect(gapsOf(dir)).toEqual([]);
    expect(verifyDatabase(witnessPath(dir)).chains.find((report) => report.chain === chain)).toMatchObject({
      entries: await lastSeq(),
      errors: [],
    });
  });

  it('has all that was in the streams when it is stopped', async () => {
    const { dir, service } = await witness();
    await Promise.all(Array.from({ length: 50 }, async (_, i) => await task(`last-${i}`, true)));
    const head = await lastSeq();
    await service.stop();
    expect(headOf(dir)).toBe(head);
  });

  it('ends when the log has lost everything, instead of taking its new beginning for old news', async () => {
    await task('one', true);
    const { service } = await witness();
    let reason: unknown;
    service.failed.catch((error: unknown) => {
      reason = error;
    });
    // The only node loses its memory, and is started again with empty streams.
    process.kill(fabric.cluster.cluster.nodes[0]?.pid ?? 0, 'SIGKILL');
    await until('the witness has noticed', () => reason !== undefined, 40_000);
    expect(reason).toMatchObject({ code: 'UNAVAILABLE', details: { lost: true } });
  });

  it('makes its consumer again when that is gone, and misses nothing', async () => {
    await task('one', true);
    const { dir, service } = await witness();
    await jsm.consumers.delete(stream, consumerOf(service.id));
    await task('two', true);
    await until('the witness has caught up', async () => headOf(dir) >= (await lastSeq()), 40_000);
    expect(gapsOf(dir)).toEqual([]);
  });
});
