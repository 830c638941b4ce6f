import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, describe, expect, it } from 'vitest';
import { tempDir, until } from '../support/temp.ts';
import { alive, type Fabric, isReady, nodePids, start, startFabric } from './built-program.ts';

const releases: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (let release = releases.pop(); release; release = releases.pop()) await release();
});

async function fabricOf(...options: string[]): Promise<Fabric> {
  const fabric = await startFabric(...options);
  releases.push(fabric.stop);
  return fabric;
}

async function folder(): Promise<string> {
  const dir = await tempDir();
  releases.push(dir.remove);
  return dir.path;
}

describe('infrafabric up', () => {
  it('writes fabric.json when it is ready, keeps secrets to the owner, and stops everything at SIGTERM', async () => {
    const { up, dataDir, run } = await fabricOf();
    expect(up.written.stdout.split('\n').filter((line) => line.includes('ready'))).toHaveLength(1);
    const facts = JSON.parse(await readFile(join(dataDir, 'fabric.json'), 'utf8')) as { servers: string[] };
    expect(Object.keys(facts)).toEqual([
      'pid',
      'namespace',
      'servers',
      'console_url',
      'metrics_url',
      'version',
      'started_at',
    ]);
    expect(facts).toMatchObject({ pid: up.child.pid, namespace: 'IF', version: expect.any(String) });
    expect(facts.servers).toHaveLength(3);
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
    for (const name of ['fabric.json', 'operator.creds', 'witness.db', 'keys/operator.nk', 'keys/swarm-signer.nk']) {
      expect([name, (await stat(join(dataDir, name))).mode & 0o777]).toEqual([name, 0o600]);
    }

    const second = await start(['up', '--data-dir', dataDir], dataDir).finished;
    expect({ code: second.code, stdout: second.stdout }).toEqual({ code: 1, stdout: '' });
    expect(second.stderr).toContain(`in use by process ${up.child.pid}`);
    expect((await run('task', 'create', 'still-works', '--type', 'x')).code).toBe(0);

    const nodes = await nodePids(dataDir);
    expect(nodes).toHaveLength(3);
    const stopping = performance.now();
    up.child.kill('SIGTERM');
    expect((await up.finished).code).toBe(0);
    expect(performance.now() - stopping).toBeLessThan(10_000);
    expect(await alive(nodes)).toEqual([]);
    expect(await readdir(dataDir)).not.toEqual(expect.arrayContaining([expect.stringMatching(/^fabric\./)]));
    expect((await run('witness', 'verify')).code).toBe(0);
    const witness = new Sqlite(join(dataDir, 'witness.db'));
    witness.prepare("UPDATE entries SET swarm_id = 'someone-else' WHERE event = 'CREATE'").run();
    witness.close();
    const edited = await run('witness', 'verify', '--json');
    expect(edited.code).toBe(1);
    expect(JSON.parse(edited.stdout)).toMatchObject({
      ok: false,
      chains: [{ errors: [{ code: 'HASH_MISMATCH' }] }, {}, {}],
    });
    expect((await run('task', 'list')).code).toBe(3);
  });

  it('after SIGKILL commands say what to do, and the next one takes over the nodes with all they hold', async () => {
    const { up, dataDir, run, json, begin } = await fabricOf();
    await run('task', 'create', 'before', '--type', 'x');
    const nodes = await nodePids(dataDir);
    up.child.kill('SIGKILL');
    await up.finished;

    const orphaned = await run('task', 'list', '--request-timeout-ms', '500');
    expect(orphaned.code).toBe(3);
    expect(orphaned.stderr).toContain(`process ${up.child.pid}, which ran this fabric, is gone`);
    expect((await run('doctor')).code).toBe(1);
    // Nodes that run on learn of a revocation all the same.
    await run('swarm', 'creds', 'amber');
    expect(await json('swarm', 'revoke', 'amber')).toMatchObject({ ended: 1, nodes: 3 });

    const next = begin('up');
    await until('the next up is ready', () => isReady(next), 40_000);
    expect(next.written.stderr).toContain('adopted 3 nodes');
    expect((await nodePids(dataDir)).sort()).toEqual(nodes.sort());
    expect(await json('task', 'show', 'before')).toMatchObject({ state: 'available' });
    expect((await run('task', 'create', 'after', '--type', 'x')).code).toBe(0);
    // As npm does, which passes on the signal that the terminal has sent to the whole group.
    next.child.kill('SIGINT');
    setTimeout(() => next.child.kill('SIGINT'), 50);
    expect((await next.finished).code).toBe(0);
    expect(await alive(nodes)).toEqual([]);
  });

  it('ends with exit code 3 when it has to give up the witness, and leaves the nodes to the next one', async () => {
    const { up, dataDir, json, begin } = await fabricOf();
    await json('task', 'create', 'kept', '--type', 'x');
    const nodes = await nodePids(dataDir);
    const { services } = await json<{ services: Array<{ id: string; pid: number }> }>('status');
    const files = ['witness.db', 'witness.db-wal', 'witness.db-shm'].map((name) => join(dataDir, name));
    for (const file of files) await rm(file, { force: true });
    await writeFile(files[0]!, 'this is no database');
    process.kill(services.find(({ id }) => id === 'witness')!.pid, 'SIGKILL');
    const { code, stderr } = await up.finished;
    expect(code).toBe(3);
    expect(stderr).toMatch(/the service witness was given up/);
    expect(await alive(nodes)).toEqual(nodes);

    const refused = await begin('up').finished;
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain('witness.db');
    expect(await alive(nodes)).toEqual(nodes);

    await rm(files[0]!);
    const next = begin('up');
    await until('the next up is ready', () => isReady(next), 40_000);
    expect(await json('task', 'show', 'kept')).toMatchObject({ state: 'available' });
    next.child.kill('SIGTERM');
    expect((await next.finished).code).toBe(0);
    expect(await json('witness', 'verify')).toMatchObject({ ok: true });
    expect(await alive(nodes)).toEqual([]);
  });

  it('refuses a port in use with exit code 2', async () => {
    const dir = await folder();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    try {
      const { code, stdout, stderr } = await start(['up', '--port', String(Math.min(port, 65_533))], dir).finished;
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toMatch(/port \d+ on 127\.0\.0\.1 is in use/);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('leaves nothing running when it is interrupted during its start', async () => {
    const dir = await folder();
    const dataDir = join(dir, 'data');
    const up = start(['up', '--data-dir', dataDir, '--nodes', '1', '--json'], dir);
    await until('the node is started', async () => (await nodePids(dataDir)).length > 0);
    const nodes = await nodePids(dataDir);
    up.child.kill('SIGTERM');
    const { code, stdout } = await up.finished;
    // It may have become ready just before.
    if (stdout === '') expect(code).toBe(130);
    expect(await alive(nodes)).toEqual([]);
    expect(await readdir(dataDir)).not.toEqual(expect.arrayContaining([expect.stringMatching(/^fabric\./)]));
  });
});
