/** The commands about tasks and blockers, as people type them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fabric, joinAs, register, startFabric } from './built-program.ts';

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
    await Promise.all([register(fabric, 'amber'), register(fabric, 'birch')]);
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
    await register(fabric, 'fir');
    const { client, close } = await joinAs(fabric, 'elm');
    await client.request('swarm', 'register', { capabilities: ['lang:go'], cost_per_hour: 0 });
    await client.request('task', 'create', { task_id: 'e.first', task_type: 'x', requires: ['lang:go'] });
    await client.request('task', 'create', { task_id: 'e.then', task_type: 'x', depends_on: ['e.first'] });

    interface Explained {
      swarms: Array<{ swarm_id: string }>;
      cursor: string | null;
    }
    const explained = await fabric.json<Explained>('task', 'explain', 'e.first');
    expect(explained).toMatchObject({ task_id: 'e.first', state: 'available', waiting_for: null, cursor: null });
    expect(explained.swarms).toContainEqual(
      expect.objectContaining({ swarm_id: 'elm', qualifies: true, match_score: 1 }),
    );
    expect(explained.swarms).toContainEqual(
      expect.objectContaining({
        swarm_id: 'fir',
        qualifies: false,
        rule: 'capability_match',
        code: 'CAPABILITY_MISSING',
        reason: expect.any(String),
      }),
    );
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
    const { client, close } = await joinAs(fabric, 'hazel');
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
    expect(blocker).toMatchObject({ type: 'access', state: 'escalated', resolution: null });
    expect(await fabric.json('blocker', 'list', '--state', 'escalated')).toEqual({ blockers: [blocker], cursor: null });
    const { stdout } = await fabric.run('blocker', 'list');
    expect(stdout).toContain(`${blocker_id}  escalated  high      access  stuck  hazel`);
    expect((await fabric.run('task', 'list', '--state', 'blocked')).stdout).toContain(`blocked by ${blocker_id}`);
    expect((await fabric.run('task', 'explain', 'stuck')).stdout).toMatch(
      new RegExp(`^stuck is blocked; owned by hazel; blocked by ${blocker_id}\n`),
    );

    await register(fabric, 'iris');
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
    expect(await fabric.json('blocker', 'list', '--state', 'escalated')).toEqual({ blockers: [], cursor: null });
    await client.request('task', 'complete', { task_id: 'stuck', token });
    await close();
    expect((await fabric.run('blocker', 'resolve', blocker_id, '--resolution', 'other')).code).toBe(1);
    expect((await fabric.run('blocker', 'show', 'unknown')).code).toBe(1);
    expect((await fabric.run('blocker', 'list', '--state', 'open')).code).toBe(2);
    expect((await fabric.run('blocker', 'resolve', blocker_id)).code).toBe(2);
  });

  it('draw helpers, who join or decline, and are shown with what they were chosen by', async () => {
    const helpers = await Promise.all(['jade', 'kelp'].map(async (id) => await joinAs(fabric, id)));
    for (const [i, { client }] of helpers.entries())
      await client.request('swarm', 'register', { capabilities: ['ops:cli'], cost_per_hour: i + 1 });
    const { client, close } = await joinAs(fabric, 'lynx');
    await client.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    const report = {
      type: 'access',
      description: 'the door is shut',
      severity: 'low',
      required_capabilities: ['ops:cli'],
    };
    const { blocker_id } = await client.request<{ blocker_id: string }>('blocker', 'report', report);
    expect((await fabric.run('blocker', 'list')).stdout).toContain('jade (invited), kelp (invited)');

    const declined = await fabric.json('blocker', 'decline', blocker_id, '--reason', 'busy', '--swarm', 'jade');
    expect(declined).toMatchObject({ helpers: [{ answer: 'declined', reason: 'busy' }, { answer: 'invited' }] });
    expect(await fabric.json('blocker', 'join', blocker_id, '--swarm', 'kelp')).toMatchObject({ state: 'helping' });
    const { stdout } = await fabric.run('blocker', 'show', blocker_id);
    expect(stdout).toMatch(/\nkelp +joined .* 1 +0\.25 +0\.5 +\$2\.00/);
    expect(stdout).toMatch(/\njade +declined .* busy/);
    expect((await fabric.run('blocker', 'join', blocker_id, '--swarm', 'lynx')).code).toBe(1);
    expect((await fabric.run('blocker', 'join', blocker_id)).code).toBe(2);
    await Promise.all([close(), ...helpers.map(async (helper) => await helper.close())]);
  });
});
