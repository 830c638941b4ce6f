import { copyFile, mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Finished, start } from '../cli/built-program.ts';
import { withStreams } from '../store/fixtures.ts';
import { startTestCluster } from '../support/cluster.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { LastingFabric } from './lasting-fabric.ts';

let lasting: LastingFabric;
let dir: TempDir;
let count = 0;
let target: string;

beforeAll(async () => {
  dir = await tempDir();
  lasting = await LastingFabric.create({ nodes: 1 });
  await lasting.up();
  const operator = await lasting.join('operator');
  for (const task_id of ['one', 'two']) await operator.request('task', 'create', { task_id, task_type: 'review' });
  await lasting.down();
});

beforeEach(() => {
  target = join(dir.path, `target-${++count}`);
});

afterAll(async () => {
  await lasting.remove();
  await dir.remove();
});

async function restore(...args: string[]): Promise<Finished> {
  return await start(['witness', 'restore', ...args], dir.path).finished;
}

describe('witness restore into a data directory', () => {
  it('copies the history, from which the next `up` restores', async () => {
    const done = await restore('--db', lasting.witnessDb, '--data-dir', target);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    expect(done.stdout).toContain('infrafabric up');
    expect((await stat(join(target, 'witness.db'))).mode & 0o777).toBe(0o600);
    const up = start(['up', '--nodes', '1', '--data-dir', target], dir.path);
    try {
      await expect.poll(() => up.written.stdout, { timeout: 40_000 }).toContain('ready');
      const show = await start(['task', 'show', 'two', '--json', '--data-dir', target], dir.path).finished;
      expect(JSON.parse(show.stdout)).toMatchObject({ task_id: 'two', state: 'available' });
      const refused = await restore('--db', lasting.witnessDb, '--data-dir', target);
      expect(refused).toMatchObject({ code: 1 });
      expect(refused.stderr).toContain(`${up.child.pid}`);
    } finally {
      up.child.kill('SIGTERM');
    }
    const ended = await up.finished;
    expect(ended.stderr).toContain('restored');
    expect(await start(['witness', 'verify', '--data-dir', target], dir.path).finished).toMatchObject({ code: 0 });
  });

  it('refuses one that has a history, and leaves it alone', async () => {
    expect(await restore('--db', lasting.witnessDb, '--data-dir', target)).toMatchObject({ code: 0 });
    const before = await readFile(join(target, 'witness.db'));
    const again = await restore('--db', lasting.witnessDb, '--data-dir', target);
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(again.stderr).toContain('history of its own');
    expect(await readFile(join(target, 'witness.db'))).toEqual(before);
  });

  it('refuses a history that does not verify, or of another namespace, and a file that is none', async () => {
    await mkdir(target, { recursive: true });
    const altered = join(target, 'altered.db');
    await copyFile(lasting.witnessDb, altered);
    const sqlite = new Sqlite(altered);
    sqlite.exec(`UPDATE entries SET swarm_id = 'eve' WHERE seq = 3`);
    sqlite.close();
    const faulty = await restore('--db', altered, '--data-dir', target);
    expect(faulty).toMatchObject({ code: 1 });
    expect(faulty.stderr).toContain('HASH_MISMATCH');
    const foreign = await restore('--db', lasting.witnessDb, '--data-dir', target, '--namespace', 'OTHER');
    expect(foreign).toMatchObject({ code: 1 });
    expect(foreign.stderr).toContain('--namespace');
    expect(await restore('--db', join(target, 'none.db'), '--data-dir', target)).toMatchObject({ code: 3 });
    await expect(stat(join(target, 'witness.db'))).rejects.toThrow();
  });
});

describe('witness restore into a cluster', () => {
  it('that is empty restores at once; into one that has an epoch it is refused', async () => {
    const cluster = await startTestCluster({ nodes: 1 });
    try {
      await withStreams(cluster, 1);
      const creds = join(dir.path, 'operator.creds');
      await copyFile(join(cluster.dataDir, 'operator.creds'), creds);
      const where = ['--servers', cluster.cluster.servers.join(','), '--creds', creds, '--nodes', '1', '--json'];
      const done = await restore('--db', lasting.witnessDb, '--data-dir', target, ...where);
      expect(done).toMatchObject({ code: 0 });
      expect(JSON.parse(done.stdout)).toMatchObject({ restored: { epoch: 2 } });
      expect(JSON.parse(done.stdout).restored.actors).toBeGreaterThanOrEqual(4);
      const again = await restore('--db', lasting.witnessDb, '--data-dir', join(target, 'again'), ...where);
      expect(again).toMatchObject({ code: 1 });
      expect(again.stderr).toContain('epoch 2');
      await expect(stat(join(target, 'again', 'witness.db'))).rejects.toThrow();
    } finally {
      await cluster.stop();
    }
  });
});
