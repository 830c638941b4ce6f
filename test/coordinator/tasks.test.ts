/** The life of tasks and swarms over request/reply, with each swarm's own credentials. */
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SwarmView } from '../../actors/coordinator/swarms/swarm-view.ts';
import type { TaskView } from '../../actors/coordinator/tasks/task-view.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { freshId } from '../store/fixtures.ts';
import { until } from '../support/temp.ts';
import { startFabric, type TestFabric } from './in-process.ts';

interface Claimed {
  readonly claimed: boolean;
  readonly task: TaskView;
  readonly token: number;
  readonly reason?: string;
  readonly owner?: string;
}

let fabric: TestFabric;
let alpha: FabricClient;
let beta: FabricClient;
let operator: FabricClient;

beforeAll(async () => {
  fabric = await startFabric();
  // Two of them: what one has not seen itself, it must find in the log.
  await fabric.coordinator();
  await fabric.coordinator();
  alpha = await fabric.client('alpha', { encoding: 'json' });
  beta = await fabric.client('beta');
  operator = await fabric.client('operator');
  for (const swarm of [alpha, beta])
    await swarm.request('swarm', 'register', { capabilities: ['code:ts'], cost_per_hour: 1 });
});
afterAll(async () => await fabric?.stop());

const ask = async (who: FabricClient, op: string, body: Record<string, unknown>) =>
  await who.request<TaskView>('task', op, body);
const claim = async (who: FabricClient, task_id: string) => await who.request<Claimed>('task', 'claim', { task_id });
const get = async (task_id: string) => await ask(operator, 'get', { task_id });
const refusal = async (promise: Promise<unknown>) =>
  await promise.then(
    () => 'no error',
    (error: { code?: string }) => error.code,
  );

async function created(content: Record<string, unknown> = {}, by = alpha): Promise<string> {
  const task_id = freshId('t');
  await ask(by, 'create', { task_id, task_type: 'build', ...content });
  return task_id;
}

describe('creating a task', () => {
  it('makes it available, with defaults where nothing is said', async () => {
    const task_id = freshId('t');
    const task = await ask(alpha, 'create', { task_id, task_type: 'build' });
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
    expect(await get(task_id)).toEqual(task);
  });

  it('again with the same content returns it, whoever asks, however lists are ordered', async () => {
    const content = {
      task_id: freshId('t'),
      task_type: 'build',
      requires: ['a', 'b'],
      metadata: { x: 1, y: [2] },
      priority: 5,
    };
    const first = await ask(alpha, 'create', content);
    expect(
      await ask(beta, 'create', { ...content, requires: ['b', 'a', 'b'], metadata: { y: [2], x: 1 }, max_attempts: 3 }),
    ).toEqual(first);
  });

  it('with other content is TASK_EXISTS', async () => {
    const task_id = await created();
    expect(await refusal(ask(alpha, 'create', { task_id, task_type: 'test' }))).toBe('TASK_EXISTS');
    expect(await refusal(ask(alpha, 'create', { task_id, task_type: 'build', priority: 1 }))).toBe('TASK_EXISTS');
    expect((await get(task_id)).n).toBe(1);
  });

  it('at the same time by many makes one task', async () => {
    const content = { task_id: freshId('t'), task_type: 'build' };
    const tasks = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => await ask(i % 2 ? alpha : beta, 'create', content)),
    );
    expect(new Set(tasks.map(({ revision }) => revision)).size).toBe(1);
    expect(tasks[0]?.n).toBe(1);
  });

  it('of a cost above the limit is refused by policy', async () => {
    expect(
      await refusal(ask(alpha, 'create', { task_id: freshId('t'), task_type: 'x', cost_estimate: 10.000001 })),
    ).toBe('POLICY_VIOLATION');
  });

  it('that is not to begin before a time waits, and is available at that time by itself', async () => {
    const not_before = Date.now() + 1_200;
    const task_id = await created({ not_before });
    expect((await get(task_id)).state).toBe('waiting');
    expect(await claim(beta, task_id)).toEqual({ claimed: false, reason: 'TASK_NOT_AVAILABLE' });
    await until('the task is available', async () => (await get(task_id)).state === 'available');
    expect(Date.now()).toBeGreaterThanOrEqual(not_before);
    expect((await claim(beta, task_id)).claimed).toBe(true);
  });
});

describe('claiming a task', () => {
  it('makes it its own, under a token', async () => {
    const task_id = await created();
    const { claimed, task, token } = await claim(alpha, task_id);
    expect([claimed, task.state, task.owner, task.attempt]).toEqual([true, 'claimed', 'alpha', 1]);
    expect(token).toBeGreaterThan(2 ** 32);
    expect(task.lease_expires_at).toBe((task.claimed_at ?? 0) + 30_000);
  });

  it('again by its owner returns the same token', async () => {
    const task_id = await created();
    const first = await claim(alpha, task_id);
    expect(await claim(alpha, task_id)).toEqual(first);
    await ask(alpha, 'start', { task_id, token: first.token });
    expect(await claim(alpha, task_id)).toMatchObject({
      claimed: true,
      token: first.token,
      task: { state: 'in_progress' },
    });
  });

  it('of someone else is an answer that says whose it is', async () => {
    const task_id = await created();
    await claim(alpha, task_id);
    expect(await claim(beta, task_id)).toEqual({ claimed: false, reason: 'TASK_NOT_AVAILABLE', owner: 'alpha' });
  });

  it('of no one knows is an error, and so is a claim by nobody', async () => {
    expect(await refusal(claim(alpha, freshId('t')))).toBe('TASK_NOT_FOUND');
    const stranger = await fabric.client('stranger');
    expect(await refusal(claim(stranger, await created()))).toBe('SWARM_NOT_FOUND');
  });

  it('needs the capabilities that the task requires, or most of them', async () => {
    expect(await claim(alpha, await created({ requires: ['code:rust'] }))).toEqual({
      claimed: false,
      reason: 'CAPABILITY_MISSING',
    });
    expect((await claim(alpha, await created({ requires: ['code:ts'] }))).claimed).toBe(true);
  });

  it('needs the money that the task is estimated at', async () => {
    expect(await claim(alpha, await created({ cost_estimate: 1 }))).toEqual({
      claimed: false,
      reason: 'BUDGET_EXHAUSTED',
    });
    await operator.request('swarm', 'invite', { swarm_id: 'rich', budget_usd: 3 });
    const rich = await fabric.client('rich');
    await rich.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    const [first, second] = [await created({ cost_estimate: 2 }), await created({ cost_estimate: 2 })];
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
    const narrow = await fabric.client('narrow');
    await narrow.request('swarm', 'register', { capabilities: [], cost_per_hour: 0, max_concurrent_tasks: 2 });
    const ids = [await created(), await created(), await created()];
    const answers = await Promise.all(ids.map(async (id) => await claim(narrow, id)));
    expect(answers.filter(({ claimed }) => claimed)).toHaveLength(2);
    expect(answers.find(({ claimed }) => !claimed)).toEqual({ claimed: false, reason: 'CAPACITY_EXCEEDED' });
    const won = answers.find(({ claimed }) => claimed)!;
    await ask(narrow, 'release', { task_id: won.task.task_id, token: won.token });
    const lost = ids.find((_, i) => !answers[i]?.claimed)!;
    expect((await claim(narrow, lost)).claimed).toBe(true);
  });
});

describe('working on a task', () => {
  const owned = async (content: Record<string, unknown> = {}) => {
    const task_id = await created(content);
    return { task_id, token: (await claim(alpha, task_id)).token };
  };

  it('can be said to begin, once or twice', async () => {
    const held = await owned();
    const started = await ask(alpha, 'start', held);
    expect(started.state).toBe('in_progress');
    expect(await ask(alpha, 'start', held)).toEqual(started);
  });

  it('is for its owner, with the present token', async () => {
    const { task_id, token } = await owned();
    expect(await refusal(ask(beta, 'start', { task_id, token }))).toBe('NOT_OWNER');
    expect(await refusal(ask(alpha, 'start', { task_id, token: token + 1 }))).toBe('STALE_TOKEN');
    expect(await refusal(ask(alpha, 'start', { task_id: freshId('t'), token }))).toBe('TASK_NOT_FOUND');
    await ask(alpha, 'release', { task_id, token });
    expect(await refusal(ask(alpha, 'complete', { task_id, token }))).toBe('STALE_TOKEN');
    expect(await refusal(ask(beta, 'complete', { task_id, token }))).toBe('NOT_OWNER');
  });

  it('ends with a result, and the same completion again returns the task', async () => {
    const { task_id, token } = await owned();
    const done = await ask(alpha, 'complete', { task_id, token, result: { files: ['a'] } });
    expect(done).toMatchObject({ state: 'completed', owner: 'alpha', result: { files: ['a'] } });
    expect(await ask(alpha, 'complete', { task_id, token, result: { files: ['a'] } })).toEqual(done);
    expect(await ask(alpha, 'complete', { task_id, result: { files: ['a'] } })).toEqual(done);
    expect(await refusal(ask(alpha, 'complete', { task_id, token, result: 'other' }))).toBe('TASK_NOT_AVAILABLE');
    expect((await get(task_id)).n).toBe(done.n);
  });

  it('counts towards its owner, once', async () => {
    const before = await alpha.request<SwarmView>('swarm', 'get');
    const held = await owned();
    await Promise.all([1, 2, 3].map(async () => await ask(alpha, 'complete', held)));
    const after = await alpha.request<SwarmView>('swarm', 'get');
    expect(after.counters.completed - before.counters.completed).toBe(1);
  });

  it('can be given back, and the attempt with it; the same again changes nothing', async () => {
    const held = await owned();
    const back = await ask(alpha, 'release', held);
    expect(back).toMatchObject({ state: 'available', owner: null, attempt: 0 });
    expect(await ask(alpha, 'release', held)).toEqual(back);
    const again = await claim(beta, held.task_id);
    expect([again.task.attempt, again.token > held.token]).toEqual([1, true]);
    expect(await refusal(ask(alpha, 'release', held))).toBe('STALE_TOKEN');
  });

  it('that fails is tried again until its attempts are used up', async () => {
    const task_id = await created({ max_attempts: 2 });
    const swarm = await fabric.client('failing');
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
    expect(await ask(alpha, 'fail', { ...(await owned()), error: null, retryable: false })).toMatchObject({
      state: 'failed',
      attempt: 1,
    });
  });

  it('that fails waits for its back-off, and is available again by itself', async () => {
    const { task_id, token } = await owned({ retry_backoff_ms: 800 });
    const failedAt = Date.now();
    expect((await ask(alpha, 'fail', { task_id, token, error: 'x' })).state).toBe('waiting');
    expect(await claim(beta, task_id)).toMatchObject({ claimed: false, reason: 'TASK_NOT_AVAILABLE' });
    await until('it is available again', async () => (await get(task_id)).state === 'available');
    expect(Date.now() - failedAt).toBeGreaterThanOrEqual(799);
  });

  it('opens the circuit of a swarm that fails too often in a row', async () => {
    const swarm = await fabric.client('unlucky');
    await swarm.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    for (let i = 0; i < 3; i++) {
      const task_id = await created();
      await ask(swarm, 'fail', { task_id, token: (await claim(swarm, task_id)).token, error: i });
    }
    expect(await claim(swarm, await created())).toEqual({ claimed: false, reason: 'CIRCUIT_OPEN' });
  });
});

describe('cancelling a task', () => {
  it('is for its creator and for operators', async () => {
    const [mine, yours] = [await created(), await created()];
    expect(await refusal(ask(beta, 'cancel', { task_id: mine }))).toBe('UNAUTHORIZED');
    const cancelled = await ask(alpha, 'cancel', { task_id: mine, reason: 'no longer needed' });
    expect(cancelled.state).toBe('cancelled');
    expect(await ask(alpha, 'cancel', { task_id: mine })).toEqual(cancelled);
    expect((await ask(operator, 'cancel', { task_id: yours })).state).toBe('cancelled');
  });

  it('takes it from its owner, and gives back what was reserved', async () => {
    await operator.request('swarm', 'invite', { swarm_id: 'paid', budget_usd: 5 });
    const paid = await fabric.client('paid');
    await paid.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    const task_id = await created({ cost_estimate: 4 });
    const { token } = await claim(paid, task_id);
    await ask(alpha, 'cancel', { task_id });
    expect(await refusal(ask(paid, 'complete', { task_id, token }))).toBe('TASK_NOT_AVAILABLE');
    expect((await paid.request<SwarmView>('swarm', 'get')).budget).toMatchObject({ reserved_usd: 0, remaining_usd: 5 });
  });

  it('comes too late when it has ended', async () => {
    const task_id = await created();
    await ask(alpha, 'complete', { task_id, token: (await claim(alpha, task_id)).token });
    expect(await refusal(ask(alpha, 'cancel', { task_id }))).toBe('TASK_NOT_AVAILABLE');
  });
});

describe('a list of tasks', () => {
  interface Page {
    readonly tasks: TaskView[];
    readonly cursor: string | null;
  }
  const list = async (body: Record<string, unknown>) => await operator.request<Page>('task', 'list', body);
  const pages = async (filter: Record<string, unknown>) => {
    const ids: string[] = [];
    let cursor: string | null | undefined;
    do {
      const page: Page = await list({ ...filter, ...(cursor ? { cursor } : {}) });
      ids.push(...page.tasks.map(({ task_id }) => task_id));
      cursor = page.cursor;
    } while (cursor !== null);
    return ids;
  };

  it('shows everything that was created before it, page by page, in order', async () => {
    const ids = await Promise.all(Array.from({ length: 25 }, async (_, i) => await created({}, i % 2 ? alpha : beta)));
    const listed = await pages({ limit: 7 });
    expect(listed).toEqual(listed.toSorted());
    expect(new Set(listed).size).toBe(listed.length);
    for (const id of ids) expect(listed).toContain(id);
  });

  it('can be of one state or one owner', async () => {
    const lister = await fabric.client('lister');
    await lister.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    const [one, two, three] = [await created(), await created(), await created()];
    await claim(lister, one);
    await ask(lister, 'complete', { task_id: two, token: (await claim(lister, two)).token });
    expect((await pages({ owner: 'lister' })).toSorted()).toEqual([one, two].toSorted());
    expect(await pages({ owner: 'lister', state: 'claimed' })).toEqual([one]);
    expect(await pages({ owner: 'lister', state: 'completed' })).toEqual([two]);
    const available = await pages({ state: 'available' });
    expect([available.includes(one), available.includes(three)]).toEqual([false, true]);
  });

  it('refuses a page that is too long, a state that there is not, and a cursor that is none', async () => {
    for (const body of [{ limit: 0 }, { limit: 1_001 }, { state: 'absent' }, { cursor: 'a b' }]) {
      expect(await refusal(list(body)), JSON.stringify(body)).toBe('INVALID_REQUEST');
    }
  });

  it('of large tasks ends a page early instead of failing', async () => {
    const big = await fabric.client('big');
    await big.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    const ids = await Promise.all(
      Array.from({ length: 24 }, async () => await created({ metadata: { text: 'x'.repeat(900_000) } }, big)),
    );
    for (const id of ids) await claim(big, id);
    expect((await pages({ owner: 'big', limit: 1_000 })).toSorted()).toEqual(ids.toSorted());
  });
});

describe('a swarm', () => {
  const swarm = async (id: string) => {
    const client = await fabric.client(id);
    await client.request('swarm', 'register', { capabilities: ['x'], cost_per_hour: 2, model: 'm' });
    return client;
  };

  it('that registers again in the same way changes nothing, in another way its description', async () => {
    const client = await swarm('twice');
    const first = await client.request<SwarmView>('swarm', 'get');
    expect(
      await client.request('swarm', 'register', { capabilities: ['x', 'x'], cost_per_hour: 2, model: 'm' }),
    ).toEqual(first);
    expect(await client.request('swarm', 'register', { capabilities: ['y'], cost_per_hour: 2 })).toMatchObject({
      capabilities: ['y'],
      model: null,
      n: first.n + 1,
    });
  });

  it('that is alive says so without a record', async () => {
    const client = await swarm('alive');
    const { n } = await client.request<SwarmView>('swarm', 'get');
    expect(await client.request('swarm', 'heartbeat')).toMatchObject({ liveness: 'online', n });
    expect(await refusal((await fabric.client('unknown')).request('swarm', 'heartbeat'))).toBe('SWARM_NOT_FOUND');
  });

  it('has a mailbox from its registration or invitation on', async () => {
    await swarm('boxed');
    await operator.request('swarm', 'invite', { swarm_id: 'invited' });
    const jsm = await jetstreamManager(operator.connection, { checkAPI: false });
    for (const id of ['boxed', 'invited'])
      expect((await jsm.consumers.info('IF_inbox', `inbox-${id}`)).config.filter_subject).toBe(`if.inbox.${id}.>`);
  });

  it('may be invited with grants and a budget before it comes, by operators only', async () => {
    expect(await refusal(alpha.request('swarm', 'invite', { swarm_id: 'later', grants: ['a'] }))).toBe('UNAUTHORIZED');
    await operator.request('swarm', 'invite', { swarm_id: 'later', grants: ['system.process.execute'], budget_usd: 2 });
    await operator.request('swarm', 'invite', { swarm_id: 'later', grants: ['b'] });
    const later = await swarm('later');
    expect(await later.request('swarm', 'get')).toMatchObject({
      registration: 'registered',
      grants: ['system.process.execute', 'b'],
      budget: { allocated_usd: 2 },
    });
    expect(await operator.request('swarm', 'revoke', { swarm_id: 'later' })).toMatchObject({ grants: [] });
    expect(await operator.request('swarm', 'revoke', { swarm_id: 'never' })).toBeNull();
  });

  it('cannot declare a privilege that was not granted', async () => {
    const client = await fabric.client('pretender');
    const pretending = client.request('swarm', 'register', {
      capabilities: ['system.process.execute'],
      cost_per_hour: 0,
    });
    expect(await refusal(pretending)).toBe('CAPABILITY_MISSING');
  });

  it('that leaves gives its tasks back, attempts included, and may come again', async () => {
    const client = await swarm('leaving');
    const ids = [await created(), await created({ cost_estimate: 0 }), await created()];
    const tokens = await Promise.all(ids.map(async (id) => (await claim(client, id)).token));
    await ask(client, 'complete', { task_id: ids[2], token: tokens[2] });
    expect(await client.request('swarm', 'unregister')).toMatchObject({ registration: 'retired', liveness: 'offline' });
    for (const id of ids.slice(0, 2))
      expect(await get(id)).toMatchObject({ state: 'available', owner: null, attempt: 0 });
    expect((await get(ids[2]!)).state).toBe('completed');
    expect(await refusal(ask(client, 'complete', { task_id: ids[0], token: tokens[0] }))).toBe('STALE_TOKEN');
    expect(await client.request('swarm', 'unregister')).toMatchObject({ registration: 'retired' });
    expect(await refusal(claim(client, ids[0]!))).toBe('SWARM_NOT_FOUND');
    await client.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    expect((await claim(client, ids[0]!)).claimed).toBe(true);
  });

  it('is listed with the others, in order', async () => {
    const { swarms } = await operator.request<{ swarms: SwarmView[] }>('swarm', 'list', { limit: 1_000 });
    const ids = swarms.map(({ swarm_id }) => swarm_id);
    expect(ids).toEqual(ids.toSorted());
    expect(ids).toEqual(expect.arrayContaining(['alpha', 'beta']));
  });

  it('is not what an operator is', async () => {
    expect(await refusal(operator.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 }))).toBe(
      'UNAUTHORIZED',
    );
  });
});
