/** Work as agents see it, over the bus: dependencies, the next task, leases, shared keys, blockers, pushes. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TaskView } from '../../actors/coordinator/tasks/task-view.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { until } from '../support/temp.ts';
import { startFabric, type TestFabric } from './in-process.ts';

let fabric: TestFabric;
let operator: FabricClient;
let alpha: FabricClient;
let beta: FabricClient;
let made = 0;

beforeAll(async () => {
  fabric = await startFabric();
  await fabric.coordinator();
  operator = await fabric.client('operator');
});
// Failures in a row open a swarm's circuit, so each test has swarms of its own.
beforeEach(async () => {
  [alpha, beta] = await Promise.all([fabric.client(fresh('alpha')), fabric.client(fresh('beta'))]);
  for (const swarm of [alpha, beta]) await swarm.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
});
afterAll(async () => {
  await fabric?.stop();
});

const fresh = (name: string) => `${name}-${++made}`;

async function create(task_id: string, fields: Record<string, unknown> = {}): Promise<TaskView> {
  return await operator.request<TaskView>('task', 'create', { task_id, task_type: 'work', ...fields });
}

async function claim(swarm: FabricClient, task_id: string) {
  return await swarm.request<{
    claimed: boolean;
    token: number;
    reason?: string;
    concurrency_key?: string;
    dependency_results?: Record<string, unknown>;
  }>('task', 'claim', { task_id });
}

async function finish(swarm: FabricClient, task_id: string, result: unknown = null): Promise<void> {
  const { token } = await claim(swarm, task_id);
  await swarm.request('task', 'complete', { task_id, token, result });
}

async function stateOf(task_id: string): Promise<string> {
  return (await operator.request<TaskView>('task', 'get', { task_id })).state;
}

describe('a task with dependencies', () => {
  it('is available with the completion of the last of them, and its owner gets their results', async () => {
    const [a, b, c] = [fresh('a'), fresh('b'), fresh('c')];
    await create(a);
    await create(b);
    expect(await create(c, { depends_on: [a, b] })).toMatchObject({ state: 'waiting', open_dependencies: [a, b] });
    await finish(alpha, a, { answer: 1 });
    expect(await stateOf(c)).toBe('waiting');
    await finish(beta, b, [2]);
    expect(await stateOf(c)).toBe('available');
    expect(await claim(alpha, c)).toMatchObject({
      claimed: true,
      dependency_results: { [a]: { answer: 1 }, [b]: [2] },
    });
  });

  it('is available from the start when they are completed already', async () => {
    const [a, b] = [fresh('a'), fresh('b')];
    await create(a);
    await finish(alpha, a);
    expect(await create(b, { depends_on: [a] })).toMatchObject({ state: 'available' });
  });

  it('fails with them, and so do those behind it, unless it is told to wait', async () => {
    const [a, b, c, patient] = [fresh('a'), fresh('b'), fresh('c'), fresh('patient')];
    await create(a);
    await create(b, { depends_on: [a] });
    await create(c, { depends_on: [b] });
    await create(patient, { depends_on: [a], on_dependency_failure: 'wait' });
    const { token } = await claim(alpha, a);
    await alpha.request('task', 'fail', { task_id: a, token, error: { message: 'no disk' }, retryable: false });
    await until('the failure has gone through', async () => (await stateOf(c)) === 'failed');
    const failed = await operator.request<TaskView>('task', 'get', { task_id: b });
    expect(failed).toMatchObject({ state: 'failed', failure_reason: 'dependency_failed' });
    expect(String(failed.error)).toContain('no disk');
    expect(await operator.request('task', 'get', { task_id: patient })).toMatchObject({
      state: 'waiting',
      failed_dependencies: [a],
    });
  });

  it('is refused when it depends on itself or on nothing that exists', async () => {
    const a = fresh('a');
    await expect(create(a, { depends_on: [a] })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    await expect(create(a, { depends_on: ['nowhere'] })).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
    await expect(stateOf(a)).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
  });

  it('is unlocked with a thousand others in one commit, and beyond that soon after', async () => {
    const root = fresh('root');
    await create(root);
    const ids = Array.from({ length: 1_200 }, (_, i) => `${root}-${i}`);
    for (let from = 0; from < ids.length; from += 100)
      await Promise.all(ids.slice(from, from + 100).map(async (id) => await create(id, { depends_on: [root] })));
    await finish(alpha, root);
    const waiting = async () => {
      const { tasks } = await operator.request<{ tasks: TaskView[] }>('task', 'list', {
        state: 'waiting',
        limit: 1_000,
      });
      return tasks.filter(({ task_id }) => task_id.startsWith(`${root}-`)).length;
    };
    expect(await waiting()).toBeLessThanOrEqual(200);
    await until('all are available', async () => (await waiting()) === 0);
    for (let from = 0; from < ids.length; from += 100)
      await Promise.all(
        ids.slice(from, from + 100).map(async (task_id) => await operator.request('task', 'cancel', { task_id })),
      );
  });
});

describe('the next task', () => {
  it('is the one of the highest priority, then the oldest, and of the wanted types', async () => {
    const type = fresh('type');
    const [low, high, later] = [fresh('low'), fresh('high'), fresh('later')];
    await create(low, { task_type: type });
    await create(high, { task_type: type, priority: 5 });
    await create(later, { task_type: type });
    const next = async () => {
      const answer = await alpha.request<{ task: TaskView | null; token?: number }>('task', 'next', {
        task_types: [type],
      });
      return answer.task?.task_id ?? null;
    };
    expect([await next(), await next(), await next(), await next()]).toEqual([high, low, later, null]);
  });

  it('wakes who waits for it', async () => {
    const type = fresh('type');
    const parked = beta.request<{ task: TaskView; token: number }>('task', 'next', {
      task_types: [type],
      wait_ms: 20_000,
    });
    await until('beta waits', async () => {
      const { swarms } = await operator.request<{ swarms: unknown[] }>('swarm', 'list', {});
      return swarms.length > 0;
    });
    const id = fresh('woken');
    await create(id, { task_type: type });
    const { task, token } = await parked;
    expect(task).toMatchObject({ task_id: id, owner: beta.callerId, state: 'claimed' });
    await beta.request('task', 'complete', { task_id: id, token });
  });

  it('is asked for once, however long the answer takes', async () => {
    const type = fresh('type');
    const name = fresh('patient');
    const patient = await fabric.client(name, { attemptTimeoutMs: 100 });
    await patient.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    const parked = patient.request<{ task: TaskView }>('task', 'next', { task_types: [type], wait_ms: 10_000 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const ids = [fresh('once'), fresh('once')];
    for (const id of ids) await create(id, { task_type: type });
    expect((await parked).task.task_id).toBe(ids[0]);
    // Whoever else was waiting for this swarm would have been first.
    const other = await alpha.request<{ task: TaskView }>('task', 'next', { task_types: [type], wait_ms: 1_000 });
    expect(other.task.task_id).toBe(ids[1]);
  });

  it('is none when the time is over', async () => {
    expect(await alpha.request('task', 'next', { task_types: ['nobody'], wait_ms: 50 })).toEqual({ task: null });
  });
});

describe('a lease', () => {
  it('is renewed by heartbeats, which the task shows', async () => {
    const id = fresh('lease');
    await create(id, { lease_ms: 1_000 });
    const { token } = await claim(alpha, id);
    const { lease_expires_at: first } = await operator.request<TaskView>('task', 'get', { task_id: id });
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const renewed = await alpha.request<TaskView>('task', 'heartbeat', { task_id: id, token });
      expect(renewed.lease_expires_at).toBeGreaterThan(first!);
      expect(await operator.request('task', 'get', { task_id: id })).toMatchObject({
        state: 'claimed',
        lease_expires_at: renewed.lease_expires_at,
      });
    }
  });

  it('that runs out returns the task to others, and its token counts no more', async () => {
    const id = fresh('lease');
    await create(id, { lease_ms: 1_000, max_attempts: 2 });
    const { token } = await claim(alpha, id);
    await until('the lease is over', async () => (await stateOf(id)) === 'available');
    const second = await claim(beta, id);
    expect(second.token).toBeGreaterThan(token);
    for (const op of ['start', 'heartbeat', 'release', 'complete'])
      await expect(alpha.request('task', op, { task_id: id, token })).rejects.toMatchObject({ code: 'STALE_TOKEN' });
    await until('the last attempt is over', async () => (await stateOf(id)) === 'failed');
    expect(await operator.request('task', 'get', { task_id: id })).toMatchObject({
      attempt: 2,
      failure_reason: 'lease_expired',
    });
  });
});

describe('a shared key', () => {
  it('lets only so many of its tasks be owned at a time', async () => {
    const key = fresh('key');
    const ids = [fresh('k'), fresh('k'), fresh('k')];
    for (const id of ids) await create(id, { concurrency_key: key, concurrency_limit: 2 });
    const answers = await Promise.all(ids.map(async (id, i) => await claim(i % 2 ? alpha : beta, id)));
    expect(answers.filter(({ claimed }) => claimed)).toHaveLength(2);
    const refused = answers.findIndex(({ claimed }) => !claimed);
    expect(answers[refused]).toMatchObject({ reason: 'CAPACITY_EXCEEDED', concurrency_key: key });
    const held = answers.findIndex(({ claimed }) => claimed);
    const holder = held % 2 ? alpha : beta;
    await holder.request('task', 'complete', { task_id: ids[held], token: answers[held]!.token });
    expect(await claim(alpha, ids[refused]!)).toMatchObject({ claimed: true });
  });

  it('of singletons lets only one be open', async () => {
    const key = fresh('key');
    const [first, second] = [fresh('s'), fresh('s')];
    await create(first, { singleton_key: key });
    await expect(create(second, { singleton_key: key })).rejects.toMatchObject({
      code: 'TASK_EXISTS',
      message: expect.stringContaining(first),
    });
    expect(await create(first, { singleton_key: key })).toMatchObject({ task_id: first });
    await operator.request('task', 'cancel', { task_id: first });
    expect(await create(second, { singleton_key: key })).toMatchObject({ state: 'available' });
  });
});

describe('a blocker', () => {
  it('suspends the lease and keeps the claim until it is resolved', async () => {
    const id = fresh('blocked');
    await create(id, { lease_ms: 1_000 });
    const { token } = await claim(alpha, id);
    const report = { task_id: id, type: 'access', description: 'no key', severity: 'high', required_capabilities: [] };
    const { blocker_id, helpers } = await alpha.request<{ blocker_id: string; helpers: string[] }>(
      'blocker',
      'report',
      report,
    );
    // Nobody can be asked who has nothing that is needed, so a person is.
    expect(helpers).toEqual([]);
    expect(await operator.request('blocker', 'list', { state: 'escalated' })).toMatchObject({
      blockers: [{ blocker_id, task_id: id }],
    });
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(await operator.request('task', 'get', { task_id: id })).toMatchObject({
      state: 'blocked',
      owner: alpha.callerId,
      blocker_id,
    });
    await operator.request('blocker', 'resolve', { blocker_id, resolution: 'here it is' });
    expect(await operator.request('task', 'get', { task_id: id })).toMatchObject({ state: 'claimed' });
    await alpha.request('task', 'complete', { task_id: id, token });
  });
});

describe('a push', () => {
  it('reaches a live subscriber with the task', async () => {
    const id = fresh('pushed');
    const messages: unknown[] = [];
    beta.connection.subscribe(`if.inbox.${beta.callerId}.>`, {
      callback: (_, message) => void messages.push(message.json()),
    });
    await beta.connection.flush();
    const answer = await alpha.request<{ delivered_to: string; seq: number }>('task', 'push', {
      to: beta.callerId,
      task: { task_id: id, task_type: 'work' },
    });
    expect(answer).toMatchObject({ delivered_to: beta.callerId, seq: expect.any(Number) });
    await until('it has arrived', () => messages.length > 0);
    expect(messages[0]).toMatchObject({ type: 'task', from: alpha.callerId, task: { task_id: id } });
    await expect(alpha.request('task', 'push', { to: 'nobody', task_id: id })).rejects.toMatchObject({
      code: 'SWARM_NOT_FOUND',
    });
  });
});
