/** Budgets of swarms and of the whole fabric on the claim path, over a real cluster, with two coordinators. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { addUsd } from '../../machines/money.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { freshId } from '../store/fixtures.ts';
import { until } from '../support/temp.ts';
import {
  type BudgetWorld,
  claimed,
  fleetOf,
  money,
  operator,
  startBudgetWorld,
  swarm,
  swarmOf,
  taskOf,
  tellFleet,
} from './budget-parts.ts';

let world: BudgetWorld;
beforeAll(async () => {
  world = await startBudgetWorld();
});
afterEach(async () => await world.clear());
afterAll(async () => await world?.stop());

describe('a nearly spent budget', () => {
  it('of one swarm: 64 spenders at once, through two coordinators, overspend by exactly nothing', async () => {
    const at = [await world.start(), await world.start()];
    const id = await swarm(at[0]!, 1);
    const ids = await world.tasks(at[0]!, 64, { cost_estimate: 0.03 });
    const answers = await Promise.all(ids.map(async (task, i) => await at[i % 2]!.tasks.claim(id, task)));
    const claimed = answers.filter(({ claimed: won }) => won);
    expect(claimed).toHaveLength(33);
    for (const answer of answers)
      if (!answer.claimed) expect(answer).toEqual({ claimed: false, reason: 'BUDGET_EXHAUSTED' });
    expect(money((await swarmOf(at[0]!, id)).budget)).toEqual({ reserved_usd: 0.99, spent_usd: 0, overrun_usd: 0 });
  });

  it('of the whole fabric: 64 spenders of eight swarms overspend by exactly nothing, and what is left is claimed later', async () => {
    const at = [await world.start(), await world.start()];
    const swarms = await Promise.all(Array.from({ length: 8 }, async () => await swarm(at[0]!, 10)));
    const ids = await world.tasks(at[0]!, 64, { cost_estimate: 0.07 });
    await tellFleet(at[0]!, { type: 'ALLOCATE', budget_usd: 2 });
    await until('both know of the budget', () => at.every(({ core }) => core.fleet.hasBudget));
    const claims = ids.map(async (task, i) => await at[i % 2]!.tasks.claim(swarms[i % 8]!, task));
    const answers = await Promise.all(claims);
    const won = answers.filter(({ claimed }) => claimed);
    expect(won).toHaveLength(28);
    expect(new Set(answers.map((answer) => (answer.claimed ? 'won' : answer.reason)))).toEqual(
      new Set(['won', 'BUDGET_EXHAUSTED']),
    );
    expect(money((await fleetOf(at[0]!)).budget!)).toEqual({ reserved_usd: 1.96, spent_usd: 0, overrun_usd: 0 });
    const reserved = await Promise.all(swarms.map(async (id) => (await swarmOf(at[0]!, id)).budget.reserved_usd));
    expect(reserved.reduce(addUsd)).toBe(1.96);

    const first = answers.findIndex(({ claimed }) => claimed);
    const lost = answers.findIndex(({ claimed }) => !claimed);
    const { token } = answers[first] as { token: number };
    await at[1]!.tasks.release(swarms[first % 8]!, ids[first]!, token);
    expect(await at[1]!.tasks.claim(swarms[lost % 8]!, ids[lost]!)).toMatchObject({ claimed: true });
  });
});

it('a limit for tasks is for new ones: what was created before it is returned to whoever creates it again', async () => {
  const before = await world.start();
  const content = { task_type: 'build', cost_estimate: 5 };
  const [task_id] = (await world.tasks(before, 1, content)) as [string];
  const after = await world.start({ policy: { max_cost_per_task: 1 } });
  expect(await after.tasks.create('operator', { task_id, ...content })).toMatchObject({ task_id, n: 1 });
  await expect(after.tasks.create('operator', { task_id: freshId('t'), ...content })).rejects.toMatchObject({
    code: 'POLICY_VIOLATION',
  });
});

describe('what a claim reserved', () => {
  it('is settled with the cost that the owner tells, on the swarm and on the fabric, in the same commit', async () => {
    const at = await world.start();
    const id = await swarm(at, 5);
    await tellFleet(at, { type: 'ALLOCATE', budget_usd: 3 });
    await until('the budget is known', () => at.core.fleet.hasBudget);
    const [task] = await world.tasks(at, 1, { cost_estimate: 1 });
    const token = await claimed(at, task!, id);
    expect(await taskOf(at, task!)).toMatchObject({ reserved_usd: 1, fleet_reserved_usd: 1 });
    await at.tasks.complete(id, task!, { token, cost: { cost_usd: 0.4 } });
    expect(money((await swarmOf(at, id)).budget)).toEqual({ reserved_usd: 0, spent_usd: 0.4, overrun_usd: 0 });
    expect(money((await fleetOf(at)).budget!)).toEqual({ reserved_usd: 0, spent_usd: 0.4, overrun_usd: 0 });
    expect(await taskOf(at, task!)).toMatchObject({ reserved_usd: null, fleet_reserved_usd: null });
  });

  it('is the cost where the owner tells none, and the record says that it is an estimate', async () => {
    const at = await world.start();
    const id = await swarm(at, 5);
    const [task] = await world.tasks(at, 1, { cost_estimate: 1.5 });
    const token = await claimed(at, task!, id);
    const done = await at.tasks.complete(id, task!, { token, result: 'ok' });
    expect(done.cost).toEqual({ cost_usd: 1.5, estimated: true });
    expect(money((await swarmOf(at, id)).budget)).toEqual({ reserved_usd: 0, spent_usd: 1.5, overrun_usd: 0 });
    // The same completion again is recognised, and costs nothing more.
    expect(await at.tasks.complete(id, task!, { token, result: 'ok' })).toEqual(done);
    expect((await swarmOf(at, id)).budget.spent_usd).toBe(1.5);
  });

  it('goes back whole when the task is released, fails, is cancelled, or its lease runs out', async () => {
    const at = await world.start();
    const id = await swarm(at, 5);
    await tellFleet(at, { type: 'ALLOCATE', budget_usd: 4 });
    await until('the budget is known', () => at.core.fleet.hasBudget);
    const ids = await world.tasks(at, 4, { cost_estimate: 1, lease_ms: 1_000 });
    const tokens = await Promise.all(ids.map(async (task) => await claimed(at, task, id)));
    expect((await fleetOf(at)).budget!.reserved_usd).toBe(4);
    await at.tasks.release(id, ids[0]!, tokens[0]!);
    await at.tasks.fail(id, ids[1]!, { token: tokens[1]!, error: 'no' });
    await at.tasks.cancel('operator', ids[2]!, 'not needed');
    await until('the lease has run out', async () => (await at.recorded(ids[3]!)).state === 'available');
    const nothing = { reserved_usd: 0, spent_usd: 0, overrun_usd: 0 };
    expect(money((await swarmOf(at, id)).budget)).toEqual(nothing);
    expect(money((await fleetOf(at)).budget!)).toEqual(nothing);
  });

  it('goes back also where the fabric has no budget any more, and is covered by the next one', async () => {
    const at = await world.start();
    const id = await swarm(at, 5);
    await tellFleet(at, { type: 'ALLOCATE', budget_usd: 3 });
    await until('the budget is known', () => at.core.fleet.hasBudget);
    const ids = await world.tasks(at, 2, { cost_estimate: 1 });
    const tokens = await Promise.all(ids.map(async (task) => await claimed(at, task, id)));
    await tellFleet(at, { type: 'ALLOCATE', budget_usd: null });
    await at.tasks.release(id, ids[0]!, tokens[0]!);
    await tellFleet(at, { type: 'ALLOCATE', budget_usd: 1 });
    expect(money((await fleetOf(at)).budget!)).toEqual({ reserved_usd: 1, spent_usd: 0, overrun_usd: 0 });
    await at.tasks.complete(id, ids[1]!, { token: tokens[1]!, cost: { cost_usd: 0.5 } });
    expect(money((await fleetOf(at)).budget!)).toEqual({ reserved_usd: 0, spent_usd: 0.5, overrun_usd: 0 });
  });
});

describe('a limit for an hour', () => {
  it('refuses what the budget as a whole would cover, and a caller that waits is served when it is raised', async () => {
    const at = await world.start();
    const id = await swarm(at, 100, { per_hour_usd: 1 });
    const task_type = freshId('type');
    const ids = await world.tasks(at, 2, { cost_estimate: 0.6, task_type });
    expect((await at.tasks.claim(id, ids[0]!)).claimed).toBe(true);
    expect(await at.tasks.claim(id, ids[1]!)).toEqual({ claimed: false, reason: 'BUDGET_EXHAUSTED' });
    const { claims } = at.core.next.stats();
    const waiting = at.core.next.next(id, { wait_ms: 10_000, task_types: [task_type] });
    await until('the caller waits', () => at.core.next.stats().parked === 1);
    expect(at.core.next.stats().claims, 'what cannot be paid is not tried').toBe(claims);
    const raised = { type: 'ALLOCATE', budget_usd: 100, per_hour_usd: 2 };
    await at.store.dispatch(swarmMachine, id, raised, operator);
    expect((await waiting).task?.task_id).toBe(ids[1]);
  });
});
