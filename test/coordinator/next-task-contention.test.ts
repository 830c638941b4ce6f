/** How far claims spread out when processes get in each other's way, and that they do not otherwise. */
import { describe, expect, it } from 'vitest';
import { AvailableTasks } from '../../actors/coordinator/next/available-tasks.ts';
import { ClaimContention } from '../../actors/coordinator/next/claim-contention.ts';
import { MemoryRecordLog } from '../../src/store/memory-record-log.ts';
import { nextProcess, taskOf, taskRecord } from './next-parts.ts';

/** The same numbers every time, at least 0 and less than 1. */
function seeded(): () => number {
  let seed = 1;
  return () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
}

describe('the range of first tasks from which one is chosen', () => {
  it('is one without lost claims, widens with them, and narrows with those won, and in time', () => {
    let now = 0;
    const contention = new ClaimContention(() => now);
    for (let i = 0; i < 100; i++) contention.sample('won', 1);
    expect(contention.range).toBe(1);
    for (let i = 0; i < 5; i++) contention.sample('lost', 1);
    expect(contention.range).toBe(32);
    for (let i = 0; i < 200; i++) contention.sample('won', 1);
    expect(contention.range).toBe(1);
    for (let i = 0; i < 100; i++) contention.sample('lost', 1);
    expect(contention.range, 'bounded').toBe(1_024);
    now += 60_000;
    expect(contention.range).toBe(1);
  });
});

describe('a task near another', () => {
  it('has the same priority, and is any of those that come next', () => {
    const tasks = new AvailableTasks();
    for (let i = 0; i < 100; i++) tasks.apply(taskRecord(`t${i}`, i + 1, 'available', { priority: i < 30 ? 2 : 1 }));
    const [first] = [...tasks.candidates(() => true)];
    const random = seeded();
    const near = Array.from({ length: 2_000 }, () => tasks.near(first!, 1_024, random));
    expect(new Set(near.map(({ priority }) => priority))).toEqual(new Set([2]));
    expect(new Set(near).size).toBe(30);
    expect(tasks.near(first!, 1, random)).toBe(first);
    tasks.hold(first!);
    expect(tasks.near(first!, 8, random), 'one that is held has none near it').toBe(first);
  });
});

describe('a process that loses claims', () => {
  it('prefers what it made available itself, and keeps to the order of priorities', async () => {
    const log = new MemoryRecordLog();
    const one = nextProcess(log, { random: seeded() });
    const other = nextProcess(log);
    for (const id of ['alpha', 'beta']) await one.register(id);
    const lost = Array.from({ length: 10 }, (_, i) => ({ task_id: `lost-${i}`, priority: 9 }));
    await one.create(...lost);
    for (const { task_id } of lost) await other.tasks.claim('beta', task_id);
    await other.create(...Array.from({ length: 50 }, (_, i) => ({ task_id: `theirs-${i}`, priority: i % 2 })));
    await one.create(...Array.from({ length: 50 }, (_, i) => ({ task_id: `ours-${i}`, priority: i % 2 })));
    for (let i = 0; i < 50; i++) {
      const stored = await one.store.read({ kind: 'task', id: `theirs-${i}` });
      one.next.apply(stored!, false);
    }
    const got: string[] = [];
    for (let i = 0; i < 20; i++) got.push(taskOf(await one.next.next('alpha')) ?? '');
    expect(one.next.stats()).toMatchObject({ conflicts: 10, claims: 30 });
    expect(
      got.every((id) => Number(id.split('-')[1]) % 2 === 1),
      'the higher priority',
    ).toBe(true);
    expect(got.filter((id) => id.startsWith('ours')).length).toBeGreaterThan(15);
    one.next.stop();
    other.next.stop();
  });
});
