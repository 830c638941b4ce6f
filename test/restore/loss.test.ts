import { afterEach, describe, expect, it } from 'vitest';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { until } from '../support/temp.ts';
import { LastingFabric } from './lasting-fabric.ts';

let lasting: LastingFabric;

afterEach(async () => await lasting?.remove());

interface Task {
  readonly state: string;
  readonly owner: string | null;
  readonly attempt: number;
}

describe.each([1, 3] as const)('a running fabric of %i nodes that all end at once', (nodes) => {
  it('comes back by itself with what the witness holds, and owners go on', async () => {
    lasting = await LastingFabric.create({ nodes });
    await lasting.up();
    const alpha = await lasting.join('alpha');
    await alpha.request('swarm', 'register', { capabilities: [], cost_per_hour: 1 });
    for (const task_id of ['held', 'open']) await alpha.request('task', 'create', { task_id, task_type: 'review' });
    await alpha.request('task', 'create', { task_id: 'gone', task_type: 'review', lease_ms: 2_000 });
    await alpha.request('task', 'create', { task_id: 'later', task_type: 'review', not_before: Date.now() + 4_000 });
    const held = await alpha.request<{ token: number }>('task', 'claim', { task_id: 'held' });
    const gone = await alpha.request<{ token: number }>('task', 'claim', { task_id: 'gone' });
    await until(
      'the witness has it',
      () => lasting.rows(`SELECT 1 FROM entries WHERE event = 'CLAIM' AND actor_id = 'gone'`).length === 1,
    );
    const begun = performance.now();
    lasting.killNodes();
    const state = async (task_id: string) =>
      await alpha.request<Task>('task', 'get', { task_id }, { timeoutMs: 3_000 }).catch(() => undefined);
    await until('the fabric answers again', async () => (await state('held')) !== undefined, 60_000);
    console.log(
      `${nodes} nodes: answers ${Math.round(performance.now() - begun)} ms after the loss\n${lasting.told.join('\n')}`,
    );
    expect(lasting.told.join('\n')).toMatch(/lost its memory.*epoch 2 begins.*restored \d+ actors/s);
    expect(await state('open')).toMatchObject({ state: 'available' });
    // The owner did not notice anything.
    await alpha.request('task', 'complete', { task_id: 'held', token: held.token, result: 1 });
    await until(
      'the lease that nobody renews is over',
      async () => (await state('gone'))?.state === 'available',
      15_000,
    );
    expect((await state('gone'))?.attempt).toBe(1);
    await expect(
      alpha.request('task', 'complete', { task_id: 'gone', token: gone.token, result: 1 }),
    ).rejects.toMatchObject({ code: 'STALE_TOKEN' });
    const again = await alpha.request<{ token: number }>('task', 'claim', { task_id: 'gone' });
    expect(again.token).toBeGreaterThan(gone.token);
    await until('what waited for its time is due', async () => (await state('later'))?.state === 'available', 15_000);
    expect(lasting.escalations).toEqual([]);
    await lasting.down();
    expect(verifyDatabase(lasting.witnessDb)).toMatchObject({ ok: true });
  });
});
