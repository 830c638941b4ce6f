/** What follows when the swarm that a task is offered to does not claim it: its time is over, or it falls silent. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assignTimer } from '../../actors/governor/assignment/assignment.ts';
import { until } from '../support/temp.ts';
import { type AssignmentWorld, claim, skill, startAssigning } from './assignment-parts.ts';

let world: AssignmentWorld;

describe('with little time to claim, a task', () => {
  beforeAll(async () => {
    world = await startAssigning({ assign_timeout_ms: 400, assign_tasks: true });
  });
  afterAll(async () => await world?.governed.stop());

  it('that nobody claims goes to the next best, and in the end to all, also where policy assigns it', async () => {
    const name = skill();
    const third = await world.worker([], 0);
    const first = await world.worker([name], 1);
    const second = await world.worker([name], 2);
    const task_id = await world.create({ requires: [name] });
    await until('it is open to all', async () => (await world.assignments(task_id)).length === 3);
    const [best, next, all] = await world.assignments(task_id);
    expect([best, next, all]).toMatchObject([{ to: first.id }, { to: second.id }, { to: null }]);
    expect(next!.reason).toMatch(new RegExp(`^the next best after ${first.id}: match 1`));
    expect(all!.reason).toMatch(/^open to all: none of the 2 swarms that were asked claimed it in time/);
    expect((await world.get(task_id)).assignment?.asked.map(({ swarm_id }) => swarm_id)).toEqual([first.id, second.id]);
    await until('both have it in the mailbox', async () =>
      [await world.mailed(first.id), await world.mailed(second.id)].every((ids) => ids.includes(task_id)),
    );
    expect(await claim(third, task_id)).toMatchObject({ claimed: false, reason: 'CAPABILITY_MISSING' });
    expect(await claim(first, task_id)).toMatchObject({ claimed: true });
  });

  it('that says assign: false is open to all, whatever the policy', async () => {
    const task_id = await world.create({ requires: [skill()], assign: false });
    expect(await world.get(task_id)).toMatchObject({ assign: false, assignment: null });
  });

  it('goes on to the next also when a timer is lost', async () => {
    const name = skill();
    const first = await world.worker([name], 1);
    const second = await world.worker([name], 2);
    const task_id = await world.create({ requires: [name] });
    await world.assignedTo(task_id, first.id);
    await world.governed.timers.cancel(assignTimer, task_id);
    await until('the next is asked', async () => (await world.assignments(task_id)).some(({ to }) => to === second.id));
  });

  it('that was made while no governor ran is assigned when one comes', async () => {
    const name = skill();
    await world.governed.governor.stop();
    world.governors = [];
    const best = await world.worker([name], 1);
    const task_id = await world.create({ requires: [name] });
    await world.governed.another();
    await until('it is assigned', async () => (await world.assignments(task_id)).some(({ to }) => to === best.id));
  });
});

describe('a task that is kept for a swarm which falls silent', () => {
  beforeAll(async () => {
    world = await startAssigning({ assign_timeout_ms: 60_000 }, { liveness_ms: 1_500 });
  });
  afterAll(async () => await world?.governed.stop());

  it('goes to the next best when that one is offline, long before its time is over', async () => {
    const name = skill();
    const next = await world.worker([name], 2);
    const best = await world.worker([name], 1);
    const task_id = await world.create({ requires: [name], assign: true });
    await world.assignedTo(task_id, best.id);
    await until('it is assigned to the one that is alive', async () => {
      await next.client.request('swarm', 'heartbeat');
      return (await world.get(task_id)).assignment?.to === next.id;
    });
    expect((await world.assignments(task_id)).at(-1)).toMatchObject({
      passed_over: { swarm_id: best.id, why: 'offline' },
    });
    expect(await claim(next, task_id)).toMatchObject({ claimed: true });
  });
});
