/** Working on a task over request/reply, and each way in which it ends: done, given back, failed or cancelled. */
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

describe('working on a task', () => {
  const owned = async (content: Record<string, unknown> = {}) => {
    const task_id = await world.created(content);
    return { task_id, token: (await claim(world.alpha, task_id)).token };
  };

  it('can be said to begin, once or twice', async () => {
    const held = await owned();
    const started = await ask(world.alpha, 'start', held);
    expect(started.state).toBe('in_progress');
    expect(await ask(world.alpha, 'start', held)).toEqual(started);
  });

  it('is for its owner, with the present token', async () => {
    const { task_id, token } = await owned();
    expect(await refusal(ask(world.beta, 'start', { task_id, token }))).toBe('NOT_OWNER');
    expect(await refusal(ask(world.alpha, 'start', { task_id, token: token + 1 }))).toBe('STALE_TOKEN');
    expect(await refusal(ask(world.alpha, 'start', { task_id: freshId('t'), token }))).toBe('TASK_NOT_FOUND');
    await ask(world.alpha, 'release', { task_id, token });
    expect(await refusal(ask(world.alpha, 'complete', { task_id, token }))).toBe('STALE_TOKEN');
    expect(await refusal(ask(world.beta, 'complete', { task_id, token }))).toBe('NOT_OWNER');
  });

  it('ends with a result, and the same completion again returns the task', async () => {
    const { task_id, token } = await owned();
    const done = await ask(world.alpha, 'complete', { task_id, token, result: { files: ['a'] } });
    expect(done).toMatchObject({ state: 'completed', owner: 'alpha', result: { files: ['a'] } });
    expect(await ask(world.alpha, 'complete', { task_id, token, result: { files: ['a'] } })).toEqual(done);
    expect(await ask(world.alpha, 'complete', { task_id, result: { files: ['a'] } })).toEqual(done);
    expect(await refusal(ask(world.alpha, 'complete', { task_id, token, result: 'other' }))).toBe('TASK_NOT_AVAILABLE');
    expect((await world.get(task_id)).n).toBe(done.n);
  });

  it('counts towards its owner, once', async () => {
    const before = await world.alpha.request<SwarmView>('swarm', 'get');
    const held = await owned();
    await Promise.all([1, 2, 3].map(async () => await ask(world.alpha, 'complete', held)));
    const after = await world.alpha.request<SwarmView>('swarm', 'get');
    expect(after.counters.completed - before.counters.completed).toBe(1);
  });

  it('can be given back, and the attempt with it; the same again changes nothing', async () => {
    const held = await owned();
    const back = await ask(world.alpha, 'release', held);
    expect(back).toMatchObject({ state: 'available', owner: null, attempt: 0 });
    expect(await ask(world.alpha, 'release', held)).toEqual(back);
    const again = await claim(world.beta, held.task_id);
    expect([again.task.attempt, again.token > held.token]).toEqual([1, true]);
    expect(await refusal(ask(world.alpha, 'release', held))).toBe('STALE_TOKEN');
  });

  it('that fails is tried again until its attempts are used up', async () => {
    const task_id = await world.created({ max_attempts: 2 });
    const swarm = await world.fabric.client('failing');
    await swarm.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    const first = { task_id, token: (await claim(swarm, task_id)).token, error: { why: 'broken' } };
    const failed = await ask(swarm, 'fail', first);
    expect(failed).toMatchObject({ state: 'available', attempt: 1, error: { why: 'broken' } });
    expect(await ask(swarm, 'fail', first), 'the same failure again').toEqual(failed);
    const { token } = await claim(swarm, task_id);
    expect(await ask(swarm, 'fail', { task_id, token, error: 'again' })).toMatchObject({
      state: 'failed',
      attempt: 2,
      error: 'again',
    });
    expect((await swarm.request<SwarmView>('swarm', 'get')).counters).toMatchObject({
      failed: 2,
      consecutive_failures: 2,
    });
  });

  it('that fails for good is not tried again', async () => {
    expect(await ask(world.alpha, 'fail', { ...(await owned()), error: null, retryable: false })).toMatchObject({
      state: 'failed',
      attempt: 1,
    });
  });

  it('that fails waits for its back-off, and is available again by itself', async () => {
    const { task_id, token } = await owned({ retry_backoff_ms: 800 });
    const failedAt = Date.now();
    expect((await ask(world.alpha, 'fail', { task_id, token, error: 'x' })).state).toBe('waiting');
    expect(await claim(world.beta, task_id)).toMatchObject({ claimed: false, reason: 'TASK_NOT_AVAILABLE' });
    await until('it is available again', async () => (await world.get(task_id)).state === 'available');
    expect(Date.now() - failedAt).toBeGreaterThanOrEqual(799);
  });

  it('opens the circuit of a swarm that fails too often in a row', async () => {
    const swarm = await world.fabric.client('unlucky');
    await swarm.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    for (let i = 0; i < 3; i++) {
      const task_id = await world.created();
      await ask(swarm, 'fail', { task_id, token: (await claim(swarm, task_id)).token, error: i });
    }
    expect(await claim(swarm, await world.created())).toEqual({ claimed: false, reason: 'CIRCUIT_OPEN' });
  });
});

describe('cancelling a task', () => {
  it('is for its creator and for operators', async () => {
    const [mine, yours] = [await world.created(), await world.created()];
    expect(await refusal(ask(world.beta, 'cancel', { task_id: mine }))).toBe('UNAUTHORIZED');
    const cancelled = await ask(world.alpha, 'cancel', { task_id: mine, reason: 'no longer needed' });
    expect(cancelled.state).toBe('cancelled');
    expect(await ask(world.alpha, 'cancel', { task_id: mine })).toEqual(cancelled);
    expect((await ask(world.operator, 'cancel', { task_id: yours })).state).toBe('cancelled');
  });

  it('takes it from its owner, and gives back what was reserved', async () => {
    await world.operator.request('swarm', 'invite', { swarm_id: 'paid', budget_usd: 5 });
    const paid = await world.fabric.client('paid');
    await paid.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    const task_id = await world.created({ cost_estimate: 4 });
    const { token } = await claim(paid, task_id);
    await ask(world.alpha, 'cancel', { task_id });
    expect(await refusal(ask(paid, 'complete', { task_id, token }))).toBe('TASK_NOT_AVAILABLE');
    expect((await paid.request<SwarmView>('swarm', 'get')).budget).toMatchObject({ reserved_usd: 0, remaining_usd: 5 });
  });

  it('comes too late when it has ended', async () => {
    const task_id = await world.created();
    await ask(world.alpha, 'complete', { task_id, token: (await claim(world.alpha, task_id)).token });
    expect(await refusal(ask(world.alpha, 'cancel', { task_id }))).toBe('TASK_NOT_AVAILABLE');
  });
});
