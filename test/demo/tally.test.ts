import { describe, expect, it } from 'vitest';
import { latencyOf, Tally } from '../../src/demo/tally.ts';

describe('the tally of claims', () => {
  it('gives percentiles by nearest rank, to a hundredth of a millisecond', () => {
    const ms = Array.from({ length: 200 }, (_, i) => 200 - i + 0.004);
    expect(latencyOf(ms)).toEqual({ count: 200, p50_ms: 100, p99_ms: 198, max_ms: 200 });
    expect(latencyOf([1.236])).toEqual({ count: 1, p50_ms: 1.24, p99_ms: 1.24, max_ms: 1.24 });
  });

  it('gives no percentiles of nothing', () => {
    expect(latencyOf([])).toEqual({ count: 0, p50_ms: null, p99_ms: null, max_ms: null });
  });

  it('counts won and lost claims apart, times both, and adds workers up', () => {
    const [one, other] = [new Tally(), new Tally()];
    one.add({ type: 'claimed', task_id: 'a', token: 1, ms: 2 });
    one.add({ type: 'race_lost', task_id: 'b', owner: 'other', ms: 4 });
    one.add({ type: 'completed', task_id: 'a', ms: 100 });
    other.add({ type: 'claimed', task_id: 'b', token: 1, ms: 6 });
    expect(one.result()).toMatchObject({ claims: 1, races_lost: 1, latency: { count: 2, p50_ms: 2, max_ms: 4 } });
    expect(Tally.total([one, other])).toMatchObject({
      claims: 2,
      races_lost: 1,
      latency: { count: 3, p50_ms: 4, max_ms: 6 },
    });
  });
});
