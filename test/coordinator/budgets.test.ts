/** Budgets of swarms and of the whole fabric on the claim path, over a real cluster, with two coordinators. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Budget } from '../../machines/budget.ts';
import { type FleetContext, fleetRef } from '../../machines/fleet/context.ts';
import { fleetMachine } from '../../machines/fleet/machine.ts';
import { addUsd } from '../../machines/money.ts';
import type { SwarmContext } from '../../machines/swarm/context.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { freshId, withStreams } from '../store/fixtures.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';
import { type Coordinating, type Parts, startCoordinating } from './coordinating.ts';

const operator = { by: 'operator', trace_id: 'test' };

let cluster: TestCluster;
const running: Coordinating[] = [];
const created: string[] = [];

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: 1 });
  await withStreams(cluster, 1);
});
afterEach(async () => {
  const [one] = running;
  for (const id of created.splice(0)) await one?.tasks.cancel('operator', id, 'the test is over').catch(() => {});
  if (one && (await fleetOf(one)).pause) await tellFleet(one, { type: 'RESUME' });
  if (one && (await fleetOf(one)).budget) await tellFleet(one, { type: 'ALLOCATE', budget_usd: null });
  for (const each of running.splice(0)) await each.stop();
});
afterAll(async () => await cluster?.stop());

async function start(parts?: Parts): Promise<Coordinating> {
  const one = await startCoordinating(cluster, parts);
  running.push(one);
  return one;
}

async function swarm(at: Coordinating, budget_usd: number, limits: object = {}): Promise<string> {
  const id = freshId('s').toLowerCase();
  await at.register(id);
  await at.store.dispatch(swarmMachine, id, { type: 'ALLOCATE', budget_usd, ...limits }, operator);
  return id;
}

async function tellFleet({ store }: Coordinating, event: { type: string; [field: string]: unknown }): Promise<void> {
  await store.dispatch(fleetMachine, fleetRef.id, { by: 'operator', ...event }, operator);
}

async function fleetOf({ store }: Coordinating): Promise<FleetContext> {
  const stored = await store.read(fleetRef);
  return (stored?.record.snapshot.context ?? fleetMachine.absent.context) as FleetContext;
}

async function swarmOf({ store }: Coordinating, id: string): Promise<SwarmContext> {
  return (await store.read({ kind: 'swarm', id }))!.record.snapshot.context as SwarmContext;
}

async function taskOf({ store }: Coordinating, id: string): Promise<TaskContext> {
  return (await store.read({ kind: 'task', id }))!.record.snapshot.context as TaskContext;
}

async function tasks(at: Coordinating, count: number, content: object = {}): Promise<string[]> {
  const ids = Array.from({ length: count }, () => freshId('t'));
  created.push(...ids);
  await Promise.all(
    ids.map(async (task_id) => await at.tasks.create('operator', { task_id, task_type: 'build', ...content })),
  );
  return ids;
}

const money = ({ reserved_usd, spent_usd, overrun_usd }: Budget) => ({ reserved_usd, spent_usd, overrun_usd });
async function claimed(at: Coordinating, task_id: string, owner: string): Promise<number> {
  const answer = await at.tasks.claim(owner, task_id);
  if (!answer.claimed) throw new Error(`not claimed: ${answer.reason}`);
  return answer.token;
}

describe('a nearly spent budget', () => {
  it('of one swarm: 64 spenders at once, through two coordinators, overspend by exactly nothing', async () => {
    const at = [await start(), await start()];
    const id = await swarm(at[0]!, 1);
    const ids = await tasks(at[0]!, 64, { cost_estimate: 0.03 });
    const answers = await Promise.all(ids.map(async (task, i) => await at[i % 2]!.tasks.claim(id, task)));
    const claimed = answers.filter(({ claimed: won }) => won);
    expect(claimed).toHaveLength(33);
    for (const answer of answers)
      if (!answer.claimed) expect(answer).toEqual({ claimed: false, reason: 'BUDGET_EXHAUSTED' });
    expect(money((await swarmOf(at[0]!, id)).budget)).toEqual({ reserved_usd: 0.99, spent_usd: 0, overrun_usd: 0 });
  });

  it('of the whole fabric: 64 spenders of eight swarms overspend by exactly nothing, and what is left is claimed later', async () => {
    const at = [await start(), await start()];
    const swarms = await Promise.all(Array.from({ length: 8 }, async () => await swarm(at[0]!, 10)));
    const ids = await tasks(at[0]!, 64, { cost_estimate: 0.07 });
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
  const before = await start();
  const content = { task_type: 'build', cost_estimate: 5 };
  const [task_id] = (await tasks(before, 1, content)) as [string];
  const after = await start({ policy: { max_cost_per_task: 1 } });
  expect(await after.tasks.create('operator', { task_id, ...content })).toMatchObject({ task_id, n: 1 });
  await expect(after.tasks.create('operator', { task_id: freshId('t'), ...content })).rejects.toMatchObject({
    code: 'POLICY_VIOLATION',
  });
});

describe('what a claim reserved', () => {
  it('is settled with the cost that the owner tells, on the swarm and on the fabric, in the same commit', async () => {
    const at = await start();
    const id = await swarm(at, 5);
    await tellFleet(at, { type: 'ALLOCATE', budget_usd: 3 });
    await until('the budget is known', () => at.core.fleet.hasBudget);
    const [task] = await tasks(at, 1, { cost_estimate: 1 });
    const token = await claimed(at, task!, id);
    expect(await taskOf(at, task!)).toMatchObject({ reserved_usd: 1, fleet_reserved_usd: 1 });
    await at.tasks.complete(id, task!, { token, cost: { cost_usd: 0.4 } });
    expect(money((await swarmOf(at, id)).budget)).toEqual({ reserved_usd: 0, spent_usd: 0.4, overrun_usd: 0 });
    expect(money((await fleetOf(at)).budget!)).toEqual({ reserved_usd: 0, spent_usd: 0.4, overrun_usd: 0 });
    expect(await taskOf(at, task!)).toMatchObject({ reserved_usd: null, fleet_reserved_usd: null });
  });

  it('is the cost where the owner tells none, and the record says that it is an estimate', async () => {
    const at = await start();
    const id = await swarm(at, 5);
    const [task] = await tasks(at, 1, { cost_estimate: 1.5 });
    const token = await claimed(at, task!, id);
    const done = await at.tasks.complete(id, task!, { token, result: 'ok' });
    expect(done.cost).toEqual({ cost_usd: 1.5, estimated: true });
    expect(money((await swarmOf(at, id)).budget)).toEqual({ reserved_usd: 0, spent_usd: 1.5, overrun_usd: 0 });
    // The same completion again is recognised, and costs nothing more.
    expect(await at.tasks.complete(id, task!, { token, result: 'ok' })).toEqual(done);
    expect((await swarmOf(at, id)).budget.spent_usd).toBe(1.5);
  });

  it('goes back whole when the task is released, fails, is cancelled, or its lease runs out', async () => {
    const at = await start();
    const id = await swarm(at, 5);
    await tellFleet(at, { type: 'ALLOCATE', budget_usd: 4 });
    await until('the budget is known', () => at.core.fleet.hasBudget);
    const ids = await tasks(at, 4, { cost_estimate: 1, lease_ms: 1_000 });
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
    const at = await start();
    const id = await swarm(at, 5);
    await tellFleet(at, { type: 'ALLOCATE', budget_usd: 3 });
    await until('the budget is known', () => at.core.fleet.hasBudget);
    const ids = await tasks(at, 2, { cost_estimate: 1 });
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
    const at = await start();
    const id = await swarm(at, 100, { per_hour_usd: 1 });
    const task_type = freshId('type');
    const ids = await tasks(at, 2, { cost_estimate: 0.6, task_type });
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

describe('a fabric that is paused', () => {
  it('claims nothing and hands out nothing, whoever owns goes on, and who waits is served when it is resumed', async () => {
    const at = [await start(), await start()];
    const [one, other] = at as [Coordinating, Coordinating];
    const id = await swarm(one, 5);
    const task_type = freshId('type');
    const [owned, free, paid] = await tasks(one, 3, { task_type });
    const token = await claimed(one, owned!, id);
    await tellFleet(one, { type: 'PAUSE', mode: 'pause', reason: 'storm' });
    await until('both know', () => at.every(({ core }) => core.fleet.paused !== null));
    for (const { tasks: operations } of at)
      expect(await operations.claim(id, free!)).toEqual({ claimed: false, reason: 'CIRCUIT_OPEN' });
    expect(await one.tasks.claim(id, owned!), 'what is owned stays so').toMatchObject({ claimed: true, token });
    expect(await other.core.next.next(id, { task_types: [task_type] })).toEqual({ task: null });
    const waiting = other.core.next.next(id, { wait_ms: 10_000, task_types: [task_type] });
    await until('the caller waits', () => other.core.next.stats().parked === 1);
    await one.tasks.complete(id, owned!, { token });
    await tellFleet(one, { type: 'RESUME' });
    expect([free, paid]).toContain((await waiting).task?.task_id);
  });
});

describe('a swarm whose circuit opens', () => {
  const owned = async (at: Coordinating, id: string) => {
    const ids = await tasks(at, 3, { cost_estimate: 0.5 });
    for (const task of ids) await claimed(at, task, id);
    return ids;
  };
  const opens = { type: 'PAUSE', mode: 'pause', by: 'operator' };

  it('keeps its tasks by default', async () => {
    const at = await start();
    const id = await swarm(at, 5);
    const [task] = await owned(at, id);
    await at.store.dispatch(swarmMachine, id, opens, operator);
    await at.core.swept['circuits']!();
    expect((await at.recorded(task!)).owner).toBe(id);
  });

  it('loses them where policy returns them: attempt and money go back, and others may claim', async () => {
    const policy = { open_circuit_tasks: 'return' as const };
    const at = [await start({ policy, sweeps: false }), await start({ policy, sweeps: false })];
    const id = await swarm(at[0]!, 5);
    const ids = await owned(at[0]!, id);
    await at[1]!.store.dispatch(swarmMachine, id, opens, operator);
    const states = async () => await Promise.all(ids.map(async (task) => (await at[0]!.recorded(task)).state));
    await until('all are back', async () => (await states()).every((state) => state === 'available'), 5_000);
    for (const task of ids)
      expect(await taskOf(at[0]!, task)).toMatchObject({ attempt: 0, failure_reason: 'owner_circuit_open' });
    expect((await swarmOf(at[0]!, id)).reservations).toEqual({});
    const other = await swarm(at[0]!, 5);
    expect((await at[0]!.tasks.claim(other, ids[0]!)).claimed).toBe(true);
  });

  it('loses them also when all swarms are paused, and keeps them when all are drained', async () => {
    const policy = { open_circuit_tasks: 'return' as const };
    const at = await start({ policy, sweeps: false });
    const id = await swarm(at, 5);
    const [task] = await owned(at, id);
    await tellFleet(at, { type: 'PAUSE', mode: 'drain' });
    await at.core.swept['circuits']!();
    expect((await at.recorded(task!)).owner).toBe(id);
    await tellFleet(at, { type: 'PAUSE', mode: 'pause' });
    try {
      await until('nothing is held', async () => (await swarmOf(at, id)).budget.reserved_usd === 0, 5_000);
      expect(await at.recorded(task!)).toMatchObject({ state: 'available', owner: null });
    } finally {
      await tellFleet(at, { type: 'RESUME' });
    }
  });

  it('finishes what it has when it is drained', async () => {
    const at = await start({ policy: { open_circuit_tasks: 'return' } });
    const id = await swarm(at, 5);
    const [task] = await owned(at, id);
    await at.store.dispatch(swarmMachine, id, { ...opens, mode: 'drain' }, operator);
    await at.core.swept['circuits']!();
    const context = await taskOf(at, task!);
    expect(context.owner).toBe(id);
    expect((await at.tasks.complete(id, task!, { token: context.token! })).state).toBe('completed');
  });
});

describe('a task that is kept for one swarm', () => {
  it('is handed to that swarm alone, and to anyone when its time is over', async () => {
    const at = await start({ policy: { assign_timeout_ms: 60_000 } });
    const [chosen, other] = [await swarm(at, 0), await swarm(at, 0)];
    const task_type = freshId('type');
    const [task] = await tasks(at, 1, { assign: true, task_type });
    const wish = { wait_ms: 10_000, task_types: [task_type] };
    const assign = async (until_: number) =>
      await at.store.dispatch(
        taskMachine,
        task!,
        { type: 'ASSIGN', to: chosen, until: until_, reason: 'the best match' },
        { by: 'IF.governor', trace_id: 'test' },
      );
    const others = at.core.next.next(other, wish);
    await until('the other waits', () => at.core.next.stats().parked === 1);
    await assign(Date.now() + 60_000);
    expect(await at.tasks.claim(other, task!)).toMatchObject({
      claimed: false,
      reason: 'TASK_NOT_AVAILABLE',
      assigned_to: chosen,
    });
    const given = await at.core.next.next(chosen, wish);
    expect(given.task?.task_id).toBe(task);
    await at.tasks.release(chosen, task!, (given as { token: number }).token);
    await assign(Date.now() + 300);
    expect((await others).task?.task_id, 'who waited has it at the end').toBe(task);
  });
});
