/** What keeps tasks from being claimed, or with their owners, besides money: pauses, open circuits, assignments. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { freshId } from '../store/fixtures.ts';
import { until } from '../support/temp.ts';
import {
  type BudgetWorld,
  claimed,
  operator,
  startBudgetWorld,
  swarm,
  swarmOf,
  taskOf,
  tellFleet,
} from './budget-parts.ts';
import type { Coordinating } from './coordinating.ts';

let world: BudgetWorld;
beforeAll(async () => {
  world = await startBudgetWorld();
});
afterEach(async () => await world.clear());
afterAll(async () => await world?.stop());

describe('a fabric that is paused', () => {
  it('claims nothing and hands out nothing, whoever owns goes on, and who waits is served when it is resumed', async () => {
    const at = [await world.start(), await world.start()];
    const [one, other] = at as [Coordinating, Coordinating];
    const id = await swarm(one, 5);
    const task_type = freshId('type');
    const [owned, free, paid] = await world.tasks(one, 3, { task_type });
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
    const ids = await world.tasks(at, 3, { cost_estimate: 0.5 });
    for (const task of ids) await claimed(at, task, id);
    return ids;
  };
  const opens = { type: 'PAUSE', mode: 'pause', by: 'operator' };

  it('keeps its tasks by default', async () => {
    const at = await world.start();
    const id = await swarm(at, 5);
    const [task] = await owned(at, id);
    await at.store.dispatch(swarmMachine, id, opens, operator);
    await at.core.swept['circuits']!();
    expect((await at.recorded(task!)).owner).toBe(id);
  });

  it('loses them where policy returns them: attempt and money go back, and others may claim', async () => {
    const policy = { open_circuit_tasks: 'return' as const };
    const at = [await world.start({ policy, sweeps: false }), await world.start({ policy, sweeps: false })];
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
    const at = await world.start({ policy, sweeps: false });
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
    const at = await world.start({ policy: { open_circuit_tasks: 'return' } });
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
    const at = await world.start({ policy: { assign_timeout_ms: 60_000 } });
    const [chosen, other] = [await swarm(at, 0), await swarm(at, 0)];
    const task_type = freshId('type');
    const [task] = await world.tasks(at, 1, { assign: true, task_type });
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
