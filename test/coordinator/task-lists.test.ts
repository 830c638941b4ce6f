/** Lists of tasks over request/reply, page by page. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskView } from '../../actors/coordinator/tasks/task-view.ts';
import { ask, claim, refusal, startTaskWorld, type TaskWorld } from './task-parts.ts';

let world: TaskWorld;
beforeAll(async () => {
  world = await startTaskWorld();
});
afterAll(async () => await world?.stop());

describe('a list of tasks', () => {
  interface Page {
    readonly tasks: TaskView[];
    readonly cursor: string | null;
  }
  const list = async (body: Record<string, unknown>) => await world.operator.request<Page>('task', 'list', body);
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
    const ids = await Promise.all(
      Array.from({ length: 25 }, async (_, i) => await world.created({}, i % 2 ? world.alpha : world.beta)),
    );
    const listed = await pages({ limit: 7 });
    expect(listed).toEqual(listed.toSorted());
    expect(new Set(listed).size).toBe(listed.length);
    for (const id of ids) expect(listed).toContain(id);
  });

  it('can be of one state or one owner', async () => {
    const lister = await world.fabric.client('lister');
    await lister.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    const [one, two, three] = [await world.created(), await world.created(), await world.created()];
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
    const big = await world.fabric.client('big');
    await big.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    const ids = await Promise.all(
      Array.from({ length: 24 }, async () => await world.created({ metadata: { text: 'x'.repeat(900_000) } }, big)),
    );
    for (const id of ids) await claim(big, id);
    expect((await pages({ owner: 'big', limit: 1_000 })).toSorted()).toEqual(ids.toSorted());
  });
});
