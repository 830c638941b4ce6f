import { describe, expect, it } from 'vitest';
import { whyWaiting } from '../../src/cli/waiting-reasons.ts';

describe('why a task waits', () => {
  it('is what it depends on; of many, two are named', () => {
    expect(whyWaiting({ state: 'waiting', open_dependencies: ['a'] })).toBe('waits for a');
    expect(whyWaiting({ state: 'waiting', open_dependencies: ['a', 'b', 'c', 'd', 'e'] })).toBe('waits for a, b (+3)');
  });

  it('is its time, beside that', () => {
    const due_at = Date.UTC(2026, 0, 2, 3, 4, 5);
    expect(whyWaiting({ state: 'waiting', open_dependencies: [], due_at })).toBe('not before 2026-01-02 03:04:05Z');
    expect(whyWaiting({ state: 'waiting', open_dependencies: ['a'], due_at })).toBe(
      'waits for a; not before 2026-01-02 03:04:05Z',
    );
  });

  it('is a dependency that failed, where the task waits nevertheless', () => {
    const open_dependencies = ['a', 'b'];
    expect(whyWaiting({ state: 'waiting', open_dependencies, failed_dependencies: ['b'] })).toBe(
      'waits for a; b did not succeed',
    );
    expect(whyWaiting({ state: 'waiting', open_dependencies: ['b'], failed_dependencies: ['b'] })).toBe(
      'b did not succeed',
    );
  });

  it('is its blocker, or its key', () => {
    expect(whyWaiting({ state: 'blocked', blocker_id: 'b-1' })).toBe('blocked by b-1');
    expect(whyWaiting({ state: 'available', concurrency_key: 'deploy', concurrency_limit: 2 })).toBe(
      'at most 2 of key deploy at a time',
    );
  });

  it('is not said of one that only waits for a swarm, is worked on, or has ended', () => {
    expect(whyWaiting({ state: 'available' })).toBeUndefined();
    expect(whyWaiting({ state: 'waiting' })).toBeUndefined();
    expect(whyWaiting({ state: 'in_progress', concurrency_key: 'deploy' })).toBeUndefined();
    expect(whyWaiting({ state: 'failed', open_dependencies: ['a'] })).toBeUndefined();
  });
});
