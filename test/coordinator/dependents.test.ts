import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Dependents } from '../../actors/coordinator/dependencies/dependents.ts';
import { absentTask, type TaskContext, type TaskState } from '../../machines/task/context.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';

let revision = 0;

function task(id: string, state: TaskState, fields: Partial<TaskContext> = {}, at = ++revision): StoredRecord {
  return {
    revision: at,
    record: {
      v: 1,
      kind: 'task',
      id,
      n: at,
      event: { id: `e${at}`, type: 'X' },
      at,
      by: 'alpha',
      trace_id: 't',
      snapshot: { status: 'active', value: state, context: { ...absentTask, ...fields } },
    },
  };
}

const waiting = (id: string, ...open_dependencies: string[]) => task(id, 'waiting', { open_dependencies });

describe('the index of dependents', () => {
  it('names those who wait for a task: highest priority first, then oldest', () => {
    const index = new Dependents();
    for (const [id, priority, created_at] of [
      ['late', 0, 9],
      ['urgent', 5, 9],
      ['early', 0, 1],
    ] as const)
      index.apply(task(id, 'waiting', { open_dependencies: ['root'], priority, created_at }));
    expect(index.of('root')).toEqual(['urgent', 'early', 'late']);
    expect(index.of('early')).toEqual([]);
    expect([...index.dependencies()]).toEqual(['root']);
  });

  it('forgets a pair when the dependency is open no longer, and all pairs of a task that waits no longer', () => {
    const index = new Dependents();
    index.apply(waiting('x', 'a', 'b', 'c'));
    index.apply(waiting('y', 'a'));
    expect(index.size).toBe(4);
    index.apply(waiting('x', 'a', 'c'));
    expect(index.of('b')).toEqual([]);
    expect(index.isAwaited('b')).toBe(false);
    expect(index.has('a', 'x')).toBe(true);
    expect(index.has('b', 'x')).toBe(false);
    index.apply(task('x', 'cancelled', { open_dependencies: ['a', 'c'] }));
    expect([...index.dependencies()]).toEqual(['a']);
    expect(index.of('a')).toEqual(['y']);
    index.remove('y');
    expect(index.size).toBe(0);
    expect([...index.dependencies()]).toEqual([]);
  });

  it('does not count a dependency whose failure a task has been told of', () => {
    const index = new Dependents();
    index.apply(task('x', 'waiting', { open_dependencies: ['a', 'b'], failed_dependencies: ['a'] }));
    expect(index.of('a')).toEqual([]);
    expect(index.of('b')).toEqual(['x']);
  });

  it('does not count a task that waits for its time alone, nor actors of other kinds', () => {
    const index = new Dependents();
    index.apply(task('x', 'waiting', { due_at: 5 }));
    const { record, ...rest } = waiting('y', 'a');
    index.apply({ ...rest, record: { ...record, kind: 'swarm' } });
    expect(index.size).toBe(0);
  });

  it('is not changed by a record that comes again or late', () => {
    const newest = new Map<string, number>();
    const index = new Dependents((id) => newest.get(id) ?? 0);
    const [first, second, third] = [waiting('x', 'a', 'b'), waiting('x', 'b'), task('x', 'available')];
    const apply = (stored: StoredRecord) => {
      newest.set('x', Math.max(stored.revision, newest.get('x') ?? 0));
      index.apply(stored);
    };
    apply(second);
    apply(first);
    apply(second);
    expect(index.of('a')).toEqual([]);
    expect(index.of('b')).toEqual(['x']);
    apply(third);
    apply(second);
    expect(index.size).toBe(0);
  });

  it('equals, after any records in any order, what the last record of each task says', () => {
    const ids = ['a', 'b', 'c', 'd'];
    const step = fc.record({
      id: fc.constantFrom(...ids),
      state: fc.constantFrom<TaskState>('waiting', 'waiting', 'waiting', 'available', 'failed'),
      open: fc.uniqueArray(fc.constantFrom(...ids)),
      failed: fc.uniqueArray(fc.constantFrom(...ids), { maxLength: 1 }),
    });
    const history = fc.array(step, { maxLength: 40 }).chain((steps) =>
      fc.record({
        steps: fc.constant(steps),
        order: fc.shuffledSubarray([...steps.keys()], { minLength: steps.length }),
      }),
    );
    fc.assert(
      fc.property(history, ({ steps, order }) => {
        const newest = new Map<string, number>();
        const index = new Dependents((id) => newest.get(id) ?? 0);
        const records = steps.map(({ id, state, open, failed }, i) =>
          task(
            id,
            state,
            { open_dependencies: open, failed_dependencies: failed.filter((f) => open.includes(f)) },
            i + 1,
          ),
        );
        for (const i of order) {
          const { record, revision: at } = records[i]!;
          newest.set(record.id, Math.max(at, newest.get(record.id) ?? 0));
          index.apply(records[i]!);
        }
        const last = new Map(records.map(({ record }) => [record.id, record]));
        const pairs = [...last.values()].flatMap(({ id, snapshot }) => {
          const { open_dependencies, failed_dependencies } = snapshot.context as TaskContext;
          if (snapshot.value !== 'waiting') return [];
          return open_dependencies.filter((one) => !failed_dependencies.includes(one)).map((one) => `${one}<-${id}`);
        });
        const found = [...index.dependencies()].flatMap((one) => index.of(one).map((id) => `${one}<-${id}`));
        expect(found.sort()).toEqual(pairs.sort());
        expect(index.size).toBe(pairs.length);
      }),
    );
  });
});
