import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.ts';
import { MemoryRecordLog } from '../../src/store/memory-record-log.ts';
import { MemoryTimers } from '../../src/store/memory-timers.ts';
import type { Timer } from '../../src/store/timers.ts';
import { storeContract } from './contract.ts';

describe('the actor store over a log in memory', () => {
  storeContract(async () => {
    const log = new MemoryRecordLog();
    return { one: log, other: log };
  });
});

describe('timers on a simulated clock', () => {
  const open = async () => {
    const clock = new SimulatedClock();
    const timers = new MemoryTimers(clock);
    const due: Array<Timer & { now: number }> = [];
    const consumer = await timers.consume(async (timer) => void due.push({ ...timer, now: clock.now() }));
    return { clock, timers, due, consumer, start: clock.now() };
  };

  it('are delivered at their time, in order, and never early', async () => {
    const { clock, timers, due, start } = await open();
    await timers.set({ what: 'task-due', id: 'later', at: start + 200 });
    await timers.set({ what: 'task-due', id: 'sooner', at: start + 100 });
    await clock.advance(99);
    expect(due).toEqual([]);
    await clock.advance(500);
    expect(due.map(({ id, at, now }) => [id, now - at])).toEqual([
      ['sooner', 0],
      ['later', 0],
    ]);
  });

  it('replace the one of the same kind and actor that was set before', async () => {
    const { clock, timers, due, start } = await open();
    await timers.set({ what: 'task-due', id: 'a', at: start + 100 });
    await timers.set({ what: 'lease', id: 'a', at: start + 150 });
    await timers.set({ what: 'task-due', id: 'a', at: start + 300 });
    await clock.advance(1_000);
    expect(due.map(({ what, at }) => [what, at - start])).toEqual([
      ['lease', 150],
      ['task-due', 300],
    ]);
  });

  it('wait for a consumer that is away', async () => {
    const { clock, timers, due, consumer, start } = await open();
    await consumer.stop();
    await timers.set({ what: 'task-due', id: 'a', at: start - 5 });
    await clock.advance(10);
    expect(due).toEqual([]);
    const late: string[] = [];
    await timers.consume(async ({ id }) => void late.push(id));
    expect(late).toEqual(['a']);
  });
});
