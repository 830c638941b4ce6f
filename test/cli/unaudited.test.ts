/** A fabric whose disk is full, as its user sees it: nothing is changed that cannot be witnessed, and nothing is lost. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type TempDir, tempDir, until } from '../support/temp.ts';
import { mountRefusal, mountSmallDisk, type SmallDisk } from '../witness/small-disk.ts';
import { alive, type Finished, isReady, nodePids, type Running, start } from './built-program.ts';

const refusal = mountRefusal();
const large = JSON.stringify({ filling: 'x'.repeat(100_000) });

const title = `a fabric on a full disk${refusal ? ` (skipped: ${refusal})` : ''}`;

describe.skipIf(refusal !== undefined)(title, { timeout: 120_000 }, () => {
  let disk: SmallDisk;
  let dir: TempDir;
  const begun: Running[] = [];
  const nodes = new Set<number>();
  let created: string[] = [];

  beforeEach(async () => {
    created = [];
    dir = await tempDir();
    disk = mountSmallDisk(64);
    await up();
    await create('before');
    disk.fill();
  });
  afterEach(async () => {
    try {
      for (const { child, finished } of begun.splice(0)) {
        if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
        await finished;
      }
      for (const pid of await alive([...nodes])) process.kill(pid, 'SIGKILL');
      await until('the nodes have ended', async () => (await alive([...nodes])).length === 0);
    } finally {
      nodes.clear();
      disk?.remove();
      await dir?.remove();
    }
  });

  const dataDir = () => join(disk.path, 'data');
  const on = (...args: string[]) => start([...args, '--data-dir', dataDir()], dir.path);
  const run = async (...args: string[]) => await on(...args).finished;
  const json = async <Result>(...args: string[]) => JSON.parse((await run(...args, '--json')).stdout) as Result;

  async function up(): Promise<Running> {
    const running = on('up', '--nodes', '1');
    begun.push(running);
    await until('up is ready', () => isReady(running), 40_000);
    for (const pid of await nodePids(dataDir())) nodes.add(pid);
    return running;
  }

  async function create(task_id: string): Promise<Finished> {
    const options = ['--type', 'x', '--metadata', large, '--request-timeout-ms', '1000'];
    const finished = await run('task', 'create', task_id, ...options);
    if (finished.code === 0) created.push(task_id);
    return finished;
  }

  /** Creates tasks until one is refused. */
  async function refused(): Promise<Finished> {
    for (let i = 0; i < 20; i++) {
      const finished = await create(`filling-${i}`);
      if (finished.code !== 0) return finished;
    }
    throw new Error('nothing was refused');
  }

  async function everythingIsWitnessed(): Promise<void> {
    const { witness_lag } = await json<{ witness_lag: number }>('status');
    expect(witness_lag).toBe(0);
    for (const task_id of created) {
      expect((await run('task', 'show', task_id)).code).toBe(0);
      const { entries } = await json<{ entries: object[] }>('witness', 'query', '--id', task_id, '--event', 'CREATE');
      expect([task_id, entries.length]).toEqual([task_id, 1]);
    }
    expect(await json('witness', 'verify')).toMatchObject({ ok: true });
  }

  it('refuses changes and says what to do, lets be read, and goes on by itself when there is space', async () => {
    const { code, stdout, stderr } = await refused();
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toMatch(/^error: the fabric is unaudited: no space is left for the witness database/);
    expect(stderr).toMatch(/Nothing was changed; it goes on by itself .*`infrafabric doctor` says what to do/);
    expect(stderr).toContain('(UNAVAILABLE)');

    const status = await json<{ services: object[]; witnesses: object[] }>('status');
    expect(status).toMatchObject({
      audited: false,
      witnesses: [{ audited: false, reason: expect.stringMatching(/no space/) }],
      // A log that cannot be written ends no service.
      services: Array.from({ length: 3 }, () => ({ state: 'running', restarts: 0 })),
    });
    expect((await run('status')).stdout).toMatch(/UNAUDITED: nothing is changed.*\n.*witness\.db cannot store since/);
    const doctor = await run('doctor', '--json');
    expect(doctor.code).toBe(1);
    const { checks } = JSON.parse(doctor.stdout) as { checks: Array<{ check: string; result: string }> };
    expect(checks.filter(({ result }) => result === 'failed')).toMatchObject([
      { check: 'audit', found: expect.stringMatching(/cannot store: no space/), todo: expect.stringMatching(/disk/) },
    ]);

    for (const args of [
      ['task', 'show', 'before'],
      ['task', 'list'],
      ['inspect', 'task:before'],
      ['witness', 'query', '--id', 'before'],
      ['witness', 'verify'],
    ]) {
      const finished = await run(...args);
      expect([args, finished.code, finished.stderr]).toEqual([args, 0, '']);
    }
    // What cannot be written in full is not left behind in part.
    expect((await run('swarm', 'creds', 'late', '--request-timeout-ms', '500')).stdout).not.toContain('SEED');
    const files = await readdir(dataDir(), { recursive: true });
    expect(files.filter((name) => name.endsWith('.tmp'))).toEqual([]);

    disk.free();
    await until('changes are taken', async () => (await create('after')).code === 0, 30_000);
    expect(await json('status')).toMatchObject({ audited: true });
    await until('the witness has all', async () => (await json<{ witness_lag: number }>('status')).witness_lag === 0);
    await everythingIsWitnessed();
    const [first] = begun;
    first?.child.kill('SIGTERM');
    expect((await first?.finished)?.code).toBe(0);
    expect(await alive([...nodes])).toEqual([]);
    expect(await json('witness', 'verify')).toMatchObject({ ok: true });
  });

  it('stopped meanwhile leaves its nodes what no witness has, and loses nothing', async () => {
    await refused();
    expect(created.length).toBeGreaterThan(1);
    const [first] = begun;
    const stopping = performance.now();
    first?.child.kill('SIGTERM');
    const ended = await first?.finished;
    expect(performance.now() - stopping).toBeLessThan(15_000);
    expect(ended?.stderr).toMatch(/no space is left.*only the nodes have/s);
    expect(ended?.code).toBe(3);
    expect(await alive([...nodes])).toEqual([...nodes]);

    disk.free();
    const second = await up();
    expect(second.written.stderr).toContain('adopted 1 nodes');
    await until('changes are taken', async () => (await create('after')).code === 0, 30_000);
    await until('the witness has all', async () => (await json<{ witness_lag: number }>('status')).witness_lag === 0);
    await everythingIsWitnessed();
    second.child.kill('SIGTERM');
    expect((await second.finished).code).toBe(0);
    expect(await alive([...nodes])).toEqual([]);
  });
});
