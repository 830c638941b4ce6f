/** Pause, drain and resume of one swarm or of all, and the budget of all swarms together, on a real cluster. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../actors/governor/report.ts';
import { freshId } from '../store/fixtures.ts';
import { until } from '../support/temp.ts';
import { type Governed, type Swarm, startGoverned } from './governing.ts';

let governed: Governed;
const ask = async <Result = Record<string, unknown>>(op: string, body: Record<string, unknown> = {}) =>
  await governed.operator.request<Result>('governor', op, body);
const task = async (content: object = {}) => {
  const task_id = freshId('t');
  await governed.operator.request('task', 'create', { task_id, task_type: 'build', ...content });
  return task_id;
};
const claim = async ({ client }: Swarm, task_id: string) =>
  await client.request<{ claimed: boolean; reason?: string; token?: number }>('task', 'claim', { task_id });

beforeAll(async () => {
  governed = await startGoverned();
});
afterAll(async () => await governed?.stop());
afterEach(async () => {
  await ask('resume', { all: true });
  await ask('allocate_budget', { fabric: true, budget_usd: null });
});

describe('a swarm', () => {
  it('that is paused or drained claims nothing until it is resumed, and the record says who and why', async () => {
    const swarm = await governed.swarm();
    const about = { swarm_id: swarm.id };
    const task_id = await task();
    const paused = await ask('pause', { ...about, reason: 'deployment' });
    expect(paused).toMatchObject({ circuit: 'open', circuit_reasons: ['paused'] });
    expect(await ask('pause', { ...about, reason: 'deployment' })).toEqual(paused);
    expect(await claim(swarm, task_id)).toMatchObject({ claimed: false, reason: 'CIRCUIT_OPEN' });
    const drained = await ask<{ n: number }>('drain', { ...about, reason: 'deployment' });
    expect(drained.n).toBe((paused['n'] as number) + 1);
    const { swarms } = await ask<Report>('report', about);
    expect(swarms[0]!.pause).toMatchObject({ mode: 'drain', by: 'operator', reason: 'deployment' });
    const resumed = await ask('resume', about);
    expect(resumed).toMatchObject({ circuit: 'closed' });
    expect(await ask('resume', about)).toEqual(resumed);
    expect(await claim(swarm, task_id)).toMatchObject({ claimed: true });
  });

  it('that is drained finishes what it owns', async () => {
    const swarm = await governed.swarm();
    const task_id = await task();
    const { token } = await claim(swarm, task_id);
    await ask('drain', { swarm_id: swarm.id });
    await swarm.client.request('task', 'heartbeat', { task_id, token });
    expect(await swarm.client.request('task', 'complete', { task_id, token })).toMatchObject({ state: 'completed' });
  });
});

describe('all swarms', () => {
  it('are paused, drained and resumed with one record', async () => {
    const swarm = await governed.swarm();
    const task_id = await task();
    const paused = await ask('pause', { all: true, reason: 'incident 7' });
    expect(paused).toMatchObject({ state: 'paused', pause: { mode: 'pause', by: 'operator', reason: 'incident 7' } });
    expect(await ask('pause', { all: true, reason: 'incident 7' })).toEqual(paused);
    // A claim notices when its coordinator does, about a millisecond later.
    await until('claims are refused', async () => !(await claim(swarm, await task())).claimed);
    expect(await claim(swarm, task_id)).toMatchObject({ claimed: false, reason: 'CIRCUIT_OPEN' });
    expect(await ask('drain', { all: true })).toMatchObject({ state: 'paused', pause: { mode: 'drain' } });
    const resumed = await ask('resume', { all: true });
    expect(resumed).toMatchObject({ state: 'open', pause: null });
    expect(await ask('resume', { all: true })).toEqual(resumed);
    await until('claims go on', async () => (await claim(swarm, task_id)).claimed);
  });
});

describe('while all swarms are paused', () => {
  it('one that registers claims nothing and is handed nothing, what others own goes on, and a resume hands out at once', async () => {
    const owner = await governed.swarm({ capabilities: ['fleet:owner'] });
    const owned = await task({ requires: ['fleet:owner'] });
    const { token } = await claim(owner, owned);
    await ask('pause', { all: true });
    await until(
      'claims are refused',
      async () => !(await claim(owner, await task({ requires: ['fleet:owner'] }))).claimed,
    );
    const late = await governed.swarm({ capabilities: ['fleet:late'] });
    const task_types = ['late'];
    const task_id = await task({ requires: ['fleet:late'], task_type: 'late' });
    expect(await claim(late, task_id)).toMatchObject({ claimed: false, reason: 'CIRCUIT_OPEN' });
    expect(await late.client.request('task', 'next', { task_types, wait_ms: 100 })).toEqual({ task: null });
    const parked = late.client.request<{ task: { task_id: string } | null }>('task', 'next', {
      task_types,
      wait_ms: 20_000,
    });
    await owner.client.request('task', 'heartbeat', { task_id: owned, token });
    expect(await owner.client.request('task', 'complete', { task_id: owned, token })).toMatchObject({
      state: 'completed',
    });
    await ask('resume', { all: true });
    expect((await parked).task).toMatchObject({ task_id });
  });
});

describe('the budget of all swarms', () => {
  it('holds over their own, for what they track: the smaller remainder counts', async () => {
    const one = await governed.swarm({ budget_usd: 5 });
    const two = await governed.swarm({ budget_usd: 5 });
    const charge = async ({ client }: Swarm, cost_usd: number) =>
      await client.request('governor', 'track_cost', { operation: 'call', cost_usd });
    expect(await ask('allocate_budget', { fabric: true, budget_usd: 2, per_day_usd: 1.5 })).toMatchObject({
      budget: { allocated_usd: 2, spent_usd: 0, remaining_usd: 1.5 },
    });
    await charge(one, 1);
    await expect(charge(two, 0.6)).rejects.toMatchObject({ code: 'BUDGET_EXHAUSTED' });
    await charge(two, 0.5);
    const { fleet, swarms } = await ask<Report>('report');
    expect(fleet!.budget).toMatchObject({ spent_usd: 1.5, remaining_usd: 0 });
    // What the fabric refused is not taken from the swarm either.
    expect(swarms.find(({ swarm_id }) => swarm_id === two.id)!.budget).toMatchObject({ spent_usd: 0.5 });
    await expect(ask('allocate_budget', { fabric: true, budget_usd: 1 })).rejects.toMatchObject({
      code: 'POLICY_VIOLATION',
    });
    expect(await ask('allocate_budget', { fabric: true, budget_usd: null })).toMatchObject({ budget: null });
    await charge(two, 0.6);
  });

  it('limits an hour or a day only where there is one, and says so', async () => {
    for (const limit of [{ per_hour_usd: 1 }, { per_day_usd: 1 }])
      await expect(ask('allocate_budget', { fabric: true, budget_usd: null, ...limit })).rejects.toMatchObject({
        code: 'INVALID_REQUEST',
        details: { field: 'budget_usd' },
      });
  });

  it('is never overspent by 64 charges of eight swarms at once', async () => {
    await ask('allocate_budget', { fabric: true, budget_usd: 1 });
    const swarms = await Promise.all(Array.from({ length: 8 }, async () => await governed.swarm({ budget_usd: 10 })));
    const charges = swarms.flatMap(({ client }) =>
      Array.from(
        { length: 8 },
        async () => await client.request('governor', 'track_cost', { operation: 'call', cost_usd: 0.03 }),
      ),
    );
    const outcomes = await Promise.allSettled(charges);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(33);
    const { fleet } = await ask<Report>('report');
    expect(fleet!.budget).toMatchObject({ spent_usd: 0.99, overrun_usd: 0, remaining_usd: 0.01 });
  });
});
