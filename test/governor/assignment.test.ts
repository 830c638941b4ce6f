/** Tasks that are offered to the best swarm first: to whom, by what, and what follows when it does not claim them. */
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskView } from '../../actors/coordinator/tasks/task-view.ts';
import { assignTimer } from '../../actors/governor/assignment/assignment.ts';
import type { Governor } from '../../actors/governor/governor.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { systemClock } from '../../src/clock.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { decodeMessage } from '../../src/store/mailbox-message.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { freshId } from '../store/fixtures.ts';
import { until } from '../support/temp.ts';
import { type Governed, startGoverned } from './governing.ts';

interface Worker {
  readonly id: string;
  readonly client: FabricClient;
}

interface Assigned {
  readonly to: string | null;
  readonly until: number;
  readonly reason: string;
}

let governed: Governed;
/** Those that run. */
let governors: Governor[] = [];

/** A capability of this test alone, so that swarms of other tests do not qualify. */
const skill = () => freshId('skill');

async function worker(requires: string[], cost_per_hour: number, max_concurrent_tasks?: number): Promise<Worker> {
  const id = freshId('w').toLowerCase();
  const client = await governed.fabric.client(id);
  const limits = max_concurrent_tasks === undefined ? {} : { max_concurrent_tasks };
  await client.request('swarm', 'register', { capabilities: requires, cost_per_hour, ...limits });
  await until('the governors know it', () => governors.every(({ core }) => core.swarms.get(id)?.able === true));
  return { id, client };
}

async function create(fields: Record<string, unknown>): Promise<string> {
  const task_id = freshId('t');
  await governed.operator.request('task', 'create', { task_id, task_type: 'build', ...fields });
  return task_id;
}

const get = async (task_id: string) => await governed.operator.request<TaskView>('task', 'get', { task_id });
const claim = async ({ client }: Worker, task_id: string) =>
  await client.request<{ claimed: boolean; reason?: string; token: number }>('task', 'claim', { task_id });
const assignedTo = async (task_id: string, to: string | null) =>
  await until(`it is assigned to ${to}`, async () => {
    const { assignment } = await get(task_id);
    return assignment?.reason !== null && assignment?.to === to;
  });

async function history(kind: string, id: string): Promise<StoredRecord[]> {
  const { nc, namespace } = await governed.fabric.context('reader');
  const found: StoredRecord[] = [];
  for await (const stored of new NatsRecordLog(nc, namespace).history({ kind, id })) found.push(stored);
  return found;
}

async function assignments(task_id: string): Promise<Assigned[]> {
  const events = (await history('task', task_id)).map(({ record }) => record.event);
  return events.filter(({ type }) => type === 'ASSIGN') as unknown as Assigned[];
}

/** Ids of the tasks in a swarm's mailbox. */
async function mailed(to: string): Promise<string[]> {
  const { nc, namespace } = await governed.fabric.context('reader');
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const { state } = await jsm.streams.info(namespace.inboxStream);
  const found: string[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const stored = await jsm.streams.getMessage(namespace.inboxStream, { seq });
    const message = stored?.subject === namespace.mailboxSubject(to, 'task') ? decodeMessage(stored.data) : undefined;
    if (message?.type === 'task') found.push((message.task as TaskView).task_id);
  }
  return found;
}

/** For whom a governor knows the task to be kept. */
function keptFor(core: Governor['core'], task_id: string): string | null | undefined {
  const stored = core.store.residents.get({ kind: 'task', id: task_id })?.stored;
  return (stored?.record.snapshot.context as TaskContext | undefined)?.assignment?.to;
}

describe('with time to claim, a task', () => {
  beforeAll(async () => {
    governed = await startGoverned({ assign_timeout_ms: 60_000 });
    governors = [governed.governor, await governed.another()];
  });
  afterAll(async () => await governed?.stop());

  it('goes to the swarm that suits it best, which finds it in its mailbox, and is kept from all others', async () => {
    const name = skill();
    const dear = await worker([name], 10);
    const best = await worker([name], 2);
    const task_id = await create({ requires: [name], assign: true });
    await assignedTo(task_id, best.id);
    expect((await get(task_id)).assignment).toMatchObject({
      to: best.id,
      asked: [{ swarm_id: best.id, match_score: 1, combined_score: 0.25 }],
      reason: 'the best: match 1, reputation 0.5, 2 dollars per hour, combined score 0.25',
    });
    await until('it is in the mailbox', async () => (await mailed(best.id)).includes(task_id));
    expect(await claim(dear, task_id)).toMatchObject({ claimed: false, reason: 'TASK_NOT_AVAILABLE' });
    expect(await claim(best, task_id)).toMatchObject({ claimed: true });
    expect(await assignments(task_id)).toHaveLength(1);
    expect(await mailed(best.id)).toEqual([task_id]);
    expect(await mailed(dear.id)).toEqual([]);
  });

  it('goes to nobody twice at once, however many governors there are', async () => {
    const name = skill();
    const best = await worker([name], 1);
    const ids = await Promise.all(
      Array.from({ length: 20 }, async () => await create({ requires: [name], assign: true })),
    );
    for (const task_id of ids) {
      await assignedTo(task_id, best.id);
      expect(await assignments(task_id)).toHaveLength(1);
    }
  });

  it('is open to all at once when no swarm qualifies', async () => {
    const task_id = await create({ requires: [skill()], assign: true });
    await assignedTo(task_id, null);
    const { assignment } = await get(task_id);
    expect(assignment).toMatchObject({ asked: [], reason: 'open to all: no swarm qualifies and can take one more' });
    expect(assignment!.until).toBeLessThanOrEqual(Date.now());
  });

  it('is not offered to a swarm that has no room, nor to one that was offered what it has room for', async () => {
    const name = skill();
    const best = await worker([name], 1, 1);
    const next = await worker([name], 2, 1);
    const first = await create({ requires: [name], assign: true });
    await assignedTo(first, best.id);
    await until('both governors know', () => governors.every(({ core }) => keptFor(core, first) === best.id));
    const second = await create({ requires: [name], assign: true });
    await until('it is assigned', async () => (await get(second)).assignment?.reason !== null);
    expect((await get(second)).assignment?.to).toBe(next.id);
    expect(await claim(next, second)).toMatchObject({ claimed: true });
    await until('both governors know', () => governors.every(({ core }) => core.swarms.get(next.id)?.free_slots === 0));
    const third = await create({ requires: [name], assign: true });
    await assignedTo(third, null);
  });

  it('that can be afforded by one swarm only goes to that one', async () => {
    const name = skill();
    await worker([name], 1);
    const rich = await worker([name], 9);
    await governed.operator.request('governor', 'allocate_budget', { swarm_id: rich.id, budget_usd: 5 });
    await until('it is known', () => governors.every(({ core }) => core.swarms.get(rich.id)?.remaining_usd === 5));
    const task_id = await create({ requires: [name], assign: true, cost_estimate: 3 });
    await until('it is assigned', async () => (await get(task_id)).assignment?.reason !== null);
    expect((await get(task_id)).assignment?.to).toBe(rich.id);
  });

  it.each([
    [
      'is paused',
      'circuit_open',
      async ({ id }: Worker) => await governed.operator.request('governor', 'pause', { swarm_id: id }),
    ],
    ['unregisters', 'unregistered', async ({ client }: Worker) => await client.request('swarm', 'unregister')],
  ])('goes to the next best at once when the one that it is kept for %s', async (_, why, leave) => {
    const name = skill();
    const best = await worker([name], 1);
    const next = await worker([name], 2);
    const task_id = await create({ requires: [name], assign: true });
    await assignedTo(task_id, best.id);
    await leave(best);
    await assignedTo(task_id, next.id);
    expect((await assignments(task_id)).at(-1)).toMatchObject({ passed_over: { swarm_id: best.id, why } });
    await until('it is in the mailbox', async () => (await mailed(next.id)).includes(task_id));
    expect(await claim(next, task_id)).toMatchObject({ claimed: true });
  });

  it('is put into the mailbox by another governor when the one that assigned it ended before it could', async () => {
    const name = skill();
    const best = await worker([name], 1);
    // As the record of a governor that was killed right after its commit.
    const { core } = governed.governor;
    const task_id = freshId('t');
    const cause = { by: 'IF.governor', trace_id: 't' };
    const log = core.store;
    await governed.operator.request('governor', 'pause', { all: true });
    await until('the governors know', () => governors.every((one) => one.core.fleet.paused !== null));
    await governed.operator.request('task', 'create', { task_id, task_type: 'build', requires: [name], assign: true });
    const { nc, namespace } = await governed.fabric.context('killed');
    const store = new ActorStore({
      log: new NatsRecordLog(nc, namespace),
      clock: systemClock,
      newId: () => freshId('e'),
    });
    const event = { type: 'ASSIGN', to: best.id, until: Date.now() + 60_000, reason: 'the best' };
    await store.dispatch(taskMachine, task_id, event, cause);
    expect(await log.read({ kind: 'task', id: task_id })).toMatchObject({ record: { event: { to: best.id } } });
    await until('it is in the mailbox', async () => (await mailed(best.id)).length > 0);
    expect(await mailed(best.id)).toEqual([task_id]);
    await governed.operator.request('governor', 'resume', { all: true });
  });

  it('is assigned anew when it is available again', async () => {
    const name = skill();
    const best = await worker([name], 1);
    const task_id = await create({ requires: [name], assign: true });
    await assignedTo(task_id, best.id);
    const { token } = await claim(best, task_id);
    await best.client.request('task', 'release', { task_id, token });
    await until('it is assigned again', async () => (await assignments(task_id)).length === 2);
    expect((await get(task_id)).assignment).toMatchObject({ to: best.id, asked: [{ swarm_id: best.id }] });
  });

  it('is not assigned while the whole fabric is paused, but when it is resumed', async () => {
    const name = skill();
    const best = await worker([name], 1);
    await governed.operator.request('governor', 'pause', { all: true });
    await until('it is known', () => governors.every(({ core }) => core.fleet.paused !== null));
    const task_id = await create({ requires: [name], assign: true });
    await until('it is known', () => governors.every(({ core }) => keptFor(core, task_id) === null));
    await governed.operator.request('governor', 'resume', { all: true });
    await assignedTo(task_id, best.id);
    const resumed = (await history('fleet', 'fabric')).at(-1)!;
    expect((await get(task_id)).revision).toBeGreaterThan(resumed.revision);
    expect(await assignments(task_id)).toHaveLength(1);
  });

  it('without assign is open to all', async () => {
    const name = skill();
    const dear = await worker([name], 10);
    await worker([name], 1);
    const task_id = await create({ requires: [name] });
    expect(await claim(dear, task_id)).toMatchObject({ claimed: true });
    expect(await get(task_id)).toMatchObject({ assign: false, assignment: null });
  });
});

describe('with little time to claim, a task', () => {
  beforeAll(async () => {
    governed = await startGoverned({ assign_timeout_ms: 400, assign_tasks: true });
    governors = [governed.governor];
  });
  afterAll(async () => await governed?.stop());

  it('that nobody claims goes to the next best, and in the end to all, also where policy assigns it', async () => {
    const name = skill();
    const third = await worker([], 0);
    const first = await worker([name], 1);
    const second = await worker([name], 2);
    const task_id = await create({ requires: [name] });
    await until('it is open to all', async () => (await assignments(task_id)).length === 3);
    const [best, next, all] = await assignments(task_id);
    expect([best, next, all]).toMatchObject([{ to: first.id }, { to: second.id }, { to: null }]);
    expect(next!.reason).toMatch(new RegExp(`^the next best after ${first.id}: match 1`));
    expect(all!.reason).toMatch(/^open to all: none of the 2 swarms that were asked claimed it in time/);
    expect((await get(task_id)).assignment?.asked.map(({ swarm_id }) => swarm_id)).toEqual([first.id, second.id]);
    await until('both have it in the mailbox', async () =>
      [await mailed(first.id), await mailed(second.id)].every((ids) => ids.includes(task_id)),
    );
    expect(await claim(third, task_id)).toMatchObject({ claimed: false, reason: 'CAPABILITY_MISSING' });
    expect(await claim(first, task_id)).toMatchObject({ claimed: true });
  });

  it('that says assign: false is open to all, whatever the policy', async () => {
    const task_id = await create({ requires: [skill()], assign: false });
    expect(await get(task_id)).toMatchObject({ assign: false, assignment: null });
  });

  it('goes on to the next also when a timer is lost', async () => {
    const name = skill();
    const first = await worker([name], 1);
    const second = await worker([name], 2);
    const task_id = await create({ requires: [name] });
    await assignedTo(task_id, first.id);
    await governed.timers.cancel(assignTimer, task_id);
    await until('the next is asked', async () => (await assignments(task_id)).some(({ to }) => to === second.id));
  });

  it('that was made while no governor ran is assigned when one comes', async () => {
    const name = skill();
    await governed.governor.stop();
    governors = [];
    const best = await worker([name], 1);
    const task_id = await create({ requires: [name] });
    await governed.another();
    await until('it is assigned', async () => (await assignments(task_id)).some(({ to }) => to === best.id));
  });
});

describe('a task that is kept for a swarm which falls silent', () => {
  beforeAll(async () => {
    governed = await startGoverned({ assign_timeout_ms: 60_000 }, { liveness_ms: 1_500 });
    governors = [governed.governor];
  });
  afterAll(async () => await governed?.stop());

  it('goes to the next best when that one is offline, long before its time is over', async () => {
    const name = skill();
    const next = await worker([name], 2);
    const best = await worker([name], 1);
    const task_id = await create({ requires: [name], assign: true });
    await assignedTo(task_id, best.id);
    await until('it is assigned to the one that is alive', async () => {
      await next.client.request('swarm', 'heartbeat');
      return (await get(task_id)).assignment?.to === next.id;
    });
    expect((await assignments(task_id)).at(-1)).toMatchObject({ passed_over: { swarm_id: best.id, why: 'offline' } });
    expect(await claim(next, task_id)).toMatchObject({ claimed: true });
  });
});
