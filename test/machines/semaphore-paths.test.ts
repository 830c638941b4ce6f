import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { getShortestPaths } from 'xstate/graph';
import type { Snapshot } from '../../machines/record.ts';
import { type SemaphoreContext, semaphoreStates } from '../../machines/semaphore/context.ts';
import type { AcquirePlace, SemaphoreEvent } from '../../machines/semaphore/events.ts';
import { semaphoreMachine } from '../../machines/semaphore/machine.ts';
import { semaphoreRules } from '../../machines/semaphore/rules.ts';
import { meetings } from './agreement.ts';
import { decisions, fold, isPlainJson } from './fold.ts';

const t0 = 1_700_000_000_000;

const acquire = (holder: string, fields: Partial<AcquirePlace> = {}): AcquirePlace => ({
  type: 'ACQUIRE',
  at: t0,
  holder,
  token: 1,
  limit: 2,
  ...fields,
});
const release = (holder: string, at = t0 + 10) => ({ type: 'RELEASE', at, holder }) as const;
const having = (...events: SemaphoreEvent[]) => fold(semaphoreMachine, events);
const refused = (snapshot: Snapshot<SemaphoreContext>, event: SemaphoreEvent) =>
  semaphoreMachine.explain(snapshot, event);
const holdersOf = ({ context }: Snapshot<SemaphoreContext>) => context.holders.map(({ task_id }) => task_id);

/** Everything that four tasks with limits of their own can do to one key. */
const tasks = ['t1', 't2', 't3', '__proto__'];
const events: SemaphoreEvent[] = [
  ...tasks.flatMap((id) => [acquire(id), acquire(id, { token: null, limit: 1 }), release(id)]),
  acquire('t1', { token: 2 }),
  acquire('t1', { limit: 3 }),
  acquire('t1', { limit: 0 }),
  acquire('t1', { limit: 1.5 }),
  acquire('t1', { token: 0 }),
  acquire('a..b'),
];

/** What tells states apart here: everything but times and order. */
function identity({ value, context }: Snapshot<SemaphoreContext>): unknown {
  return [value, context.holders.map(({ task_id, token }) => `${task_id} ${token}`).sort()];
}

const met = meetings(semaphoreMachine, events, identity);

describe('the state chart of a semaphore', () => {
  it('agrees with its explanations in every state that can be reached, for every event', () => {
    expect(met.length).toBeGreaterThan(500);
    expect(met.filter(({ taken, refusal }) => taken !== (refusal === undefined)).slice(0, 3)).toEqual([]);
  });

  it('is stepped from records as XState steps it', () => {
    const differing = met.filter(({ next, expected }) => JSON.stringify(next) !== JSON.stringify(expected));
    expect(differing.slice(0, 3)).toEqual([]);
  });

  it('reaches every state and every refusal', () => {
    expect(new Set(met.map(({ snapshot }) => snapshot.value))).toEqual(new Set(semaphoreStates));
    expect(new Set(met.flatMap(({ refusal }) => refusal?.code ?? []))).toEqual(
      new Set(['INVALID_REQUEST', 'CAPACITY_EXCEEDED', 'CONFLICT']),
    );
  });

  it('meets every event both accepted and refused', () => {
    for (const type of Object.keys(semaphoreRules)) {
      const outcomes = new Set(met.filter(({ event }) => event.type === type).map(({ taken }) => taken));
      expect([type, outcomes]).toEqual([type, new Set([true, false])]);
    }
  });

  it('handles in each state exactly the events that the rules allow there', () => {
    for (const state of semaphoreStates) {
      const handled = Object.keys(semaphoreMachine.logic.states[state]?.config.on ?? {});
      const allowed = Object.entries(semaphoreRules).flatMap(([type, rules]) =>
        (rules.states as readonly string[]).includes(state) ? type : [],
      );
      expect([state, handled.sort()]).toEqual([state, allowed.sort()]);
    }
  });

  it('is held exactly while someone holds a place, never ends, and keeps its context plain', () => {
    const wrong = met.filter(
      ({ next }) =>
        (next.value === 'held') !== next.context.holders.length > 0 || next.status !== 'active' || !isPlainJson(next),
    );
    expect(wrong.slice(0, 3)).toEqual([]);
  });

  it('is free on the shortest path by one that comes and goes', () => {
    const paths = getShortestPaths(semaphoreMachine.logic, {
      events,
      serializeState: (state) => JSON.stringify(identity(state as unknown as Snapshot<SemaphoreContext>)),
      toState: (state) => state.value === 'free',
    });
    const shortest = paths.reduce((a, b) => (b.steps.length < a.steps.length ? b : a));
    const types = shortest.steps.map(({ event }) => event.type).filter((type) => type !== 'xstate.init');
    expect(types).toEqual(['ACQUIRE', 'RELEASE']);
  });

  it('refuses a type that it does not know', () => {
    for (const type of ['NONSENSE', '*', 'toString'])
      expect(refused(semaphoreMachine.absent, { type, at: 0 } as unknown as SemaphoreEvent)?.code).toBe(
        'INVALID_REQUEST',
      );
  });
});

describe('a semaphore', () => {
  it('says who holds the places when there is none left, and the limit is that of the one who asks', () => {
    const two = having(acquire('t1'), acquire('t2'));
    expect(refused(two, acquire('t3'))).toMatchObject({
      code: 'CAPACITY_EXCEEDED',
      details: { holders: 2, limit: 2, held_by: ['t1', 't2'] },
    });
    expect(refused(two, acquire('t3', { limit: 3 }))).toBeUndefined();
    expect(refused(having(acquire('t1')), acquire('t2', { limit: 1 }))?.code).toBe('CAPACITY_EXCEEDED');
  });

  it('names a few holders only, however many there are', () => {
    const many = having(...Array.from({ length: 50 }, (_, i) => acquire(`t${i}`, { limit: 50 })));
    const refusal = refused(many, acquire('one-more', { limit: 50 }));
    expect(refusal?.message).toBe(
      '50 of 50 places of this key are taken, by t0, t1, t2, t3, t4 and 45 more; try again when one of them has ended',
    );
    expect(refusal?.details?.['held_by']).toHaveLength(5);
  });

  it('gives a place back once, and to nobody else', () => {
    const held = having(acquire('t1'), acquire('t2'));
    expect(refused(held, release('t3'))?.code).toBe('CONFLICT');
    const one = fold(semaphoreMachine, [release('t1')], held);
    expect([one.value, holdersOf(one)]).toEqual(['held', ['t2']]);
    expect(refused(one, release('t1'))?.code).toBe('CONFLICT');
    const none = fold(semaphoreMachine, [release('t2')], one);
    expect([none.value, holdersOf(none)]).toEqual(['free', []]);
    expect(refused(none, release('t2'))?.code).toBe('CONFLICT');
    expect(fold(semaphoreMachine, [acquire('t3', { at: t0 + 20 })], none)).toMatchObject({
      value: 'held',
      context: { created_at: t0, updated_at: t0 + 20 },
    });
  });

  it('keeps the one place of a task under a later ownership, not under the same or an earlier one', () => {
    const held = having(acquire('t1', { token: 5, limit: 1 }));
    expect(refused(held, acquire('t1', { token: 5, limit: 1 }))?.code).toBe('CONFLICT');
    expect(refused(held, acquire('t1', { token: 4, limit: 1 }))?.code).toBe('CONFLICT');
    const later = fold(semaphoreMachine, [acquire('t1', { token: 6, limit: 1 })], held);
    expect(later.context.holders).toEqual([{ task_id: 't1', token: 6 }]);
  });
});

const holder = fc.constantFrom('t1', 't2', 't3', 't4', '__proto__', 'constructor');
const anyEvent: fc.Arbitrary<SemaphoreEvent> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(holder, fc.constantFrom(null, 1, 2, 3), fc.integer({ min: 1, max: 4 }))
      .map(([id, token, limit]) => acquire(id, { token, limit })),
  },
  { weight: 2, arbitrary: holder.map((id) => release(id)) },
);
const life = fc.array(anyEvent, { maxLength: 60 }).map((them) => decisions(semaphoreMachine, them));

describe('whatever happens to a semaphore, in whatever order', () => {
  it('no one comes beyond its own limit, and no one holds two places', () => {
    fc.assert(
      fc.property(life, (steps) => {
        for (const { after, event, refusal } of steps) {
          const holders = holdersOf(after);
          expect(new Set(holders).size).toBe(holders.length);
          if (event.type === 'ACQUIRE' && !refusal) expect(holders.length).toBeLessThanOrEqual(event.limit);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('who holds a place is who came and did not go', () => {
    fc.assert(
      fc.property(life, (steps) => {
        const holding = new Set<string>();
        for (const { after, event, refusal } of steps) {
          if (!refusal && event.type === 'ACQUIRE') holding.add(event.holder);
          if (!refusal && event.type === 'RELEASE') holding.delete(event.holder);
          expect(new Set(holdersOf(after))).toEqual(holding);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('the accepted events alone, read back from JSON, lead to the same snapshot', () => {
    fc.assert(
      fc.property(life, (steps) => {
        const accepted = steps.filter(({ refusal }) => !refusal).map(({ event }) => event);
        const read = JSON.parse(JSON.stringify(accepted)) as SemaphoreEvent[];
        const last = steps.at(-1)?.after ?? semaphoreMachine.absent;
        expect(JSON.stringify(fold(semaphoreMachine, read))).toBe(JSON.stringify(last));
      }),
      { numRuns: 300 },
    );
  });
});
