/** What every keeper of timers does, whether on JetStream or on a simulated clock. */
import { expect, it } from 'vitest';
import type { Timer, TimerConsumer, Timers } from '../../src/store/timers.ts';
import { until } from '../support/temp.ts';
import { freshId } from './fixtures.ts';

export interface TimersUnderTest {
  readonly timers: Timers;
  now(): number;
  /** Lets time pass, by the clock that the timers go by. */
  pass(ms: number): Promise<void>;
}

const what = 'task-lease';

export function timersContract(open: () => Promise<TimersUnderTest>): void {
  const consuming = async (timers: Timers): Promise<{ due: Timer[]; consumer: TimerConsumer }> => {
    const due: Timer[] = [];
    return { due, consumer: await timers.consume(async (timer) => void due.push(timer)) };
  };
  const of = (due: readonly Timer[], id: string) => due.filter((timer) => timer.id === id);

  it('tells of the timer that waits: when, with which data, and at which revision', async () => {
    const { timers, now } = await open();
    const id = freshId();
    expect(await timers.get(what, id)).toBeUndefined();
    const at = now() + 60_000;
    const revision = await timers.set({ what, id, at, data: { token: 7, of: ['x'] } });
    expect(await timers.get(what, id)).toEqual({ at, data: { token: 7, of: ['x'] }, revision });
    const later = await timers.set({ what, id, at: at + 5 });
    expect(later).toBeGreaterThan(revision);
    expect(await timers.get(what, id)).toEqual({ at: at + 5, revision: later });
    expect(await timers.get('task-due', id)).toBeUndefined();
  });

  it('hands the data to the handler, and knows no timer any more once it has fired', async () => {
    const { timers, now, pass } = await open();
    const { due, consumer } = await consuming(timers);
    const id = freshId();
    const at = now() + 300;
    await timers.set({ what, id, at, data: { token: 7 } });
    await pass(300);
    await until('the timer was due', () => of(due, id).length > 0);
    expect(of(due, id)).toEqual([{ what, id, at, data: { token: 7 } }]);
    expect(await timers.get(what, id)).toBeUndefined();
    await consumer.stop();
  });

  it('hands each due timer to the consumer of its kind, also one that begins later', async () => {
    const { timers, now, pass } = await open();
    const [kind, other] = [freshId('kind'), freshId('kind')];
    const due: Timer[] = [];
    const consume = async (what: string) =>
      await timers.consume(async (timer) => void due.push(timer), { name: what, kinds: [what] });
    const first = await consume(kind);
    const id = `${freshId()}.2`;
    const at = now();
    await timers.set({ what: other, id, at });
    await timers.set({ what: kind, id, at });
    await pass(1);
    await until('the timer of its kind was due', () => due.length > 0);
    expect(due).toEqual([{ what: kind, id, at }]);
    const second = await consume(other);
    await until('so was the other', () => due.length > 1);
    expect(due[1]).toEqual({ what: other, id, at });
    await first.stop();
    await second.stop();
  });

  it('replaces a timer of the expected revision only', async () => {
    const { timers, now } = await open();
    const id = freshId();
    const at = now() + 60_000;
    const first = await timers.replace({ what, id, at }, 0);
    expect(first).toBeGreaterThan(0);
    expect(await timers.replace({ what, id, at: at + 1 }, 0)).toBeUndefined();
    const second = await timers.replace({ what, id, at: at + 2 }, first!);
    expect(second).toBeGreaterThan(first!);
    expect(await timers.replace({ what, id, at: at + 3 }, first!)).toBeUndefined();
    expect(await timers.get(what, id)).toEqual({ at: at + 2, revision: second });
  });

  it('does not replace a timer that has fired, unless none is expected', async () => {
    const { timers, now, pass } = await open();
    const { due, consumer } = await consuming(timers);
    const id = freshId();
    const revision = await timers.set({ what, id, at: now() });
    await pass(1);
    await until('the timer was due', () => of(due, id).length > 0);
    const at = now() + 60_000;
    expect(await timers.replace({ what, id, at }, revision)).toBeUndefined();
    expect(await timers.get(what, id)).toBeUndefined();
    expect(await timers.replace({ what, id, at }, 0)).toBeGreaterThan(revision);
    expect(await timers.get(what, id)).toMatchObject({ at });
    await consumer.stop();
  });

  it('lets one of many win who replace the same timer at once', async () => {
    const { timers, now } = await open();
    const id = freshId();
    const revision = await timers.set({ what, id, at: now() + 60_000 });
    const later = Array.from({ length: 20 }, (_, i) => now() + 70_000 + i);
    const outcomes = await Promise.all(later.map(async (at) => await timers.replace({ what, id, at }, revision)));
    const won = outcomes.flatMap((outcome, i) => (outcome === undefined ? [] : [{ at: later[i], revision: outcome }]));
    expect(won).toHaveLength(1);
    expect(await timers.get(what, id)).toEqual(won[0]);
  });

  it('takes a timer back, and one set right after that stays', async () => {
    const { timers, now, pass } = await open();
    const { due, consumer } = await consuming(timers);
    const [gone, again, other] = [freshId(), freshId(), freshId()];
    const at = now() + 400;
    await timers.set({ what, id: gone, at });
    await timers.set({ what, id: again, at });
    await timers.set({ what, id: other, at });
    await timers.cancel(what, gone);
    await timers.cancel(what, again);
    expect(await timers.get(what, gone)).toBeUndefined();
    expect(await timers.replace({ what, id: again, at: at + 100 }, 0)).toBeDefined();
    await pass(400);
    await pass(100);
    await until('the others were due', () => of(due, again).length > 0 && of(due, other).length > 0);
    expect(of(due, again)).toEqual([{ what, id: again, at: at + 100 }]);
    expect(of(due, gone)).toEqual([]);
    await consumer.stop();
  });

  it('takes a timer back only at the revision that is named, where one is', async () => {
    const { timers, now } = await open();
    const id = freshId();
    const first = await timers.set({ what, id, at: now() + 60_000 });
    const second = await timers.set({ what, id, at: now() + 60_000 });
    await timers.cancel(what, id, first);
    expect(await timers.get(what, id)).toMatchObject({ revision: second });
    await timers.cancel(what, id, second);
    expect(await timers.get(what, id)).toBeUndefined();
  });
}
