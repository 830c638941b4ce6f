/** What the witness does as a service besides storing: checkpoints, and telling whether the fabric is audited. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NatsConnection } from '@nats-io/nats-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FabricClient } from '../../src/bus/client.ts';
import { AuditGate } from '../../src/store/audit-gate.ts';
import { type AuditNotice, auditSubject, checkpointSubject, readNotice } from '../../src/store/audit-notice.ts';
import { type Checkpoint, readCheckpoints } from '../../src/witness/proofs/checkpoint.ts';
import { readTrustedKeys } from '../../src/witness/proofs/signing-key.ts';
import { startFabric, type TestFabric } from '../coordinator/in-process.ts';
import { type TempDir, tempDir, until } from '../support/temp.ts';

const place = 'host:/witness.db';
const fails = (witness: string): AuditNotice => ({ witness, audited: false, reason: 'no space', since: 1 });
const stores = (witness: string): AuditNotice => ({ witness, audited: true, reason: null, since: 1 });

describe('the audit gate', () => {
  let now = 0;
  const gate = () => new AuditGate(() => now);

  it('is open while nothing is known, and closed from the moment that a witness cannot store until it can', () => {
    const one = gate();
    one.requireAudited();
    one.hear(fails(place));
    expect(() => one.requireAudited()).toThrow(/the fabric is unaudited: no space/);
    now += 3_600_000;
    expect(() => one.requireAudited()).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
    one.hear(stores(place));
    one.requireAudited();
  });

  it('is open while another witness says that it stores, and closed when that one falls silent', () => {
    const one = gate();
    one.hear(stores('b'));
    one.hear(fails('a'));
    one.requireAudited();
    now += 6_000;
    expect(one.unaudited).toMatchObject({ witness: 'a' });
    one.hear(stores('b'));
    expect(one.unaudited).toBeUndefined();
    one.hear(fails('b'));
    expect(one.unaudited).toMatchObject({ audited: false });
  });

  it('takes no notice of what is not a notice', () => {
    for (const text of ['', '{', 'null', '[]', '{"witness":"a","audited":"no","since":1}', '{"audited":false}'])
      expect(readNotice(text)).toBeUndefined();
  });
});

describe('the witness', () => {
  let fabric: TestFabric;
  let dir: TempDir;
  let nc: NatsConnection;
  let alpha: FabricClient;

  beforeEach(async () => {
    dir = await tempDir();
    fabric = await startFabric();
    await fabric.coordinator();
    nc = await fabric.cluster.connect();
    alpha = await fabric.client('alpha');
    await alpha.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
  });
  afterEach(async () => {
    await fabric?.stop();
    await dir?.remove();
  });

  const file = (name: string) => join(dir.path, name);
  const checkpoints = async (path: string) => readCheckpoints(await readFile(path, 'utf8').catch(() => ''));
  const create = async (task_id: string) => await alpha.request('task', 'create', { task_id, task_type: 'x' });

  it('signs a checkpoint when there are new entries, into its own and the other file, and tells it on the bus', async () => {
    const told: Checkpoint[] = [];
    nc.subscribe(checkpointSubject(fabric.cluster.namespace), {
      callback: (_, message) => void told.push(message.json<Checkpoint>()),
    });
    await nc.flush();
    const data_dir = file('data');
    const witness = await fabric.witness({ data_dir, checkpoint_every_ms: 100, checkpoint_file: file('elsewhere') });
    await create('one');
    const entries = () => told.at(-1)?.chains.reduce((sum, chain) => sum + chain.entries, 0);
    await until('everything is told', () => entries() === 5);
    const trusted = readTrustedKeys(join(data_dir, 'witness.pub'));
    for (const { chains } of told) for (const head of chains) expect(trusted.verify(head)).toBe('ok');
    const count = told.length;
    // Several periods without anything new.
    await until('time has passed', () => new Promise((resolve) => setTimeout(() => resolve(true), 500)));
    expect(told).toHaveLength(count);
    await create('two');
    await until('another one is told', () => told.length > count);
    await witness.stop();
    const own = await checkpoints(join(data_dir, 'checkpoints.jsonl'));
    expect(own.length).toBeGreaterThanOrEqual(2);
    expect(await checkpoints(file('elsewhere'))).toEqual(own);
    expect(own.at(-1)?.consistency?.length).toBeGreaterThan(0);
  });

  it('signs everything as the last act of its end, and nothing when it has signed it before', async () => {
    const data_dir = file('data');
    const witness = await fabric.witness({ data_dir });
    await create('one');
    await witness.stop();
    const [only, ...more] = await checkpoints(join(data_dir, 'checkpoints.jsonl'));
    expect(more).toEqual([]);
    expect(only?.chains.find(({ chain }) => chain === 'IF_actors/1')).toMatchObject({ entries: 3, seq: 3 });
    const again = await fabric.witness({ data_dir });
    await again.stop();
    expect(await checkpoints(join(data_dir, 'checkpoints.jsonl'))).toHaveLength(1);
  });

  it('goes on when the other file cannot be written, or holds something else', async () => {
    await writeFile(file('other'), 'something else\n');
    for (const [index, checkpoint_file] of [file('no/such/folder'), file('other')].entries()) {
      const data_dir = file(`data-${index}`);
      const witness = await fabric.witness({ data_dir, checkpoint_file });
      await witness.stop();
      expect(await checkpoints(join(data_dir, 'checkpoints.jsonl'))).toHaveLength(1);
    }
    expect(await readFile(file('other'), 'utf8')).toBe('something else\n');
  });

  it('says once a second that the fabric is audited', async () => {
    const notices: AuditNotice[] = [];
    nc.subscribe(auditSubject(fabric.cluster.namespace), {
      callback: (_, message) => void notices.push(readNotice(message.string())!),
    });
    await nc.flush();
    await fabric.witness({ data_dir: file('data') });
    await until('it was said twice', () => notices.length >= 2);
    expect(notices[0]).toMatchObject({
      audited: true,
      reason: null,
      witness: expect.stringMatching(/:.*witness\.db$/),
    });
  });

  it('tells its metrics and its state to operators only', async () => {
    const witness = await fabric.witness({ data_dir: file('data') });
    await create('one');
    const operator = await fabric.client('operator');
    await until('it has stored', async () => {
      const { chains } = await operator.request<{ chains: Array<{ stored: number }> }>('witness', 'status');
      return chains.some(({ stored }) => stored === 3);
    });
    const { text } = await operator.request<{ text: string }>(`witness-${witness.id}`, 'metrics');
    expect(text).toMatch(/^if_witness_entries_total 5$/m);
    expect(text).toMatch(/^if_witness_lag_messages 0$/m);
    expect(text).toMatch(/^if_witness_unaudited 0$/m);
    expect(text).toMatch(/^if_witness_lag_seconds_count 5$/m);
    for (const name of ['batch_size', 'store_seconds']) expect(text).toContain(`if_witness_${name}_bucket`);
    expect(text).toMatch(/^if_witness_checkpoints_total 0$/m);
    for (const op of ['status', 'metrics'])
      await expect(alpha.request('witness', op)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });
});
