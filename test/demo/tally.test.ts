import { describe, expect, it } from 'vitest';
import { latencyOf, Tally } from '../../src/demo/tally.ts';

describe('the tally of a worker', () => {
  it('gives percentiles by nearest rank, to a hundredth of a millisecond', () => {
    const ms = Array.from({ length: 200 }, (_, i) => 200 - i + 0.004);
    expect(latencyOf(ms)).toEqual({ count: 200, p50_ms: 100, p99_ms: 198, max_ms: 200 });
    expect(latencyOf([1.236])).toEqual({ count: 1, p50_ms: 1.24, p99_ms: 1.24, max_ms: 1.24 });
  });

  it('gives no percentiles of nothing', () => {
    expect(latencyOf([])).toEqual({ count: 0, p50_ms: null, p99_ms: null, max_ms: null });
  });

  it('counts what a worker tells of by its kind', () => {
    const tally = new Tally();
    tally.add({ type: 'claimed', task_id: 'a', token: 1, attempt: 1, recovered: false, waited_ms: 2 });
    tally.add({ type: 'completed', task_id: 'a', ms: 100 });
    tally.add({ type: 'claimed', task_id: 'b', token: 1, attempt: 2, recovered: false, waited_ms: 4 });
    expect([tally.of('claimed'), tally.of('completed'), tally.of('lost')]).toEqual([2, 1, 0]);
  });
});
