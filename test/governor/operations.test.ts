/** What operators and swarms ask of the governor, on a real cluster. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../actors/governor/report.ts';
import { type Governed, startGoverned } from './governing.ts';

let governed: Governed;
const ask = async <Result = Record<string, unknown>>(op: string, body: Record<string, unknown> = {}) =>
  await governed.operator.request<Result>('governor', op, body);
const refused = async (asked: Promise<unknown>, error: object) => await expect(asked).rejects.toMatchObject(error);

beforeAll(async () => {
  governed = await startGoverned();
});
afterAll(async () => await governed?.stop());

describe('budgets', () => {
  it('are allocated to a swarm that has not come yet, and the same again changes nothing', async () => {
    const swarm_id = 'not-there-yet';
    const budget = await ask('allocate_budget', { swarm_id, budget_usd: 2.5, per_hour_usd: 1 });
    expect(budget).toMatchObject({ allocated_usd: 2.5, spent_usd: 0, hour: { limit_usd: 1 }, remaining_usd: 1 });
    const before = await governed.operator.request<{ n: number }>('swarm', 'get', { swarm_id });
    expect(await ask('allocate_budget', { swarm_id, budget_usd: 2.5, per_hour_usd: 1 })).toEqual(budget);
    expect(await governed.operator.request<{ n: number }>('swarm', 'get', { swarm_id })).toEqual(before);
    expect(await ask('allocate_budget', { swarm_id, budget_usd: 2.5, per_hour_usd: null })).toMatchObject({
      hour: null,
      remaining_usd: 2.5,
    });
  });

  it('and grants are for swarms, which an operator never becomes', async () => {
    const swarm_id = 'operator';
    const error = { code: 'INVALID_REQUEST', details: { field: 'swarm_id' } };
    await refused(ask('allocate_budget', { swarm_id, budget_usd: 1 }), error);
    await refused(ask('grant', { swarm_id, capabilities: ['code:any'] }), error);
  });

  it('take what a swarm charges, to the micro-dollar, and refuse what does not remain', async () => {
    const { id, client } = await governed.swarm({ budget_usd: 1 });
    const charge = async (cost_usd: number) =>
      await client.request('governor', 'track_cost', {
        operation: 'completion',
        cost_usd,
        model: 'small',
        tokens_in: 7,
      });
    expect(await charge(0.1)).toEqual({ allocated_usd: 1, reserved_usd: 0, spent_usd: 0.1, remaining_usd: 0.9 });
    expect(await charge(0.2)).toMatchObject({ spent_usd: 0.3, remaining_usd: 0.7 });
    await refused(charge(0.700001), { code: 'BUDGET_EXHAUSTED' });
    expect(await charge(0.7)).toMatchObject({ spent_usd: 1, remaining_usd: 0 });
    await refused(charge(0.000001), { code: 'BUDGET_EXHAUSTED' });
    const { swarms } = await ask<Report>('report', { swarm_id: id });
    expect(swarms).toMatchObject([{ cost_usd: 1, circuit: 'open', circuit_reasons: ['budget'] }]);
    expect(await ask('allocate_budget', { swarm_id: id, budget_usd: 2 })).toMatchObject({ remaining_usd: 1 });
    expect((await ask<Report>('report', { swarm_id: id })).swarms[0]?.circuit).toBe('closed');
  });

  it('are never overspent by 64 charges at once', async () => {
    const { client, id } = await governed.swarm({ budget_usd: 1 });
    await governed.another();
    const charges = Array.from({ length: 64 }, async () => {
      await client.request('governor', 'track_cost', { operation: 'call', cost_usd: 0.03 });
    });
    const outcomes = await Promise.allSettled(charges);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(33);
    const { swarms } = await ask<Report>('report', { swarm_id: id });
    expect(swarms[0]!.budget).toMatchObject({ spent_usd: 0.99, overrun_usd: 0, remaining_usd: 0.01 });
  });

  it('cannot be less than what is gone already', async () => {
    const { id, client } = await governed.swarm({ budget_usd: 1 });
    await client.request('governor', 'track_cost', { operation: 'call', cost_usd: 0.5 });
    await refused(ask('allocate_budget', { swarm_id: id, budget_usd: 0.4 }), { code: 'POLICY_VIOLATION' });
  });

  it('are charged by swarms only, each to its own', async () => {
    const { client } = await governed.swarm({ budget_usd: 1 });
    const charge = { operation: 'call', cost_usd: 0.1 };
    await refused(client.request('governor', 'track_cost', { ...charge, swarm_id: 'other' }), { code: 'UNAUTHORIZED' });
    await refused(ask('track_cost', charge), { code: 'INVALID_REQUEST' });
    const stranger = await governed.fabric.client('stranger');
    await refused(stranger.request('governor', 'track_cost', charge), { code: 'SWARM_NOT_FOUND' });
  });
});

describe('capabilities', () => {
  it('are granted before a swarm comes, add up, and are revoked', async () => {
    const swarm_id = 'granted-early';
    const grant = async (...capabilities: string[]) => await ask('grant', { swarm_id, capabilities });
    expect(await grant('system.process.execute')).toMatchObject({ grants: ['system.process.execute'], n: 1 });
    expect(await grant('system.process.execute')).toMatchObject({ n: 1 });
    expect(await grant('network.http.proxy.external')).toMatchObject({
      grants: ['system.process.execute', 'network.http.proxy.external'],
    });
    const revoked = await ask('revoke', { swarm_id, capabilities: ['system.process.execute'] });
    expect(revoked).toMatchObject({ grants: ['network.http.proxy.external'], n: 3 });
    expect(await ask('revoke', { swarm_id, capabilities: ['system.process.execute'] })).toEqual(revoked);
    await refused(ask('grant', { swarm_id, capabilities: [] }), { code: 'INVALID_REQUEST' });
    await refused(ask('revoke', { swarm_id: 'nobody', capabilities: ['x:y'] }), { code: 'SWARM_NOT_FOUND' });
  });
});

describe('the report', () => {
  it('shows an operator all swarms page by page with the sum of all, and a swarm itself', async () => {
    const { id, client } = await governed.swarm({ budget_usd: 3 });
    await client.request('governor', 'track_cost', { operation: 'call', cost_usd: 1.25 });
    const seen = new Map<string, Report['swarms'][number]>();
    let cursor: string | null | undefined;
    let totals: Report['totals'] | undefined;
    do {
      const page = await ask<Report>('report', { limit: 2, ...(cursor ? { cursor } : {}) });
      for (const swarm of page.swarms) seen.set(swarm.swarm_id, swarm);
      totals = page.totals;
      expect(page.fleet).toMatchObject({ state: 'open', budget: null });
      cursor = page.cursor;
    } while (cursor);
    expect(totals!.swarms).toBe(seen.size);
    expect(seen.get(id)).toMatchObject({ cost_usd: 1.25, reputation: 0.5, circuit: 'closed' });
    const cents = (read: (swarm: Report['swarms'][number]) => number) =>
      [...seen.values()].reduce((sum, swarm) => sum + Math.round(read(swarm) * 1e6), 0) / 1e6;
    expect(totals!.cost_usd).toBe(cents(({ cost_usd }) => cost_usd));
    expect(totals!.allocated_usd).toBe(cents(({ budget }) => budget.allocated_usd));
    const own = await client.request<Report>('governor', 'report');
    expect(own.swarms.map(({ swarm_id }) => swarm_id)).toEqual([id]);
    expect(own).toMatchObject({ fleet: null, totals: { swarms: 1, cost_usd: 1.25 } });
    await refused(client.request('governor', 'report', { swarm_id: 'not-there-yet' }), { code: 'UNAUTHORIZED' });
    await refused(ask('report', { swarm_id: 'nobody' }), { code: 'SWARM_NOT_FOUND' });
  });
});

it('what only operators may do is refused to swarms, and a target is named once', async () => {
  const { id, client } = await governed.swarm();
  const about = { swarm_id: id };
  for (const [op, body] of [
    ['grant', { ...about, capabilities: ['a:b'] }],
    ['revoke', { ...about, capabilities: ['a:b'] }],
    ['allocate_budget', { ...about, budget_usd: 1_000 }],
    ['reset_circuit', about],
    ['pause', about],
    ['drain', { all: true }],
    ['resume', about],
  ] as const)
    await refused(client.request('governor', op, body), { code: 'UNAUTHORIZED' });
  for (const op of ['pause', 'drain', 'resume']) {
    await refused(ask(op), { code: 'INVALID_REQUEST' });
    await refused(ask(op, { ...about, all: true }), { code: 'INVALID_REQUEST' });
  }
  await refused(ask('allocate_budget', { budget_usd: 1 }), { code: 'INVALID_REQUEST' });
  await refused(ask('allocate_budget', { ...about, budget_usd: null }), { code: 'INVALID_REQUEST' });
});

it('an invitation is no way around the approval that a higher budget needs', async () => {
  const strict = await startGoverned({ approvals_required: ['raise_budget'] });
  const invite = async (body: object) =>
    await strict.operator.request('swarm', 'invite', { swarm_id: 'invited', grants: ['docs:api'], ...body });
  try {
    await refused(invite({ budget_usd: 5 }), { code: 'POLICY_VIOLATION', details: { action: 'raise_budget' } });
    await refused(strict.operator.request('swarm', 'get', { swarm_id: 'invited' }), { code: 'SWARM_NOT_FOUND' });
    expect(await invite({})).toMatchObject({ grants: ['docs:api'], budget: { allocated_usd: 0 } });
  } finally {
    await strict.stop();
  }
});
