import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { join as joinFabric } from '../../src/sdk/join.ts';
import { until } from '../support/temp.ts';
import { type Fabric, isReady, nodePids, startFabric } from './built-program.ts';

let fabric: Fabric;
beforeAll(async () => {
  // On a busy machine a test takes longer than a swarm may be silent, and a lease lasts.
  fabric = await startFabric('--nodes', '1', '--liveness-ms', '3600000', '--lease-ms', '3600000');
});
afterAll(async () => await fabric?.stop());

interface Task {
  task_id: string;
  state: string;
  owner: string | null;
  [field: string]: unknown;
}

/** Joins as a swarm, as its own program would. */
async function joinAs(swarmId: string): ReturnType<typeof joinFabric> {
  const { stdout: creds } = await fabric.run('swarm', 'creds', swarmId);
  const { servers } = JSON.parse(await readFile(join(fabric.dataDir, 'fabric.json'), 'utf8')) as { servers: string[] };
  return await joinFabric({ servers, creds });
}

async function register(swarmId: string, capabilities: string[] = []): Promise<void> {
  const { client, close } = await joinAs(swarmId);
  await client.request('swarm', 'register', { capabilities, cost_per_hour: 0 });
  await close();
}

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
      'witness_lag',
    ]);
    const [pid] = await nodePids(fabric.dataDir);
    expect(status).toMatchObject({
      namespace: 'IF',
      pid: fabric.up.child.pid,
      nodes: [{ name: 'n1', pid, healthy: true, leader: true }],
      services: [
        { id: 'coordinator-1', state: 'running', restarts: 0 },
        { id: 'witness', state: 'running', restarts: 0 },
      ],
      witness_lag: expect.any(Number),
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

describe('tasks', () => {
  it('are created with all fields, shown, listed and cancelled', async () => {
    const options = [
      '--type',
      'review',
      '--requires',
      'a:b,c',
      '--priority',
      '-3',
      '--max-attempts',
      '5',
      '--metadata',
      '{"pr":[1,{"x":null}]}',
    ];
    const task = await fabric.json<Task>(
      'task',
      'create',
      'made.1',
      ...options,
      '--lease-ms',
      '60000',
      '--cost-estimate',
      '0.25',
    );
    expect(task).toMatchObject({ task_id: 'made.1', task_type: 'review', state: 'available', requires: ['a:b', 'c'] });
    expect(task).toMatchObject({ priority: -3, max_attempts: 5, metadata: { pr: [1, { x: null }] } });
    expect(await fabric.json('task', 'show', 'made.1')).toEqual(task);
    const { tasks } = await fabric.json<{ tasks: Task[] }>('task', 'list', '--state', 'available');
    expect(tasks).toContainEqual(task);
    expect(await fabric.json('task', 'cancel', 'made.1', '--reason', 'enough')).toMatchObject({ state: 'cancelled' });
    expect(await fabric.json('inspect', 'task:made.1')).toMatchObject({
      context: { lease_ms: 60_000, cost_estimate: 0.25, cancel_reason: 'enough', cancelled_by: 'operator' },
    });
  });

  it('the same again is fine, other content and unknown ids are exit code 1, bad input is 2', async () => {
    expect((await fabric.run('task', 'create', 'twice', '--type', 'x')).code).toBe(0);
    expect((await fabric.run('task', 'create', 'twice', '--type', 'x')).code).toBe(0);
    const other = await fabric.run('task', 'create', 'twice', '--type', 'y', '--json');
    expect({ code: other.code, stdout: other.stdout }).toEqual({ code: 1, stdout: '' });
    expect(JSON.parse(other.stderr)).toMatchObject({ error: { code: 'TASK_EXISTS', retryable: false } });
    expect((await fabric.run('task', 'show', 'unknown')).code).toBe(1);
    expect((await fabric.run('task', 'create', 'bad id', '--type', 'x')).code).toBe(2);
    expect((await fabric.run('task', 'create', 'x', '--type', 'x', '--lease-ms', '5')).code).toBe(2);
  });

  it('are claimed and completed for a swarm; the claim that loses is exit code 1 and says why', async () => {
    await Promise.all([register('amber'), register('birch')]);
    await fabric.run('task', 'create', 'won', '--type', 'x');
    const won = await fabric.json<{ claimed: boolean; token: number }>('task', 'claim', 'won', '--swarm', 'amber');
    expect(won).toMatchObject({ claimed: true, token: expect.any(Number), task: { owner: 'amber', state: 'claimed' } });

    const lost = await fabric.run('task', 'claim', 'won', '--swarm', 'birch', '--json');
    expect(lost.code).toBe(1);
    expect(JSON.parse(lost.stdout)).toEqual({ claimed: false, reason: 'TASK_NOT_AVAILABLE', owner: 'amber' });
    expect(lost.stderr).toContain('owned by amber');
    expect((await fabric.run('task', 'complete', 'won', '--swarm', 'birch')).code).toBe(1);

    const result = ['--token', String(won.token), '--result', '{"ok":true}', '--cost-usd', '0', '--model', 'm'];
    const done = await fabric.json<Task>('task', 'complete', 'won', '--swarm', 'amber', ...result);
    expect(done).toMatchObject({ state: 'completed', owner: 'amber', result: { ok: true } });
  });

  it('wait for what the options say, and the lists tell what that is', async () => {
    await fabric.run('task', 'create', 'w.first', '--type', 'x');
    const after = ['--type', 'x', '--depends-on', 'w.first', '--on-dependency-failure', 'wait'];
    const keys = ['--concurrency-key', 'db', '--concurrency-limit', '2', '--singleton-key', 'w'];
    const task = await fabric.json<Task>('task', 'create', 'w.then', ...after, ...keys);
    expect(task).toMatchObject({ state: 'waiting', depends_on: ['w.first'], on_dependency_failure: 'wait' });
    expect(task).toMatchObject({ concurrency_key: 'db', concurrency_limit: 2, singleton_key: 'w' });
    const second = await fabric.run('task', 'create', 'w.second', '--type', 'x', '--singleton-key', 'w', '--json');
    expect({ code: second.code, error: JSON.parse(second.stderr) }).toMatchObject({
      code: 1,
      error: { error: { code: 'TASK_EXISTS' } },
    });

    const { stdout } = await fabric.run('task', 'list', '--state', 'waiting');
    expect(stdout).toMatch(/^ID .* WAITING\nw\.then .* waits for w\.first\n$/);
    expect((await fabric.run('task', 'show', 'w.then')).stderr).toBe('w.then is waiting: waits for w.first\n');
    expect((await fabric.run('inspect', 'task:w.then')).stdout).toContain('\nwaits for w.first\n');
  });

  it('are explained: what they wait for, and which swarms qualify, page by page', async () => {
    await register('fir');
    const { client, close } = await joinAs('elm');
    await client.request('swarm', 'register', { capabilities: ['lang:go'], cost_per_hour: 0 });
    await client.request('task', 'create', { task_id: 'e.first', task_type: 'x', requires: ['lang:go'] });
    await client.request('task', 'create', { task_id: 'e.then', task_type: 'x', depends_on: ['e.first'] });

    interface Explained {
      swarms: Array<{ swarm_id: string }>;
      cursor: string | null;
    }
    const explained = await fabric.json<Explained>('task', 'explain', 'e.first');
    expect(explained).toMatchObject({ task_id: 'e.first', state: 'available', waiting_for: null, cursor: null });
    expect(explained.swarms).toContainEqual({ swarm_id: 'elm', qualifies: true });
    expect(explained.swarms).toContainEqual({
      swarm_id: 'fir',
      qualifies: false,
      code: 'CAPABILITY_MISSING',
      reason: expect.any(String),
    });
    const { stdout } = await fabric.run('task', 'explain', 'e.first');
    expect(stdout).toMatch(/^e\.first is available\n\nSWARM +QUALIFIES +CODE +REASON\n/);
    expect(stdout).toMatch(/\nelm +yes +- +-\n/);
    expect(stdout).toMatch(/\nfir +no +CAPABILITY_MISSING +\S/);

    const page = await fabric.json<Explained>('task', 'explain', 'e.then', '--limit', '1');
    expect(page).toMatchObject({ state: 'waiting', waiting_for: { dependencies: ['e.first'] } });
    const rest = await fabric.json<Explained>('task', 'explain', 'e.then', '--cursor', page.cursor!);
    expect([...page.swarms, ...rest.swarms].map(({ swarm_id }) => swarm_id)).toEqual(
      explained.swarms.map(({ swarm_id }) => swarm_id),
    );
    expect((await fabric.run('task', 'explain', 'e.then')).stdout).toMatch(/^e\.then is waiting; waits for e\.first\n/);
    await client.request('task', 'claim', { task_id: 'e.first' });
    expect((await fabric.run('task', 'explain', 'e.first')).stdout).toMatch(/^e\.first is claimed; owned by elm\n/);
    await client.request('task', 'complete', { task_id: 'e.first' });
    await close();
    expect((await fabric.run('task', 'explain', 'unknown')).code).toBe(1);
  });

  it('are imported from a board, whole or not at all', async () => {
    const board = join(fabric.dir, 'board.yaml');
    await writeFile(board, 'tasks:\n  - task_id: b.1\n    task_type: x\n  - task_id: b.2\n    task_typo: x\n');
    const bad = await fabric.run('task', 'import', board);
    expect(bad.code).toBe(2);
    expect(bad.stderr).toContain(`${board}:4: task_type`);
    expect(bad.stderr).toContain(`${board}:5: unknown field "task_typo"`);
    expect((await fabric.run('task', 'show', 'b.1')).code).toBe(1);

    await writeFile(board, 'tasks:\n  - task_id: b.1\n    task_type: x\n  - task_id: b.2\n    task_type: x\n');
    expect(await fabric.json('task', 'import', board)).toMatchObject({ created: 2, unchanged: 0, refused: 0 });
    expect(await fabric.json('task', 'import', board)).toMatchObject({ created: 0, unchanged: 2, refused: 0 });
    await writeFile(board, '- {task_id: b.1, task_type: other}\n- {task_id: b.3, task_type: x}\n');
    const clash = await fabric.run('task', 'import', board, '--json');
    expect(clash.code).toBe(1);
    expect(JSON.parse(clash.stdout)).toMatchObject({
      created: 0,
      refused: 1,
      tasks: [
        { task_id: 'b.1', outcome: 'refused', code: 'TASK_EXISTS' },
        { task_id: 'b.3', outcome: 'skipped' },
      ],
    });
  });
});

describe('blockers', () => {
  it('are listed, shown and resolved, and the task goes back into work', async () => {
    const { client, close } = await joinAs('hazel');
    await client.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    await client.request('task', 'create', { task_id: 'stuck', task_type: 'x' });
    const { token } = await client.request<{ token: number }>('task', 'claim', { task_id: 'stuck' });
    const { blocker_id } = await client.request<{ blocker_id: string }>('blocker', 'report', {
      task_id: 'stuck',
      token,
      type: 'access',
      description: 'the repository is private',
      severity: 'high',
      required_capabilities: [],
    });

    const blocker = await fabric.json<Record<string, unknown>>('blocker', 'show', blocker_id);
    expect(blocker).toMatchObject({ blocker_id, task_id: 'stuck', reported_by: 'hazel', severity: 'high' });
    expect(blocker).toMatchObject({ type: 'access', state: 'reported', resolution: null });
    expect(await fabric.json('blocker', 'list', '--state', 'reported')).toEqual({ blockers: [blocker], cursor: null });
    const { stdout } = await fabric.run('blocker', 'list');
    expect(stdout).toContain(`${blocker_id}  reported  high      access  stuck  hazel`);
    expect((await fabric.run('task', 'list', '--state', 'blocked')).stdout).toContain(`blocked by ${blocker_id}`);
    expect((await fabric.run('task', 'explain', 'stuck')).stdout).toMatch(
      new RegExp(`^stuck is blocked; owned by hazel; blocked by ${blocker_id}\n`),
    );

    await register('iris');
    const resolve = ['blocker', 'resolve', blocker_id, '--resolution', 'access was granted'];
    const refused = await fabric.run(...resolve, '--swarm', 'iris', '--json');
    expect({ code: refused.code, error: JSON.parse(refused.stderr) }).toMatchObject({
      code: 1,
      error: { error: { code: 'UNAUTHORIZED' } },
    });
    const resolved = { state: 'resolved', resolution: 'access was granted', resolved_by: 'hazel' };
    expect(await fabric.json(...resolve, '--swarm', 'hazel')).toMatchObject(resolved);
    expect(await client.request('task', 'get', { task_id: 'stuck' })).toMatchObject({
      state: 'claimed',
      owner: 'hazel',
    });
    expect(await fabric.json('blocker', 'list', '--state', 'reported')).toEqual({ blockers: [], cursor: null });
    await client.request('task', 'complete', { task_id: 'stuck', token });
    await close();
    expect((await fabric.run('blocker', 'resolve', blocker_id, '--resolution', 'other')).code).toBe(1);
    expect((await fabric.run('blocker', 'show', 'unknown')).code).toBe(1);
    expect((await fabric.run('blocker', 'list', '--state', 'open')).code).toBe(2);
    expect((await fabric.run('blocker', 'resolve', blocker_id)).code).toBe(2);
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
    await register('flint');
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
