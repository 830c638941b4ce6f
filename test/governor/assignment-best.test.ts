/** Tasks that are offered to the best swarm first: to whom, by what, and what follows when that one cannot take them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { taskMachine } from '../../machines/task/machine.ts';
import { systemClock } from '../../src/clock.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { freshId } from '../store/fixtures.ts';
import { until } from '../support/temp.ts';
import { type AssignmentWorld, claim, keptFor, skill, startAssigning, type Worker } from './assignment-parts.ts';

let world: AssignmentWorld;

describe('with time to claim, a task', () => {
  beforeAll(async () => {
    world = await startAssigning({ assign_timeout_ms: 60_000 });
    world.governors.push(await world.governed.another());
  });
  afterAll(async () => await world?.governed.stop());

  it('goes to the swarm that suits it best, which finds it in its mailbox, and is kept from all others', async () => {
    const name = skill();
    const dear = await world.worker([name], 10);
    const best = await world.worker([name], 2);
    const task_id = await world.create({ requires: [name], assign: true });
    await world.assignedTo(task_id, best.id);
    expect((await world.get(task_id)).assignment).toMatchObject({
      to: best.id,
      asked: [{ swarm_id: best.id, match_score: 1, combined_score: 0.25 }],
      reason: 'the best: match 1, reputation 0.5, 2 dollars per hour, combined score 0.25',
    });
    await until('it is in the mailbox', async () => (await world.mailed(best.id)).includes(task_id));
    expect(await claim(dear, task_id)).toMatchObject({ claimed: false, reason: 'TASK_NOT_AVAILABLE' });
    expect(await claim(best, task_id)).toMatchObject({ claimed: true });
    expect(await world.assignments(task_id)).toHaveLength(1);
    expect(await world.mailed(best.id)).toEqual([task_id]);
    expect(await world.mailed(dear.id)).toEqual([]);
  });

  it('goes to nobody twice at once, however many governors there are', async () => {
    const name = skill();
    const best = await world.worker([name], 1);
    const ids = await Promise.all(
      Array.from({ length: 20 }, async () => await world.create({ requires: [name], assign: true })),
    );
    for (const task_id of ids) {
      await world.assignedTo(task_id, best.id);
      expect(await world.assignments(task_id)).toHaveLength(1);
    }
  });

  it('is open to all at once when no swarm qualifies', async () => {
    const task_id = await world.create({ requires: [skill()], assign: true });
    await world.assignedTo(task_id, null);
    const { assignment } = await world.get(task_id);
    expect(assignment).toMatchObject({ asked: [], reason: 'open to all: no swarm qualifies and can take one more' });
    expect(assignment!.until).toBeLessThanOrEqual(Date.now());
  });

  it('is not offered to a swarm that has no room, nor to one that was offered what it has room for', async () => {
    const name = skill();
    const best = await world.worker([name], 1, 1);
    const next = await world.worker([name], 2, 1);
    const first = await world.create({ requires: [name], assign: true });
    await world.assignedTo(first, best.id);
    await until('both governors know', () => world.governors.every(({ core }) => keptFor(core, first) === best.id));
    const second = await world.create({ requires: [name], assign: true });
    await until('it is assigned', async () => (await world.get(second)).assignment?.reason !== null);
    expect((await world.get(second)).assignment?.to).toBe(next.id);
    expect(await claim(next, second)).toMatchObject({ claimed: true });
    await until('both governors know', () =>
      world.governors.every(({ core }) => core.swarms.get(next.id)?.free_slots === 0),
    );
    const third = await world.create({ requires: [name], assign: true });
    await world.assignedTo(third, null);
  });

  it('that can be afforded by one swarm only goes to that one', async () => {
    const name = skill();
    await world.worker([name], 1);
    const rich = await world.worker([name], 9);
    await world.governed.operator.request('governor', 'allocate_budget', { swarm_id: rich.id, budget_usd: 5 });
    await until('it is known', () =>
      world.governors.every(({ core }) => core.swarms.get(rich.id)?.remaining_usd === 5),
    );
    const task_id = await world.create({ requires: [name], assign: true, cost_estimate: 3 });
    await until('it is assigned', async () => (await world.get(task_id)).assignment?.reason !== null);
    expect((await world.get(task_id)).assignment?.to).toBe(rich.id);
  });

  it.each([
    [
      'is paused',
      'circuit_open',
      async ({ id }: Worker) => await world.governed.operator.request('governor', 'pause', { swarm_id: id }),
    ],
    ['unregisters', 'unregistered', async ({ client }: Worker) => await client.request('swarm', 'unregister')],
  ])('goes to the next best at once when the one that it is kept for %s', async (_, why, leave) => {
    const name = skill();
    const best = await world.worker([name], 1);
    const next = await world.worker([name], 2);
    const task_id = await world.create({ requires: [name], assign: true });
    await world.assignedTo(task_id, best.id);
    await leave(best);
    await world.assignedTo(task_id, next.id);
    expect((await world.assignments(task_id)).at(-1)).toMatchObject({ passed_over: { swarm_id: best.id, why } });
    await until('it is in the mailbox', async () => (await world.mailed(next.id)).includes(task_id));
    expect(await claim(next, task_id)).toMatchObject({ claimed: true });
  });

  it('is put into the mailbox by another governor when the one that assigned it ended before it could', async () => {
    const name = skill();
    const best = await world.worker([name], 1);
    // As the record of a governor that was killed right after its commit.
    const { core } = world.governed.governor;
    const task_id = freshId('t');
    const cause = { by: 'IF.governor', trace_id: 't' };
    const log = core.store;
    await world.governed.operator.request('governor', 'pause', { all: true });
    await until('the governors know', () => world.governors.every((one) => one.core.fleet.paused !== null));
    await world.governed.operator.request('task', 'create', {
      task_id,
      task_type: 'build',
      requires: [name],
      assign: true,
    });
    const { nc, namespace } = await world.governed.fabric.context('killed');
    const store = new ActorStore({
      log: new NatsRecordLog(nc, namespace),
      clock: systemClock,
      newId: () => freshId('e'),
    });
    const event = { type: 'ASSIGN', to: best.id, until: Date.now() + 60_000, reason: 'the best' };
    await store.dispatch(taskMachine, task_id, event, cause);
    expect(await log.read({ kind: 'task', id: task_id })).toMatchObject({ record: { event: { to: best.id } } });
    await until('it is in the mailbox', async () => (await world.mailed(best.id)).length > 0);
    expect(await world.mailed(best.id)).toEqual([task_id]);
    await world.governed.operator.request('governor', 'resume', { all: true });
  });

  it('is assigned anew when it is available again', async () => {
    const name = skill();
    const best = await world.worker([name], 1);
    const task_id = await world.create({ requires: [name], assign: true });
    await world.assignedTo(task_id, best.id);
    const { token } = await claim(best, task_id);
    await best.client.request('task', 'release', { task_id, token });
    await until('it is assigned again', async () => (await world.assignments(task_id)).length === 2);
    expect((await world.get(task_id)).assignment).toMatchObject({ to: best.id, asked: [{ swarm_id: best.id }] });
  });

  it('is not assigned while the whole fabric is paused, but when it is resumed', async () => {
    const name = skill();
    const best = await world.worker([name], 1);
    await world.governed.operator.request('governor', 'pause', { all: true });
    await until('it is known', () => world.governors.every(({ core }) => core.fleet.paused !== null));
    const task_id = await world.create({ requires: [name], assign: true });
    await until('it is known', () => world.governors.every(({ core }) => keptFor(core, task_id) === null));
    await world.governed.operator.request('governor', 'resume', { all: true });
    await world.assignedTo(task_id, best.id);
    const resumed = (await world.history('fleet', 'fabric')).at(-1)!;
    expect((await world.get(task_id)).revision).toBeGreaterThan(resumed.revision);
    expect(await world.assignments(task_id)).toHaveLength(1);
  });

  it('without assign is open to all', async () => {
    const name = skill();
    const dear = await world.worker([name], 10);
    await world.worker([name], 1);
    const task_id = await world.create({ requires: [name] });
    expect(await claim(dear, task_id)).toMatchObject({ claimed: true });
    expect(await world.get(task_id)).toMatchObject({ assign: false, assignment: null });
  });
});
