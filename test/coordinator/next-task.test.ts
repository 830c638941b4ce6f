/** The next task, over real transactions on a log in this process: which task, for whom, when, and when none. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryRecordLog } from '../../src/store/memory-record-log.ts';
import { until } from '../support/temp.ts';
import { type NextProcess, nextProcess, taskOf } from './next-parts.ts';

const long = { wait_ms: 20_000 };

let log: MemoryRecordLog;
let one: NextProcess;
beforeEach(() => {
  log = new MemoryRecordLog();
  one = nextProcess(log);
});
afterEach(() => one.next.stop());

async function next(swarm: string, request = {}): Promise<string | undefined> {
  return taskOf(await one.next.next(swarm, request));
}

/** Resolves when so many callers are parked. */
async function parked(count: number): Promise<void> {
  await until(`${count} callers wait`, () => one.next.stats().parked === count);
}

async function completed(swarm: string, task_id: string): Promise<void> {
  await one.tasks.complete(swarm, task_id, {});
}

describe('a caller that asks', () => {
  it('is given the most urgent task, then the oldest, with the token of its claim', async () => {
    await one.register('alpha');
    await one.create({ task_id: 'first' }, { task_id: 'second' }, { task_id: 'urgent', priority: 5 });
    const answer = await one.next.next('alpha');
    expect(answer).toMatchObject({
      task: { task_id: 'urgent', owner: 'alpha', state: 'claimed' },
      token: expect.any(Number),
    });
    expect(answer).not.toHaveProperty('claimed');
    expect([await next('alpha'), await next('alpha'), await next('alpha')]).toEqual(['first', 'second', undefined]);
  });

  it('is given what its swarm qualifies for: capabilities, type and money', async () => {
    await one.register('alpha', { capabilities: ['code:ts'] });
    await one.create(
      { task_id: 'python', requires: ['code:py'], priority: 9 },
      { task_id: 'priced', cost_estimate: 1, priority: 8 },
      { task_id: 'review', task_type: 'review', priority: 7 },
      { task_id: 'ts', requires: ['code:ts'] },
    );
    expect(await next('alpha', { task_types: ['build'] })).toBe('ts');
    await one.tell('alpha', { type: 'ALLOCATE', budget_usd: 1.5 });
    expect(await next('alpha')).toBe('priced');
    await one.create({ task_id: 'priced-too', cost_estimate: 1, priority: 8 });
    expect(await next('alpha', { task_types: ['build'] })).toBeUndefined();
    expect(await next('alpha', { task_types: [] }), 'no type is wanted').toBeUndefined();
    expect(await next('alpha')).toBe('review');
  });

  it('is told at once that its swarm is not registered', async () => {
    await one.create({ task_id: 'a' });
    await expect(one.next.next('nobody', long)).rejects.toMatchObject({ code: 'SWARM_NOT_FOUND' });
    await one.register('alpha');
    await one.swarms.unregister('alpha');
    await expect(one.next.next('alpha', long)).rejects.toMatchObject({ code: 'SWARM_NOT_FOUND' });
  });

  it('that does not wait is told "none" of what is in the log, not of what was known of it', async () => {
    // The other process' records do not reach this one by themselves.
    const other = nextProcess(log);
    await one.register('alpha', { max_concurrent_tasks: 1 });
    await one.create({ task_id: 'a' }, { task_id: 'b' });
    expect(await next('alpha')).toBe('a');
    await other.tasks.complete('alpha', 'a', {});
    expect(await next('alpha'), 'the slot that the other process freed').toBe('b');
    other.next.stop();
  });
});

describe('a caller that waits', () => {
  it('is woken by the creation of a task that fits, and by no other', async () => {
    await one.register('alpha', { capabilities: ['x'] });
    const waiting = next('alpha', { ...long, task_types: ['build'] });
    await parked(1);
    await one.create({ task_id: 'other-type', task_type: 'review' }, { task_id: 'too-hard', requires: ['y'] });
    expect(one.next.stats()).toMatchObject({ claims: 0, wakeups: 0 });
    await one.create({ task_id: 'fits', requires: ['x'] });
    expect(await waiting).toBe('fits');
    expect(one.next.stats()).toEqual({ claims: 1, conflicts: 0, parked: 0, wakeups: 1 });
  });

  it('is told that there is none when its time is over', async () => {
    await one.register('alpha');
    const startedAt = performance.now();
    expect(await next('alpha', { wait_ms: 50 })).toBeUndefined();
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(49);
    expect(one.next.stats().parked).toBe(0);
  });

  it('is woken by a task that is given back', async () => {
    for (const id of ['alpha', 'beta']) await one.register(id);
    await one.create({ task_id: 'a' });
    const answer = await one.next.next('alpha');
    const waiting = next('beta', long);
    await parked(1);
    await one.tasks.release('alpha', 'a', 'token' in answer ? answer.token : 0);
    expect(await waiting).toBe('a');
  });

  it('is woken when its swarm may have more: a slot, a capability, money, a closed circuit', async () => {
    await one.register('alpha', { max_concurrent_tasks: 1 });
    await one.create({ task_id: 'a' }, { task_id: 'b' });
    expect(await next('alpha')).toBe('a');
    let waiting = next('alpha', long);
    await parked(1);
    await completed('alpha', 'a');
    expect(await waiting).toBe('b');
    await completed('alpha', 'b');

    await one.create({ task_id: 'hard', requires: ['x'] });
    waiting = next('alpha', long);
    await parked(1);
    await one.register('alpha', { capabilities: ['x'] });
    expect(await waiting).toBe('hard');

    await one.create({ task_id: 'priced', cost_estimate: 1 });
    waiting = next('alpha', long);
    await parked(1);
    await one.tell('alpha', { type: 'ALLOCATE', budget_usd: 1 });
    expect(await waiting).toBe('priced');

    await one.tell('alpha', { type: 'PAUSE' });
    await one.create({ task_id: 'paused' });
    waiting = next('alpha', long);
    await parked(1);
    await one.tell('alpha', { type: 'RESUME' });
    expect(await waiting).toBe('paused');
  });

  it('of a key is woken when a place becomes free, and not before', async () => {
    for (const id of ['alpha', 'beta', 'gamma']) await one.register(id);
    const keyed = { concurrency_key: 'repo', concurrency_limit: 2 };
    await one.create(...['a', 'b', 'c', 'd'].map((task_id) => ({ task_id, ...keyed })), { task_id: 'free' });
    expect([await next('alpha'), await next('beta')]).toEqual(['a', 'b']);
    expect(await next('gamma'), 'one without the key').toBe('free');
    const waiting = [next('gamma', long), next('alpha', long)];
    await parked(2);
    const { claims } = one.next.stats();
    await completed('alpha', 'a');
    expect(await Promise.race(waiting)).toBe('c');
    await parked(1);
    await completed('beta', 'b');
    expect((await Promise.all(waiting)).sort()).toEqual(['c', 'd']);
    expect(one.next.stats().claims - claims, 'no claim in vain').toBe(2);
  });

  it('is told when its swarm leaves, and that there is none when the service stops', async () => {
    for (const id of ['alpha', 'beta']) await one.register(id);
    const leaves = one.next.next('alpha', long);
    const stays = next('beta', long);
    await parked(2);
    const refused = expect(leaves).rejects.toMatchObject({ code: 'SWARM_NOT_FOUND' });
    await one.swarms.unregister('alpha');
    await refused;
    one.next.stop();
    expect(await stays).toBeUndefined();
    expect(await next('beta', long), 'whoever comes later does not wait').toBeUndefined();
  });

  it('beyond the limits is refused', async () => {
    one.next.stop();
    one = nextProcess(log, { maxParkedPerSwarm: 2 });
    await one.register('alpha');
    const waiting = [next('alpha', long), next('alpha', long)];
    await expect(one.next.next('alpha', long)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    one.next.stop();
    await Promise.all(waiting);
  });
});

describe('what is known here and is wrong', () => {
  // Nothing that this process commits reaches the one under test by itself.
  const silent = () => nextProcess(log);

  it('costs a claim, and the caller goes on to the next task', async () => {
    const other = silent();
    for (const id of ['alpha', 'beta']) await one.register(id);
    await one.create({ task_id: 'a' }, { task_id: 'b' });
    await other.tasks.claim('beta', 'a');
    expect(await next('alpha')).toBe('b');
    expect(one.next.stats()).toMatchObject({ claims: 2, conflicts: 1 });
  });

  it('about a swarm does not keep a task from others, nor the swarm from its next chance', async () => {
    const other = silent();
    for (const id of ['alpha', 'beta']) await one.register(id);
    const waiting = [next('alpha', long), next('beta', long)];
    await parked(2);
    await other.tell('alpha', { type: 'PAUSE' });
    await one.store.read({ kind: 'swarm', id: 'alpha' });
    await one.create({ task_id: 'a' });
    expect(await waiting[1], 'alpha was tried first, and refused').toBe('a');
    await one.create({ task_id: 'b' });
    await other.tell('alpha', { type: 'RESUME' });
    await one.store.read({ kind: 'swarm', id: 'alpha' });
    expect(await waiting[0], 'though no record of alpha was seen').toBe('b');
  });

  it('about a key makes nobody wait for ever', async () => {
    const other = silent();
    for (const id of ['alpha', 'beta']) await one.register(id);
    const keyed = { concurrency_key: 'k', concurrency_limit: 1 };
    await one.create({ task_id: 'a', ...keyed }, { task_id: 'b', ...keyed }, { task_id: 'c' });
    await other.tasks.claim('beta', 'a');
    expect(await next('alpha'), 'a is lost, b is refused').toBe('c');
    const waiting = next('alpha', long);
    await parked(1);
    await other.tasks.complete('beta', 'a', {});
    expect(await waiting).toBe('b');
  });

  it('about a task that was given back elsewhere is corrected by the next record', async () => {
    const other = nextProcess(log, { onCommit: (stored) => one.next.apply(stored, false) });
    for (const id of ['alpha', 'beta']) await one.register(id);
    const waiting = next('alpha', long);
    await parked(1);
    await other.create({ task_id: 'a' });
    expect(await waiting).toBe('a');
    other.next.stop();
  });
});

describe('many callers', () => {
  it('are served in turn by swarm, however many of them each has', async () => {
    const [many, few] = ['many', 'few'];
    for (const id of [many, few]) await one.register(id);
    const got: string[] = [];
    const ask = async (swarm: string): Promise<void> => {
      if ((await next(swarm, long)) !== undefined) got.push(swarm);
    };
    const waiting = [...Array.from({ length: 20 }, () => many), ...Array.from({ length: 5 }, () => few)].map(ask);
    await parked(25);
    for (let i = 0; i < 10; i++) {
      await one.create({ task_id: `t${i}` });
      await until('it is handed out', () => got.length === i + 1);
    }
    expect(got).toEqual(Array.from({ length: 5 }, () => [many, few]).flat());
    one.next.stop();
    await Promise.all(waiting);
  });

  it('five thousand of them get five thousand tasks, each one, and nobody claims in vain', async () => {
    const swarms = Array.from({ length: 100 }, (_, i) => `swarm-${i}`);
    for (const id of swarms) await one.register(id, { capabilities: ['x'] });
    const waiting = swarms.flatMap((id) =>
      Array.from({ length: 50 }, async () => [id, await next(id, { wait_ms: 110_000 })] as const),
    );
    await parked(5_000);
    await Promise.all(
      Array.from(
        { length: 5_000 },
        async (_, i) => await one.create({ task_id: `t${i}`, requires: ['x'], priority: i % 3 }),
      ),
    );
    const got = await Promise.all(waiting);
    expect(new Set(got.map(([, task]) => task)).size).toBe(5_000);
    for (const id of swarms) expect(got.filter(([swarm, task]) => swarm === id && task !== undefined)).toHaveLength(50);
    expect(one.next.stats()).toEqual({ claims: 5_000, conflicts: 0, parked: 0, wakeups: 5_000 });
  }, 120_000);
});
