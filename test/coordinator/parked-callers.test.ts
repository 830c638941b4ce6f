/** Who of those that wait is given a task: fair among swarms, in order of arrival within one, and bounded. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AvailableTasks } from '../../actors/coordinator/next/available-tasks.ts';
import { type Caller, ParkedCallers } from '../../actors/coordinator/next/parked-callers.ts';
import type { TaskProfile } from '../../actors/coordinator/next/task-profile.ts';
import { TypeFilter } from '../../actors/coordinator/next/type-filter.ts';
import { hasWidened } from '../../actors/swarm-index/known-swarm.ts';
import { SwarmIndex } from '../../actors/swarm-index/swarm-index.ts';
import { swarmRecord, taskRecord } from './next-parts.ts';

interface TestCaller extends Caller {
  readonly name: string;
}

const minCapabilityMatch = 0.7;

function setUp(limits: { maxCallers?: number; maxPerSwarm?: number } = {}) {
  const swarms = new SwarmIndex();
  const parked = new ParkedCallers<TestCaller>({
    swarms,
    isReady: ({ able, free_slots }) => able && free_slots > 0,
    affords: ({ remaining_usd }, { cost_estimate }) => cost_estimate <= remaining_usd,
    minCapabilityMatch: () => minCapabilityMatch,
    ...limits,
  });
  let revision = 0;
  let named = 0;
  return {
    swarms,
    parked,
    swarm: (id: string, ...facts: [Parameters<typeof swarmRecord>[2]?, Parameters<typeof swarmRecord>[3]?]) => {
      const change = swarms.apply(swarmRecord(id, ++revision, ...facts));
      parked.changed(id);
      return change;
    },
    park: (swarm_id: string, types?: readonly string[]) => {
      const caller = { swarm_id, types: new TypeFilter(types), name: `${swarm_id}${++named}` };
      parked.admit(caller);
      parked.park(caller);
      return caller;
    },
  };
}

function profile(content: Parameters<typeof taskRecord>[3] = {}): TaskProfile {
  return new AvailableTasks().apply(taskRecord('t', 1, 'available', content))!.profile;
}

describe('the caller that a task is for', () => {
  it('is of the swarm that was served longest ago, and came first within it', () => {
    const { parked, swarm, park } = setUp();
    for (const id of ['a', 'b', 'c']) swarm(id);
    const [a1, a2, a3, b1, c1, c2] = ['a', 'a', 'a', 'b', 'c', 'c'].map((id) => park(id));
    const served: TestCaller[] = [];
    for (let caller = parked.fitting(profile()); caller; caller = parked.fitting(profile())) {
      served.push(caller);
      parked.serve(caller.swarm_id);
      parked.discharge(caller);
    }
    expect(served).toEqual([a1, b1, c1, a2, c2, a3]);
    const [again, other] = [park('a'), park('b')];
    expect(parked.fitting(profile()), 'b was served before a, whoever came first').toBe(other);
    parked.discharge(other);
    expect(parked.fitting(profile())).toBe(again);
  });

  it('does not lose its place, nor its swarm its turn, by a claim that came to nothing', () => {
    const { parked, swarm, park } = setUp();
    swarm('a');
    swarm('b');
    const [a1] = [park('a'), park('a'), park('b')];
    const takeBack = parked.serve('a');
    parked.take(a1!);
    expect(parked.fitting(profile())?.swarm_id).toBe('b');
    takeBack();
    parked.park(a1!);
    expect(parked.fitting(profile())).toBe(a1);
  });

  it('wants the type, and its swarm is ready, has most of the capabilities and the money', () => {
    const { parked, swarm, park } = setUp();
    swarm('off', { capabilities: ['x'] }, { liveness: 'offline' });
    swarm('full', {
      capabilities: ['x'],
      max_concurrent_tasks: 1,
      reservations: { 'task:t': { token: 1, amount_usd: 0 } },
    });
    swarm('lame', { capabilities: ['y'] });
    swarm('poor', { capabilities: ['x'] });
    swarm('picky', {
      capabilities: ['x'],
      budget: { allocated_usd: 5, reserved_usd: 0, spent_usd: 0, overrun_usd: 0, hour: null, day: null },
    });
    swarm('fit', {
      capabilities: ['x'],
      budget: { allocated_usd: 5, reserved_usd: 0, spent_usd: 3, overrun_usd: 0, hour: null, day: null },
    });
    for (const id of ['off', 'full', 'lame', 'poor']) park(id);
    park('picky', ['test']);
    const fit = park('fit', ['build', 'test']);
    const asked = profile({ requires: ['x'], cost_estimate: 2 });
    expect(parked.fitting(asked)).toBe(fit);
    expect(parked.fitting(profile({ requires: ['x'], cost_estimate: 2.5 }))).toBeUndefined();
    swarm('full', { capabilities: ['x'], max_concurrent_tasks: 1 });
    expect(parked.fitting(profile({ requires: ['x'] }))?.swarm_id).toBe('full');
  });
});

describe('the bounds of waiting', () => {
  it('refuse a caller beyond the limit of its swarm, or of all, and say so', () => {
    const { parked, swarm, park } = setUp({ maxCallers: 3, maxPerSwarm: 2 });
    for (const id of ['a', 'b']) swarm(id);
    const [first] = [park('a'), park('a')];
    expect(() => park('a')).toThrow(/2 requests of a for a next task are open already/);
    park('b');
    expect(() => park('b')).toThrow(expect.objectContaining({ code: 'RATE_LIMITED' }));
    parked.discharge(first!);
    park('b');
    expect(parked.size).toBe(3);
  });
});

describe('a change of a swarm', () => {
  it('matters when the swarm may have tasks that it could not have before', () => {
    const { swarm } = setUp();
    const money = (spent_usd: number) => ({
      allocated_usd: 5,
      reserved_usd: 0,
      spent_usd,
      overrun_usd: 0,
      hour: null,
      day: null,
    });
    const taken = { 'task:t': { token: 1, amount_usd: 0 } };
    const widened = (...facts: Parameters<typeof swarm>) => hasWidened(swarm(...facts)!);
    expect(widened('a')).toBe(true);
    expect(widened('a', { capabilities: ['x'] })).toBe(true);
    expect(widened('a', { capabilities: ['x'], model: 'm' })).toBe(false);
    expect(widened('a', { capabilities: ['x'], budget: money(1) })).toBe(true);
    expect(widened('a', { capabilities: ['x'], budget: money(2) })).toBe(false);
    expect(widened('a', { max_concurrent_tasks: 1, reservations: taken })).toBe(false);
    expect(widened('a', { max_concurrent_tasks: 2, reservations: taken })).toBe(true);
    expect(widened('a', {}, { circuit: 'open' })).toBe(false);
    expect(widened('a')).toBe(true);
  });
});

describe('whatever happens to those who wait', () => {
  const swarmIds = ['a', 'b', 'c', 'd'];
  const facts = fc.record({
    capabilities: fc.constantFrom<string[][]>([], ['x'], ['x', 'y']),
    spent: fc.constantFrom(0, 2),
    online: fc.boolean(),
  });
  const wanted = fc.record({
    task_type: fc.constantFrom('build', 'test'),
    requires: fc.constantFrom<string[][]>([], ['x'], ['x', 'y']),
    cost_estimate: fc.constantFrom(null, 1, 3),
  });
  const step = fc.oneof(
    fc.record({ what: fc.constant('swarm' as const), id: fc.constantFrom(...swarmIds), facts }),
    fc.record({
      what: fc.constant('park' as const),
      id: fc.constantFrom(...swarmIds),
      types: fc.constantFrom(undefined, ['build'], ['test', 'build']),
    }),
    fc.record({ what: fc.constant('leave' as const), at: fc.nat() }),
    fc.record({ what: fc.constant('serve' as const), wanted }),
  );

  it('a task is for the one that a search through all of them would find', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { parked, swarm, park } = setUp();
        const known = new Map<string, { capabilities: string[]; remaining: number; online: boolean }>();
        const served = new Map<string, number>();
        let waiting: TestCaller[] = [];
        let servings = 0;
        const search = (task: TaskProfile) => {
          const fits = waiting.filter(({ swarm_id, types }) => {
            const swarm = known.get(swarm_id);
            if (!swarm?.online || !types.admits(task.task_type) || swarm.remaining < task.cost_estimate) return false;
            const has = task.requires.filter((name) => swarm.capabilities.includes(name)).length;
            return task.requires.length === 0 || has / task.requires.length >= minCapabilityMatch;
          });
          const order = (caller: TestCaller) => served.get(caller.swarm_id) ?? 0;
          return fits.reduce<TestCaller | undefined>(
            (best, one) => (best && order(best) <= order(one) ? best : one),
            undefined,
          );
        };
        for (const one of steps) {
          if (one.what === 'swarm') {
            const { capabilities, spent, online } = one.facts;
            const budget = {
              allocated_usd: 3,
              reserved_usd: 0,
              spent_usd: spent,
              overrun_usd: 0,
              hour: null,
              day: null,
            };
            swarm(one.id, { capabilities, budget }, { liveness: online ? 'online' : 'offline' });
            known.set(one.id, { capabilities, remaining: 3 - spent, online });
          } else if (one.what === 'park') waiting.push(park(one.id, one.types));
          else if (one.what === 'leave') {
            const caller = waiting[one.at % Math.max(1, waiting.length)];
            if (caller) parked.discharge(caller);
            waiting = waiting.filter((other) => other !== caller);
          } else {
            const task = profile(one.wanted);
            const caller = parked.fitting(task);
            expect(caller?.name).toBe(search(task)?.name);
            if (!caller) continue;
            parked.serve(caller.swarm_id);
            served.set(caller.swarm_id, ++servings);
            parked.discharge(caller);
            waiting = waiting.filter((other) => other !== caller);
          }
          expect(parked.size).toBe(waiting.length);
          for (const id of swarmIds) expect(parked.of(id)).toEqual(waiting.filter(({ swarm_id }) => swarm_id === id));
        }
      }),
      { numRuns: 300 },
    );
  });
});
