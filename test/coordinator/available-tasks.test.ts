/** Available tasks come in the order in which they are to be worked on, whatever the order in which records arrive. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AvailableTasks } from '../../actors/coordinator/next/available-tasks.ts';
import { OrderedHeap } from '../../actors/coordinator/next/ordered-heap.ts';
import type { AvailableTask, TaskProfile } from '../../actors/coordinator/next/task-profile.ts';
import type { TaskState } from '../../machines/task/context.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { taskRecord } from './next-parts.ts';

const everything = () => true;

function ids(tasks: AvailableTasks, qualifies: (profile: TaskProfile) => boolean = everything): string[] {
  return [...tasks.candidates(qualifies)].map(({ task_id }) => task_id);
}

function filled(...records: StoredRecord[]): AvailableTasks {
  const tasks = new AvailableTasks();
  for (const record of records) tasks.apply(record);
  return tasks;
}

describe('the order of available tasks', () => {
  it('is higher priority first, then older, then by id', () => {
    const tasks = filled(
      taskRecord('b', 1, 'available', { priority: 1, created_at: 5 }),
      taskRecord('a', 2, 'available', { priority: 1, created_at: 5 }),
      taskRecord('old', 3, 'available', { priority: 1, created_at: 4 }),
      taskRecord('urgent', 4, 'available', { priority: 9, created_at: 9, task_type: 'other' }),
      taskRecord('never', 5, 'waiting', { priority: 10 }),
    );
    expect(ids(tasks)).toEqual(['urgent', 'old', 'a', 'b']);
  });

  it('holds over the profiles that qualify, and asks of no more than it needs', () => {
    const tasks = filled(
      ...Array.from({ length: 1_000 }, (_, i) =>
        taskRecord(`t${i}`, i + 1, 'available', { task_type: `type-${i}`, created_at: i }),
      ),
    );
    const asked: string[] = [];
    const [first] = tasks.candidates(({ task_type }) => {
      asked.push(task_type);
      return task_type === 'type-3' || task_type === 'type-500';
    });
    expect(first?.task_id).toBe('t3');
    expect(asked).toEqual(['type-0', 'type-1', 'type-2', 'type-3']);
    expect(tasks.profileCount).toBe(1_000);
  });

  it('holds also where most profiles do not qualify', () => {
    const tasks = filled(
      ...Array.from({ length: 500 }, (_, i) =>
        taskRecord(`t${i}`, i + 1, 'available', { task_type: `type-${i % 250}`, created_at: i }),
      ),
    );
    const few = new Set(['type-3', 'type-100', 'type-249']);
    const expected = ['t3', 't100', 't249', 't253', 't350', 't499'];
    expect(ids(tasks, ({ task_type }) => few.has(task_type))).toEqual(expected);
    expect(ids(tasks, () => false)).toEqual([]);
  });

  it('leaves out what is held until it is let go, or changes', () => {
    const tasks = filled(taskRecord('a', 1, 'available'), taskRecord('b', 2, 'available', { created_at: 1 }));
    const [a] = tasks.candidates(everything);
    tasks.hold(a!);
    expect(ids(tasks)).toEqual(['b']);
    expect(tasks.letGo(a!)).toBe(true);
    expect(ids(tasks)).toEqual(['a', 'b']);
    tasks.hold(a!);
    tasks.apply(taskRecord('a', 3, 'claimed'));
    tasks.apply(taskRecord('a', 4, 'available'));
    expect(ids(tasks)).toEqual(['a', 'b']);
    expect(tasks.letGo(a!), 'what was held is not the task that is available now').toBe(false);
  });

  it('forgets profiles that no task has any more', () => {
    const tasks = filled(taskRecord('a', 1, 'available', { concurrency_key: 'k', concurrency_limit: 2 }));
    expect([...tasks.profilesOfKey('k')].map(({ first }) => first?.task_id)).toEqual(['a']);
    tasks.hold([...tasks.candidates(everything)][0]!);
    expect(tasks.profileCount).toBe(1);
    tasks.apply(taskRecord('a', 2, 'claimed'));
    expect([tasks.profileCount, tasks.size, [...tasks.profilesOfKey('k')].length]).toEqual([0, 0, 0]);
  });
});

describe('records in any order', () => {
  const states: TaskState[] = ['waiting', 'available', 'claimed', 'completed'];
  const content = fc.record({
    priority: fc.integer({ min: 0, max: 2 }),
    created_at: fc.integer({ min: 0, max: 3 }),
    task_type: fc.constantFrom('build', 'test'),
    requires: fc.constantFrom<string[][]>([], ['a'], ['b', 'a'], ['a', 'b']),
    concurrency_key: fc.constantFrom(null, 'k'),
    cost_estimate: fc.constantFrom(null, 1),
  });
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ at: fc.nat(), kind: fc.constant('record' as const) }) },
    { weight: 1, arbitrary: fc.record({ at: fc.nat(), kind: fc.constantFrom('hold' as const, 'letGo' as const) }) },
  );

  it('leave what a plain list would hold: the newest record of each task counts', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ id: fc.constantFrom('p', 'q', 'r', 's', 't'), state: fc.constantFrom(...states), content }),
          {
            maxLength: 30,
          },
        ),
        fc.array(step, { maxLength: 80 }),
        (history, steps) => {
          const records = history.map(({ id, state, content }, i) => taskRecord(id, i + 1, state, content));
          const tasks = new AvailableTasks();
          const newest = new Map<string, StoredRecord>();
          const held = new Map<string, AvailableTask>();
          for (const { at, kind } of steps) {
            if (kind === 'record' && records.length > 0) {
              const record = records[at % records.length]!;
              const { id } = record.record;
              tasks.apply(record);
              if ((newest.get(id)?.revision ?? 0) < record.revision) {
                newest.set(id, record);
                held.delete(id);
              }
            } else if (kind === 'hold') {
              const all = [...tasks.candidates(everything)];
              const one = all[at % Math.max(1, all.length)];
              if (one) {
                tasks.hold(one);
                held.set(one.task_id, one);
              }
            } else if (kind === 'letGo') {
              const one = [...held.values()][at % Math.max(1, held.size)];
              if (one) {
                tasks.letGo(one);
                held.delete(one.task_id);
              }
            }
            for (const type of ['build', 'test', undefined]) {
              const expected = naive([...newest.values()], type).filter((id) => !held.has(id));
              expect(ids(tasks, ({ task_type }) => type === undefined || task_type === type)).toEqual(expected);
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

function naive(records: readonly StoredRecord[], type: string | undefined): string[] {
  const tasks = records
    .filter(({ record }) => record.snapshot.value === 'available')
    .map(({ record }) => ({
      id: record.id,
      ...(record.snapshot.context as { priority: number; created_at: number; task_type: string }),
    }))
    .filter(({ task_type }) => type === undefined || task_type === type);
  tasks.sort((a, b) => b.priority - a.priority || a.created_at - b.created_at || (a.id < b.id ? -1 : 1));
  return tasks.map(({ id }) => id);
}

describe('a heap that can be read in order', () => {
  it('is a sorted list, whatever is pushed, removed and moved', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ what: fc.constantFrom('push', 'remove', 'move'), key: fc.nat(20), at: fc.nat() }), {
          maxLength: 100,
        }),
        (steps) => {
          const heap = new OrderedHeap<{ key: number; position: number }>((a, b) => a.key < b.key);
          const list: { key: number; position: number }[] = [];
          for (const { what, key, at } of steps) {
            const item = list[at % Math.max(1, list.length)];
            if (what === 'push' || !item) {
              const pushed = { key, position: -1 };
              heap.push(pushed);
              list.push(pushed);
            } else if (what === 'remove') {
              heap.remove(item);
              list.splice(list.indexOf(item), 1);
              expect(item.position).toBe(-1);
            } else {
              item.key = key;
              heap.moved(item);
            }
            const sorted = list.map((one) => one.key).sort((a, b) => a - b);
            expect([...heap.inOrder()].map((one) => one.key)).toEqual(sorted);
            expect(heap.first?.key).toBe(sorted[0]);
            expect(heap.size).toBe(list.length);
          }
        },
      ),
    );
  });
});
