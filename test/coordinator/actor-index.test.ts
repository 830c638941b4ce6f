import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ActorIndex } from '../../actors/coordinator/actor-index.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';

function stored(id: string, revision: number, state = 'available', context: Partial<TaskContext> = {}): StoredRecord {
  const status = state === 'completed' ? 'done' : 'active';
  const snapshot = {
    status,
    value: state,
    context: { owner: null, due_at: null, open_dependencies: [], ...context },
  } as const;
  return {
    revision,
    record: {
      v: 1,
      kind: 'task',
      id,
      n: 1,
      event: { id: 'e', type: 'CREATE' },
      at: revision,
      by: 'a',
      trace_id: 't',
      snapshot,
    },
  };
}

const everyone = () => true;

describe('the index of actors', () => {
  it('lists what is there, in order and once, whatever came and went before', () => {
    const change = fc.record({
      id: fc.constantFrom(...'abcdefghij'),
      what: fc.constantFrom('put', 'put', 'remove', 'list'),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
        const index = new ActorIndex();
        const there = new Set<string>();
        for (const [i, { id, what }] of changes.entries()) {
          if (what === 'put') there.add(id);
          if (what === 'remove') there.delete(id);
          if (what === 'put') index.apply(stored(id, i + 1));
          if (what === 'remove') index.remove(id);
          if (what === 'list') expect(index.select(everyone, { limit: 100 })).toEqual([...there].sort());
        }
        expect(index.select(everyone, { limit: 100 })).toEqual([...there].sort());
        expect(index.select(everyone, { after: 'c', limit: 2 })).toEqual(
          [...there]
            .sort()
            .filter((id) => id > 'c')
            .slice(0, 2),
        );
        expect(index.size).toBe(there.size);
      }),
    );
  });

  it('keeps the latest of what it is told, in whatever order', () => {
    const index = new ActorIndex();
    index.apply(stored('a', 7, 'completed'));
    index.apply(stored('a', 5, 'available'));
    expect(index.get('a')).toMatchObject({ state: 'completed', revision: 7, ended_at: 7 });
    index.forgetTerminal(8);
    expect(index.select(everyone, { limit: 10 })).toEqual([]);
  });

  it('knows who owns what, and forgets it with the ownership', () => {
    const index = new ActorIndex();
    index.apply(stored('a', 1, 'claimed', { owner: 'alpha' }));
    index.apply(stored('b', 2, 'blocked', { owner: 'alpha' }));
    index.apply(stored('c', 3, 'in_progress', { owner: 'beta' }));
    expect(index.ownedBy('alpha')).toEqual(['a', 'b']);
    index.apply(stored('a', 4, 'completed', { owner: 'alpha' }));
    index.apply(stored('b', 5, 'available'));
    expect(index.owners()).toEqual(['beta']);
    expect(index.ownedBy('alpha')).toEqual([]);
  });

  it('knows whose time has come, and of those not who waits for something else', () => {
    const index = new ActorIndex();
    index.apply(stored('a', 1, 'waiting', { due_at: 100 }));
    index.apply(stored('b', 2, 'waiting', { due_at: 100, open_dependencies: ['a'] }));
    index.apply(stored('c', 3, 'waiting', { due_at: 200 }));
    expect(index.due(100, 10)).toEqual(['a']);
    index.apply(stored('a', 4, 'available'));
    expect(index.due(300, 10)).toEqual(['c']);
  });
});
