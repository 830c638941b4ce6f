import { afterEach, describe, expect, it } from 'vitest';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { until } from '../support/temp.ts';
import { LastingFabric } from './lasting-fabric.ts';

interface Task {
  readonly task_id: string;
  readonly state: string;
  readonly owner: string | null;
  readonly n: number;
  readonly attempt: number;
  readonly lease_expires_at: number | null;
  readonly result: unknown;
}

let lasting: LastingFabric;

async function start(flags: Record<string, unknown> = {}): Promise<void> {
  lasting = await LastingFabric.create({ nodes: 1, ...flags });
  await lasting.up();
}

afterEach(async () => await lasting?.remove());

describe('a fabric that is stopped and started again', () => {
  it('goes on where it was, under a new epoch, and says so', async () => {
    await start();
    const alpha = await lasting.join('alpha');
    await alpha.request('swarm', 'register', { capabilities: ['code:ts'], cost_per_hour: 1 });
    for (const task_id of ['done', 'held', 'open', 'waits'])
      await alpha.request('task', 'create', {
        task_id,
        task_type: 'review',
        ...(task_id === 'waits' ? { depends_on: ['done', 'held'] } : {}),
        metadata: { text: `é\u2028 ${task_id}` },
      });
    const { token } = await alpha.request<{ token: number }>('task', 'claim', { task_id: 'done' });
    await alpha.request('task', 'complete', { task_id: 'done', token, result: { lines: 7 } });
    const held = await alpha.request<{ token: number }>('task', 'claim', { task_id: 'held' });
    await alpha.request('task', 'start', { task_id: 'held', token: held.token });
    const before = await alpha.request<Task>('task', 'get', { task_id: 'held' });
    await lasting.down();

    await lasting.up();
    expect(lasting.told.join('\n')).toMatch(/epoch 2 begins, what .* is restored\nrestored \d+ actors/);
    const again = await lasting.join('alpha');
    const after = await again.request<Task>('task', 'get', { task_id: 'held' });
    expect(after).toMatchObject({ state: 'in_progress', owner: 'alpha', n: before.n + 1, attempt: 1 });
    expect(after.lease_expires_at).toBeGreaterThan(Date.now() + 20_000);
    expect(await again.request<Task>('task', 'get', { task_id: 'done' })).toMatchObject({
      state: 'completed',
      result: { lines: 7 },
    });
    expect(await again.request('task', 'claim', { task_id: 'open' })).toMatchObject({ claimed: true });
    // The token of before the loss counts, and a new one is greater.
    expect(await again.request('task', 'heartbeat', { task_id: 'held', token: held.token })).toMatchObject({
      owner: 'alpha',
    });
    const claimed = await again.request<{ claimed: boolean; token: number }>('task', 'claim', { task_id: 'held' });
    expect(claimed.token).toBeGreaterThan(held.token);
    await again.request('task', 'complete', { task_id: 'held', token: held.token, result: null });
    await until('the dependent is available', async () => {
      return (await again.request<Task>('task', 'get', { task_id: 'waits' })).state === 'available';
    });

    await lasting.down();
    const report = verifyDatabase(lasting.witnessDb);
    expect(report).toMatchObject({ ok: true });
    expect(report.chains.map(({ chain }) => chain)).toEqual(
      expect.arrayContaining(['IF_actors/1', 'IF_actors/2', 'IF_bus/2', 'IF_journal/2']),
    );
    expect(
      lasting.rows(`SELECT 1 FROM entries WHERE chain = 'IF_actors/2' AND event = 'RESTORED' AND actor_id = 'open'`),
    ).toHaveLength(1);
  });

  it('begins empty where it is told to, says so, and leaves the past where it is afterwards', async () => {
    await start();
    const alpha = await lasting.join('alpha');
    await alpha.request('swarm', 'register', { capabilities: [], cost_per_hour: 1 });
    await alpha.request('task', 'create', { task_id: 'old', task_type: 'review' });
    await lasting.down();
    await lasting.up({ restore: 'never' });
    expect(lasting.told.join('\n')).toMatch(/epoch 2 begins empty, since --restore never was given/);
    const operator = await lasting.join('operator');
    await expect(operator.request('task', 'get', { task_id: 'old' })).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
    await operator.request('task', 'create', { task_id: 'new', task_type: 'review' });
    await lasting.down();
    await lasting.up();
    const third = await lasting.join('operator');
    expect(await third.request('task', 'get', { task_id: 'new' })).toMatchObject({ state: 'available' });
    await expect(third.request('task', 'get', { task_id: 'old' })).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
  });
});
