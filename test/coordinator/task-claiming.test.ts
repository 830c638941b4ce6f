/** Creating and claiming tasks over request/reply: what makes a task, and what a claim needs. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SwarmView } from '../../actors/coordinator/swarms/swarm-view.ts';
import { freshId } from '../store/fixtures.ts';
import { until } from '../support/temp.ts';
import { ask, claim, refusal, startTaskWorld, type TaskWorld } from './task-parts.ts';

let world: TaskWorld;
beforeAll(async () => {
  world = await startTaskWorld();
});
afterAll(async () => await world?.stop());

describe('creating a task', () => {
  it('makes it available, with defaults where nothing is said', async () => {
    const task_id = freshId('t');
    const task = await ask(world.alpha, 'create', { task_id, task_type: 'build' });
    expect(task).toMatchObject({
      task_id,
      task_type: 'build',
      state: 'available',
      owner: null,
      priority: 0,
      requires: [],
      depends_on: [],
      attempt: 0,
      max_attempts: 3,
      metadata: {},
      n: 1,
    });
    expect(task.revision).toBeGreaterThan(0);
    expect(await world.get(task_id)).toEqual(task);
  });

  it('again with the same content returns it, whoever asks, however lists are ordered', async () => {
    const content = {
      task_id: freshId('t'),
      task_type: 'build',
      requires: ['a', 'b'],
      metadata: { x: 1, y: [2] },
      priority: 5,
    };
    const first = await ask(world.alpha, 'create', content);
    expect(
      await ask(world.beta, 'create', {
        ...content,
        requires: ['b', 'a', 'b'],
        metadata: { y: [2], x: 1 },
        max_attempts: 3,
      }),
    ).toEqual(first);
  });

  it('with other content is TASK_EXISTS', async () => {
    const task_id = await world.created();
    expect(await refusal(ask(world.alpha, 'create', { task_id, task_type: 'test' }))).toBe('TASK_EXISTS');
    expect(await refusal(ask(world.alpha, 'create', { task_id, task_type: 'build', priority: 1 }))).toBe('TASK_EXISTS');
    expect((await world.get(task_id)).n).toBe(1);
  });

  it('at the same time by many makes one task', async () => {
    const content = { task_id: freshId('t'), task_type: 'build' };
    const tasks = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => await ask(i % 2 ? world.alpha : world.beta, 'create', content)),
    );
    expect(new Set(tasks.map(({ revision }) => revision)).size).toBe(1);
    expect(tasks[0]?.n).toBe(1);
  });

  it('of a cost above the limit is refused by policy', async () => {
    expect(
      await refusal(ask(world.alpha, 'create', { task_id: freshId('t'), task_type: 'x', cost_estimate: 10.000001 })),
    ).toBe('POLICY_VIOLATION');
  });

  it('that is not to begin before a time waits, and is available at that time by itself', async () => {
    const not_before = Date.now() + 1_200;
    const task_id = await world.created({ not_before });
    expect((await world.get(task_id)).state).toBe('waiting');
    expect(await claim(world.beta, task_id)).toEqual({ claimed: false, reason: 'TASK_NOT_AVAILABLE' });
    await until('the task is available', async () => (await world.get(task_id)).state === 'available');
    expect(Date.now()).toBeGreaterThanOrEqual(not_before);
    expect((await claim(world.beta, task_id)).claimed).toBe(true);
  });
});

describe('claiming a task', () => {
  it('makes it its own, under a token', async () => {
    const task_id = await world.created();
    const { claimed, task, token } = await claim(world.alpha, task_id);
    expect([claimed, task.state, task.owner, task.attempt]).toEqual([true, 'claimed', 'alpha', 1]);
    expect(token).toBeGreaterThan(2 ** 32);
    expect(task.lease_expires_at).toBe((task.claimed_at ?? 0) + 30_000);
  });

  it('again by its owner returns the same token', async () => {
    const task_id = await world.created();
    const first = await claim(world.alpha, task_id);
    expect(await claim(world.alpha, task_id)).toEqual(first);
    await ask(world.alpha, 'start', { task_id, token: first.token });
    expect(await claim(world.alpha, task_id)).toMatchObject({
      claimed: true,
      token: first.token,
      task: { state: 'in_progress' },
    });
  });

  it('of someone else is an answer that says whose it is', async () => {
    const task_id = await world.created();
    await claim(world.alpha, task_id);
    expect(await claim(world.beta, task_id)).toEqual({ claimed: false, reason: 'TASK_NOT_AVAILABLE', owner: 'alpha' });
  });

  it('of no one knows is an error, and so is a claim by nobody', async () => {
    expect(await refusal(claim(world.alpha, freshId('t')))).toBe('TASK_NOT_FOUND');
    const stranger = await world.fabric.client('stranger');
    expect(await refusal(claim(stranger, await world.created()))).toBe('SWARM_NOT_FOUND');
  });

  it('needs the capabilities that the task requires, or most of them', async () => {
    expect(await claim(world.alpha, await world.created({ requires: ['code:rust'] }))).toEqual({
      claimed: false,
      reason: 'CAPABILITY_MISSING',
    });
    expect((await claim(world.alpha, await world.created({ requires: ['code:ts'] }))).claimed).toBe(true);
  });

  it('needs the money that the task is estimated at', async () => {
    expect(await claim(world.alpha, await world.created({ cost_estimate: 1 }))).toEqual({
      claimed: false,
      reason: 'BUDGET_EXHAUSTED',
    });
    await world.operator.request('swarm', 'invite', { swarm_id: 'rich', budget_usd: 3 });
    const rich = await world.fabric.client('rich');
    await rich.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    const [first, second] = [await world.created({ cost_estimate: 2 }), await world.created({ cost_estimate: 2 })];
    const { token } = await claim(rich, first);
    expect((await rich.request<SwarmView>('swarm', 'get')).budget).toMatchObject({
      reserved_usd: 2,
      spent_usd: 0,
      remaining_usd: 1,
    });
    expect(await claim(rich, second)).toEqual({ claimed: false, reason: 'BUDGET_EXHAUSTED' });
    await ask(rich, 'complete', { task_id: first, token, cost: { cost_usd: 0.5, tokens_in: 10, model: 'm' } });
    expect((await rich.request<SwarmView>('swarm', 'get')).budget).toMatchObject({
      reserved_usd: 0,
      spent_usd: 0.5,
      remaining_usd: 2.5,
    });
    expect((await claim(rich, second)).claimed).toBe(true);
  });

  it('stops at the number of tasks that the swarm may own', async () => {
    const narrow = await world.fabric.client('narrow');
    await narrow.request('swarm', 'register', { capabilities: [], cost_per_hour: 0, max_concurrent_tasks: 2 });
    const ids = [await world.created(), await world.created(), await world.created()];
    const answers = await Promise.all(ids.map(async (id) => await claim(narrow, id)));
    expect(answers.filter(({ claimed }) => claimed)).toHaveLength(2);
    expect(answers.find(({ claimed }) => !claimed)).toEqual({ claimed: false, reason: 'CAPACITY_EXCEEDED' });
    const won = answers.find(({ claimed }) => claimed)!;
    await ask(narrow, 'release', { task_id: won.task.task_id, token: won.token });
    const lost = ids.find((_, i) => !answers[i]?.claimed)!;
    expect((await claim(narrow, lost)).claimed).toBe(true);
  });
});
