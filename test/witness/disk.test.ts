/** A witness whose disk is full or read-only, on real disks: nothing is acknowledged that is not stored, nothing lost. */
import { join } from 'node:path';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Witness } from '../../actors/witness/witness.ts';
import { consumerOf } from '../../actors/witness/witness-consumers.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { FabricError } from '../../src/errors.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { startFabric, type TestFabric } from '../coordinator/in-process.ts';
import { until } from '../support/temp.ts';
import { mountRefusal, mountSmallDisk, type SmallDisk } from './small-disk.ts';

const refusal = mountRefusal();
const stream = 'KV_IF_actors';

describe.skipIf(refusal !== undefined)(`a witness on a small disk${refusal ? ` (skipped: ${refusal})` : ''}`, () => {
  let disk: SmallDisk;
  let fabric: TestFabric;
  let jsm: JetStreamManager;
  let alpha: FabricClient;
  let operator: FabricClient;
  let created = 0;

  beforeEach(async () => {
    disk = mountSmallDisk(3);
    fabric = await startFabric();
    await fabric.coordinator();
    jsm = await jetstreamManager(await fabric.cluster.connect(), { checkAPI: false });
    alpha = await fabric.client('alpha', { timeoutMs: 1_000 });
    operator = await fabric.client('operator');
    await alpha.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
  });
  afterEach(async () => {
    try {
      await fabric?.stop();
    } finally {
      disk?.remove();
    }
  });

  const dataDir = () => join(disk.path, 'data');
  const database = () => join(dataDir(), 'witness.db');
  const startWitness = async () => await fabric.witness({ data_dir: dataDir() });
  const lastSeq = async () => (await jsm.streams.info(stream)).state.last_seq;

  function stored(): number {
    const sqlite = new Sqlite(database(), { readonly: true });
    try {
      return sqlite.prepare<[], number>("SELECT max(seq) FROM entries WHERE chain = 'IF_actors/1'").pluck().get() ?? 0;
    } finally {
      sqlite.close();
    }
  }

  async function create(): Promise<void> {
    const metadata = { filling: 'x'.repeat(20_000) };
    await alpha.request('task', 'create', { task_id: `t-${++created}`, task_type: 'x', metadata });
  }

  /** Creates tasks until one is refused. */
  async function refused(): Promise<FabricError> {
    for (let i = 0; i < 2_000; i++) {
      try {
        await create();
      } catch (error) {
        if (!(error instanceof FabricError)) throw error;
        // A busy machine may leave the last try of a request without an answer.
        if (error.code === 'UNAVAILABLE') return error;
        if (error.code !== 'TIMEOUT') throw error;
      }
    }
    throw new Error('nothing was refused');
  }

  async function changesAreTaken(): Promise<void> {
    const taken = async () =>
      await create().then(
        () => true,
        () => false,
      );
    await until('changes are taken again', taken);
  }

  async function everythingIsStored(): Promise<void> {
    await until('everything is stored', async () => stored() >= (await lastSeq()));
    const { ok, chains } = verifyDatabase(database());
    expect(chains.flatMap(({ errors }) => errors)).toEqual([]);
    expect(ok).toBe(true);
    const actors = chains.find(({ chain }) => chain === 'IF_actors/1');
    expect(actors).toMatchObject({ entries: await lastSeq(), first_seq: 1, gaps: 0 });
  }

  it('acknowledges nothing that a full disk did not take, has changes refused, and goes on when there is space', async () => {
    const witness: Witness = await startWitness();
    await create();
    await until('the witness has stored', async () => stored() >= (await lastSeq()));
    disk.fill();

    const error = await refused();
    expect(error.message).toMatch(/^the fabric is unaudited: no space is left.*Nothing was changed/s);
    expect(error.details).toMatchObject({ unaudited: true });
    const before = await lastSeq();
    const { ack_floor } = await jsm.consumers.info(stream, consumerOf(witness.id));
    expect(ack_floor.stream_seq).toBeLessThanOrEqual(stored());
    expect(stored()).toBeLessThan(before);
    await refused();
    await expect(alpha.request('witness', 'log', { event: 'E', component: 'c' })).rejects.toThrow(/unaudited/);
    expect(await lastSeq()).toBe(before);

    const status = await operator.request<Record<string, unknown>>(consumerOf(witness.id), 'status');
    expect(status).toMatchObject({ id: witness.id, audited: false, reason: expect.stringMatching(/no space/) });
    const { text } = await operator.request<{ text: string }>('witness', 'metrics');
    expect(text).toMatch(/^if_witness_unaudited 1$/m);
    expect(Number(/^if_witness_lag_messages (\d+)$/m.exec(text)?.[1])).toBeGreaterThan(0);
    expect((await alpha.request<{ entries: unknown[] }>('witness', 'query', {})).entries.length).toBeGreaterThan(0);

    disk.free();
    await changesAreTaken();
    await everythingIsStored();
    expect(await operator.request('witness', 'status')).toMatchObject({ audited: true, reason: null });
  });

  it('has changes refused while its database can only be read, and goes on when it can be written', async () => {
    const first = await startWitness();
    await create();
    await first.stop();
    await create();
    disk.remount('ro');
    const second = startWitness();
    await until(
      'a change is refused',
      async () =>
        await create().then(
          () => false,
          (error) => /unaudited/.test(error),
        ),
    );
    expect((await refused()).message).toMatch(/EROFS|can only be read/);
    disk.remount('rw');
    await second;
    await changesAreTaken();
    await everythingIsStored();
  });

  it('can be stopped while it cannot store, and has what it missed stored by its next start', async () => {
    const first = await startWitness();
    disk.fill();
    await refused();
    const startedAt = performance.now();
    await first.stop();
    expect(performance.now() - startedAt).toBeLessThan(6_000);
    disk.free();
    await startWitness();
    await changesAreTaken();
    await everythingIsStored();
  });
});
