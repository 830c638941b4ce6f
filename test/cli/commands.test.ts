import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/temp.ts';
import { type Fabric, isReady, nodePids, register, startFabric } from './built-program.ts';

let fabric: Fabric;
beforeAll(async () => {
  // On a busy machine a test takes longer than a swarm may be silent, and a lease lasts.
  fabric = await startFabric('--nodes', '1', '--liveness-ms', '3600000', '--lease-ms', '3600000');
});
afterAll(async () => await fabric?.stop());

describe('a fabric', () => {
  it('status shows nodes, services, streams, tasks, swarms and the witness', async () => {
    const status = await fabric.json<Record<string, unknown>>('status');
    expect(Object.keys(status)).toEqual([
      'namespace',
      'servers',
      'pid',
      'version',
      'started_at',
      'nodes',
      'streams',
      'services',
      'tasks',
      'swarms',
      'blockers',
      'approvals',
      'paused',
      'witness_lag',
      'audited',
      'witnesses',
    ]);
    const [pid] = await nodePids(fabric.dataDir);
    expect(status).toMatchObject({
      namespace: 'IF',
      pid: fabric.up.child.pid,
      nodes: [{ name: 'n1', pid, healthy: true, leader: true }],
      services: [
        { id: 'coordinator-1', state: 'running', restarts: 0 },
        { id: 'governor', state: 'running', restarts: 0 },
        { id: 'witness', state: 'running', restarts: 0 },
      ],
      witness_lag: expect.any(Number),
      audited: true,
      witnesses: [{ present: true, audited: true, reason: null }],
    });
    const { code, stdout } = await fabric.run('status');
    expect(code).toBe(0);
    expect(stdout).toMatch(/coordinator-1 +running/);
  });

  it('doctor checks a running one', async () => {
    const { ok, checks } = await fabric.json<{ ok: boolean; checks: Array<{ check: string; result: string }> }>(
      'doctor',
    );
    expect(ok).toBe(true);
    const results = Object.fromEntries(checks.map(({ check, result }) => [check, result]));
    expect(results).toMatchObject({
      secrets: 'ok',
      fabric: 'ok',
      nodes: 'ok',
      cluster: 'ok',
      services: 'ok',
      witness: 'ok',
      audit: 'ok',
      policies: 'ok',
    });
  });

  it('restart restarts services by name and by kind; an unknown name is exit code 1', async () => {
    const before = await fabric.json<{ services: Array<{ id: string; pid: number }> }>('status');
    expect(await fabric.json('restart', 'coordinator')).toEqual({ restarted: ['coordinator-1'] });
    const after = await fabric.json<{ services: Array<{ id: string; pid: number }> }>('status');
    expect(after.services[0]!.pid).not.toBe(before.services[0]!.pid);
    expect(after.services[1]).toEqual(before.services[1]);
    const { code, stderr } = await fabric.run('restart', 'nothing');
    expect(code).toBe(1);
    expect(stderr).toContain('there are witness, coordinator-1');
  });

  it('serve adds a service, which restart and status know, and leaves at SIGTERM', async () => {
    const serve = fabric.begin('serve', '--services', 'coordinator');
    await until('serve is ready', () => isReady(serve));
    const id = /coordinator-\S+-\d+/.exec(serve.written.stdout)![0]!;
    expect(id.endsWith(`-${serve.child.pid}`)).toBe(true);
    const { services } = await fabric.json<{ services: Array<{ id: string; state: string; pid: number }> }>('status');
    expect(services).toContainEqual(expect.objectContaining({ id, state: 'running', pid: serve.child.pid }));
    const { restarted } = await fabric.json<{ restarted: string[] }>('restart', 'coordinator');
    expect(restarted.sort()).toEqual(['coordinator-1', id].sort());
    serve.child.kill('SIGTERM');
    expect((await serve.finished).code).toBe(0);
    expect(await fabric.json('inspect', `service:${id}`)).toMatchObject({ state: 'stopped', by: 'IF.supervisor' });
  });
});

describe('swarms', () => {
  it('are invited with grants and a budget, listed and shown', async () => {
    const made = await fabric.json<{ creds: string; swarm: object }>(
      'swarm',
      'creds',
      'cedar',
      '--grant',
      'system.process.execute',
      '--budget',
      '2.5',
    );
    expect(made.creds).toContain('BEGIN NATS USER JWT');
    expect(made.swarm).toMatchObject({ grants: ['system.process.execute'], budget: { allocated_usd: 2.5 } });
    expect(await fabric.json('swarm', 'show', 'cedar')).toEqual(made.swarm);
    const { swarms } = await fabric.json<{ swarms: Array<{ swarm_id: string }> }>('swarm', 'list');
    expect(swarms.map(({ swarm_id }) => swarm_id)).toContain('cedar');
    expect((await fabric.run('swarm', 'show', 'unknown')).code).toBe(1);
  });

  it('are all paused and resumed, which the status says', async () => {
    const present = async () => await fabric.json<{ paused: boolean }>('status');
    expect(await present()).toMatchObject({ paused: false });
    expect((await fabric.run('governor', 'pause', '--all', '--reason', 'look')).code).toBe(0);
    expect(await present()).toMatchObject({ paused: true });
    expect((await fabric.run('status')).stdout).toMatch(/^PAUSED: .*`infrafabric governor resume --all`$/m);
    expect((await fabric.run('governor', 'resume', '--all')).code).toBe(0);
    expect(await present()).toMatchObject({ paused: false });
  });

  it('act with their own credentials, within their rights, until those are revoked', async () => {
    const creds = join(fabric.dir, 'delta.creds');
    expect((await fabric.run('swarm', 'creds', 'delta', '--out', creds)).code).toBe(0);
    expect((await stat(creds)).mode & 0o777).toBe(0o600);
    expect((await fabric.run('task', 'list', '--creds', creds)).code).toBe(0);
    for (const args of [['status'], ['restart', 'all'], ['inspect', 'task:won'], ['serve']]) {
      // With the keys at hand `serve` would not need the credentials that it is told to use.
      const { code, stderr } = await fabric.run(...args, '--creds', creds);
      expect({ args, code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('UNAUTHORIZED') });
    }
    expect((await fabric.run('task', 'claim', 'b.3', '--swarm', 'amber', '--creds', creds)).code).toBe(2);

    const watch = fabric.begin('watch', '--creds', creds);
    await until('it watches', () => watch.written.stderr.includes('watching'));
    expect(await fabric.json('swarm', 'revoke', 'delta')).toMatchObject({ swarm_id: 'delta', ended: 1, nodes: 1 });
    expect((await watch.finished).code).toBe(3);
    const refused = await fabric.run('task', 'list', '--creds', creds, '--json');
    expect(refused.code).toBe(1);
    expect(JSON.parse(refused.stderr)).toMatchObject({ error: { code: 'UNAUTHORIZED' } });
  });
});

describe('looking into it', () => {
  it('inspect shows state, context, history and diagram of an actor', async () => {
    await register(fabric, 'flint');
    await fabric.run('task', 'create', 'seen', '--type', 'x');
    await fabric.run('task', 'claim', 'seen', '--swarm', 'flint');
    const seen = await fabric.json<{ history: object[]; diagram: string }>('inspect', 'task:seen');
    expect(seen).toMatchObject({
      kind: 'task',
      id: 'seen',
      state: 'claimed',
      n: 2,
      by: 'flint',
      context: { owner: 'flint' },
    });
    expect(seen.history).toMatchObject([
      { n: 1, event: 'CREATE', state: 'available', by: 'operator' },
      { n: 2, event: 'CLAIM', state: 'claimed', by: 'flint' },
    ]);
    expect(seen.diagram).toContain('\n> claimed\n');
    const { stdout } = await fabric.run('inspect', 'task:seen', '--diagram', 'mermaid');
    expect(stdout).toMatch(
      /^stateDiagram-v2\n[\s\S]*\n {2}available --> claimed: CLAIM\n[\s\S]*\n {2}class claimed present\n$/,
    );
    expect((await fabric.run('inspect', 'task:seen', '--history')).stdout).toMatch(
      /^N .*\n1 .*CREATE.*\n2 .*CLAIM.*\n$/,
    );
    expect((await fabric.run('inspect', 'task:unknown')).code).toBe(1);
    expect((await fabric.run('inspect', 'task:seen', '--history', '--watch')).code).toBe(2);
  });

  it('watch and inspect --watch print each transition in order, one line each, and end with 130 at Ctrl-C', async () => {
    const watch = fabric.begin('watch', '--kind', 'task', '--json');
    const inspect = fabric.begin('inspect', 'task:live', '--watch');
    await until('both watch', () => [watch, inspect].every(({ written }) => written.stderr.includes('watching')));
    await fabric.run('task', 'create', 'live', '--type', 'x');
    await fabric.run('task', 'create', 'other', '--type', 'x');
    await fabric.run('task', 'cancel', 'live', '--reason', '\u001b[2J');
    await until(
      'all was printed',
      () => watch.written.stdout.split('\n').length === 4 && inspect.written.stdout.includes('CANCEL'),
    );
    watch.child.kill('SIGINT');
    inspect.child.kill('SIGINT');
    const [watched, inspected] = await Promise.all([watch.finished, inspect.finished]);
    expect([watched.code, inspected.code]).toEqual([130, 130]);
    const events = watched.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.map(({ id, n, event, state }) => [id, n, event, state])).toEqual([
      ['live', 1, 'CREATE', 'available'],
      ['other', 1, 'CREATE', 'available'],
      ['live', 2, 'CANCEL', 'cancelled'],
    ]);
    expect(Object.keys(events[0]!)).toEqual(['seq', 'at', 'kind', 'id', 'n', 'event', 'state', 'by', 'trace_id']);
    expect(inspected.stdout).toMatch(
      /^\S+ \S+ {2}task:live {2}CREATE -> available .*\n\S+ \S+ {2}task:live {2}CANCEL -> cancelled .*\n$/,
    );
  });

  it('what agents wrote never reaches the terminal as control characters', async () => {
    await fabric.run(
      'task',
      'create',
      'hostile',
      '--type',
      'x',
      '--metadata',
      JSON.stringify({ a: '\u001b[2J\u202e\u0007' }),
    );
    for (const args of [
      ['task', 'show', 'hostile'],
      ['inspect', 'task:hostile'],
      ['witness', 'query', '--id', 'hostile', '--json'],
    ]) {
      const { code, stdout } = await fabric.run(...args);
      expect(code).toBe(0);
      expect(stdout).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
    }
  });

  it('a reader that goes away ends a command quietly', async () => {
    const watch = fabric.begin('watch', '--kind', 'task');
    await until('it watches', () => watch.written.stderr.includes('watching'));
    watch.child.stdout!.destroy();
    await fabric.run('task', 'create', 'unread', '--type', 'x');
    expect(await watch.finished).toMatchObject({ code: 0, stderr: 'watching; Ctrl-C ends it\n' });
  });

  it('the witness is queried and verified beside the one that writes it', async () => {
    await fabric.run('task', 'create', 'witnessed', '--type', 'x');
    interface Page {
      entries: Array<{ event: string; payload: { id: string } }>;
      cursor: string | null;
    }
    await until(
      'the witness has it',
      async () => (await fabric.json<Page>('witness', 'query', '--id', 'witnessed')).entries.length === 1,
    );
    const page = await fabric.json<Page>(
      'witness',
      'query',
      '--kind',
      'task',
      '--event',
      'CREATE',
      '--since',
      '1h',
      '--limit',
      '2',
    );
    expect(page.entries).toMatchObject([{ event: 'CREATE' }, { event: 'CREATE' }]);
    const next = await fabric.json<Page>(
      'witness',
      'query',
      '--kind',
      'task',
      '--event',
      'CREATE',
      '--since',
      '1h',
      '--limit',
      '2',
      '--cursor',
      page.cursor!,
    );
    expect(next.entries[0]!.payload.id).not.toBe(page.entries[0]!.payload.id);
    const operator = join(fabric.dataDir, 'operator.creds');
    expect(await fabric.json('witness', 'query', '--id', 'witnessed', '--creds', operator)).toEqual(
      await fabric.json('witness', 'query', '--id', 'witnessed'),
    );
    expect((await fabric.run('witness', 'query', '--limit', '0')).code).toBe(2);

    const { ok, chains } = await fabric.json<{ ok: boolean; chains: Array<{ chain: string; errors: object[] }> }>(
      'witness',
      'verify',
    );
    expect(ok).toBe(true);
    expect(chains.map(({ chain }) => chain)).toEqual(['IF_actors/1', 'IF_bus/1', 'IF_journal/1']);
    expect((await fabric.run('witness', 'verify')).stdout).toContain('witness.db: verified');
  });
});
