/** Several witnesses of one fabric, each with a database of its own: one history, and nothing trimmed that one lacks. */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { trimLimit, type WitnessProgress, witnessesOf } from '../../actors/witness/witness-consumers.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { startFabric, type TestFabric } from '../coordinator/in-process.ts';
import { ended, firstLine, spawnTypeScript } from '../support/child.ts';
import { type TempDir, tempDir, until } from '../support/temp.ts';

let fabric: TestFabric;
let jsm: JetStreamManager;
let alpha: FabricClient;
let dir: TempDir;
const stream = 'KV_IF_actors';
const program = new URL('../../src/cli/main.ts', import.meta.url);

beforeEach(async () => {
  dir = await tempDir();
  fabric = await startFabric();
  await fabric.coordinator();
  jsm = await jetstreamManager(await fabric.cluster.connect(), { checkAPI: false });
  alpha = await fabric.client('alpha');
  await alpha.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
});
afterEach(async () => {
  await fabric?.stop();
  await dir?.remove();
});

const dataDir = (name: string) => join(dir.path, name);
const lastSeq = async () => (await jsm.streams.info(stream)).state.last_seq;

function rows(name: string): unknown[] {
  const sqlite = new Sqlite(join(dataDir(name), 'witness.db'), { readonly: true });
  try {
    return sqlite.prepare('SELECT chain, seq, prev_hash, content_hash FROM entries ORDER BY chain, seq').all();
  } finally {
    sqlite.close();
  }
}

async function caughtUp(...names: string[]): Promise<void> {
  const total = await Promise.all(
    fabric.cluster.namespace.auditedStreams.map(async ({ stream }) => (await jsm.streams.info(stream)).state.last_seq),
  );
  const sum = total.reduce((a, b) => a + b, 0);
  for (const name of names) await until(`${name} has everything`, () => rows(name).length === sum);
}

async function work(from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) {
    const task_id = `t-${i}`;
    await alpha.request('task', 'create', { task_id, task_type: 'x' });
    const { token } = await alpha.request<{ token: number }>('task', 'claim', { task_id });
    await alpha.request('task', 'complete', { task_id, token });
    await alpha.request('witness', 'log', { event: 'NOTE', component: 'test', payload: { i } });
  }
}

describe('two witnesses', () => {
  it('derive the same hashes, each with a consumer of its own, also one that starts late', async () => {
    const first = await fabric.witness({ data_dir: dataDir('first') });
    await work(0, 20);
    const second = await fabric.witness({ data_dir: dataDir('second') });
    await work(20, 40);
    await caughtUp('first', 'second');
    expect(rows('second')).toEqual(rows('first'));
    expect(verifyDatabase(join(dataDir('second'), 'witness.db'))).toMatchObject({ ok: true });
    const witnesses = await witnessesOf(jsm, stream);
    expect(witnesses.map(({ witness }) => witness)).toEqual([first.id, second.id].sort());
    await until('all is acknowledged', async () => (await witnessesOf(jsm, stream)).every(({ lag }) => lag === 0));
    expect((await witnessesOf(jsm, stream)).map(({ stored }) => stored)).toEqual([await lastSeq(), await lastSeq()]);
  });

  it('of which one is away have nothing trimmed that it lacks, and it comes back to its consumer', async () => {
    await fabric.witness({ data_dir: dataDir('first') });
    const second = await fabric.witness({ data_dir: dataDir('second') });
    await work(0, 3);
    await caughtUp('first', 'second');
    await second.stop();
    const stoppedAt = await lastSeq();
    await work(3, 6);
    await caughtUp('first');
    const away = (await witnessesOf(jsm, stream)).find(({ witness }) => witness === second.id);
    expect(away?.stored).toBeGreaterThan(0);
    expect(away?.stored).toBeLessThanOrEqual(stoppedAt);
    const again = await fabric.witness({ data_dir: dataDir('second') });
    expect(again.id).toBe(second.id);
    await caughtUp('second');
    expect(rows('second')).toEqual(rows('first'));
  });

  it('of which one began with a copy of the other get consumers of their own', async () => {
    const first = await fabric.witness({ data_dir: dataDir('first') });
    await work(0, 3);
    await caughtUp('first');
    await first.stop();
    await mkdir(dataDir('copy'));
    await copyFile(join(dataDir('first'), 'witness.db'), join(dataDir('copy'), 'witness.db'));
    const again = await fabric.witness({ data_dir: dataDir('first') });
    const copy = await fabric.witness({ data_dir: dataDir('copy') });
    expect(again.id).toBe(first.id);
    expect(copy.id).not.toBe(first.id);
    await work(3, 6);
    await caughtUp('first', 'copy');
    expect(rows('copy')).toEqual(rows('first'));
  });

  it('of which one runs in `infrafabric serve`, with a data directory that no other process may use', async () => {
    await fabric.witness({ data_dir: dataDir('first') });
    await work(0, 3);
    const { identity, cluster } = fabric.cluster;
    await writeFile(join(dir.path, 'creds'), await identity.operatorCreds(), { mode: 0o600 });
    const args = ['serve', '--services', 'witness', '--data-dir', dataDir('served'), '--json'];
    args.push('--servers', cluster.servers.join(','), '--creds', join(dir.path, 'creds'));
    const served = spawnTypeScript(program, args);
    try {
      expect(JSON.parse(await firstLine(served))).toMatchObject({ ready: true });
      await work(3, 6);
      expect(await ended(spawnTypeScript(program, args))).toBe(1);
      served.kill('SIGTERM');
      expect(await ended(served)).toBe(0);
      await caughtUp('first');
      // The last step of its supervisor is recorded when it has ended.
      const all = rows('first');
      const copy = rows('served');
      expect(copy.length).toBeGreaterThan(6 * 3);
      expect(all).toEqual(expect.arrayContaining(copy));
      expect(await readFile(join(dataDir('served'), 'checkpoints.jsonl'), 'utf8')).toContain(
        'infrafabric-checkpoint/1',
      );
    } finally {
      served.kill('SIGKILL');
    }
  }, 240_000);

  it('leave trimming to one of them, up to what all have stored', () => {
    const at = (witness: string, stored: number, present = true): WitnessProgress => ({
      witness,
      stored,
      present,
      lag: 0,
    });
    const all = [at('a', 50, false), at('b', 90), at('c', 70)];
    expect(trimLimit(all, { witness: 'b', stored: 95 })).toBe(50);
    expect(trimLimit(all, { witness: 'c', stored: 70 })).toBe(0);
    expect(trimLimit([at('b', 90), at('c', 70)], { witness: 'b', stored: 60 })).toBe(60);
    expect(trimLimit([at('b', 90, false)], { witness: 'b', stored: 91 })).toBe(90);
    expect(trimLimit([], { witness: 'b', stored: 91 })).toBe(91);
  });
});
