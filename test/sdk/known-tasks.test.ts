import { describe, expect, it } from 'vitest';
import { KnownTasks } from '../../src/sdk/known-tasks.ts';
import type { TaskEvent } from '../../src/sdk/task-events.ts';

const task = (task_id: string, priority = 0, task_type = 'a') => ({ task_id, task_type, priority });
const event = (task_id: string, state: string): TaskEvent => ({
  ...task(task_id),
  state,
  event: 'X',
  owner: null,
  revision: 1,
});

function takeAll(known: KnownTasks): string[] {
  const taken: string[] = [];
  for (let next = known.take(); next !== undefined; next = known.take()) taken.push(next);
  return taken;
}

describe('the tasks a worker knows', () => {
  it('gives those of higher priority first, each once', () => {
    const known = new KnownTasks(undefined, 10);
    for (const one of [task('low', 1), task('high', 3), task('middle', 2)]) known.add(one);
    expect(takeAll(known)).toEqual(['high', 'middle', 'low']);
  });

  it('chooses at random among those of the same priority', () => {
    const draws = [0.99, 0, 0.5];
    const known = new KnownTasks(undefined, 10, () => draws.shift() ?? 0);
    for (const id of ['one', 'two', 'three']) known.add(task(id));
    expect(takeAll(known)).toEqual(['three', 'one', 'two']);
  });

  it('forgets a task that an event shows in another state, and learns of one that became available', () => {
    const known = new KnownTasks(undefined, 10);
    known.add(task('taken'));
    expect(known.apply(event('taken', 'claimed'))).toBe(false);
    expect(known.apply(event('new', 'available'))).toBe(true);
    expect(takeAll(known)).toEqual(['new']);
  });

  it('passes over tasks of other types', () => {
    const known = new KnownTasks(['b'], 10);
    expect(known.add(task('other'))).toBe(false);
    expect(known.add(task('mine', 0, 'b'))).toBe(true);
    expect(takeAll(known)).toEqual(['mine']);
  });

  it('holds no more tasks than its limit', () => {
    const known = new KnownTasks(undefined, 2);
    expect(['one', 'two', 'three'].map((id) => known.add(task(id)))).toEqual([true, true, false]);
    expect(known.add(task('one', 5))).toBe(true);
    expect(known.size).toBe(2);
  });
});
