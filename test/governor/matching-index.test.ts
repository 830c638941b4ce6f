/** The index of swarms: what a search of it gives is what judging every swarm gives, whatever became of the swarms. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { candidateOf } from '../../actors/swarm-index/known-swarm.ts';
import { SwarmIndex } from '../../actors/swarm-index/swarm-index.ts';
import { noBudget } from '../../machines/budget.ts';
import { rankSwarms } from '../../machines/governance/rank-swarms.ts';
import { swarmRecord } from '../coordinator/next-parts.ts';

const now = 1_800_000_000_000;
const day = 86_400_000;
const options = { min_capability_match: 0.7, now, half_life_ms: 30 * day };
const names = ['a', 'b', 'c', 'd', 'e'];

function filled(...records: Parameters<typeof swarmRecord>[]): SwarmIndex {
  const index = new SwarmIndex();
  for (const record of records) index.apply(swarmRecord(...record));
  return index;
}

const description = fc.record({
  id: fc.constantFrom('s0', 's1', 's2', 's3', 's4', 's5', 's6', 's7'),
  state: fc.record({
    registration: fc.constantFrom('registered' as const, 'registered' as const, 'retired' as const),
    liveness: fc.constantFrom('online' as const, 'online' as const, 'offline' as const),
    circuit: fc.constantFrom('closed' as const, 'closed' as const, 'open' as const),
  }),
  context: fc.record({
    capabilities: fc.subarray(names),
    grants: fc.subarray(names, { maxLength: 1 }),
    cost_per_hour: fc.constantFrom(0, 0.5, 1, 2),
    reputation: fc.constantFrom(0, 0.2, 0.5, 0.75, 1),
    reputation_at: fc.constantFrom(null, now - 90 * day, now - day, now + day),
    max_concurrent_tasks: fc.constantFrom(null, 1),
    reservations: fc.constantFrom({}, { 'task:t': { token: 1, amount_usd: 0 } }),
    budget: fc
      .record({ allocated_usd: fc.constantFrom(0, 2, 5), spent_usd: fc.constantFrom(0, 2) })
      .map((budget) => ({ ...noBudget, ...budget })),
  }),
});

const search = fc.record({
  requires: fc.array(fc.constantFrom(...names, 'unknown'), { maxLength: 6 }),
  max_cost: fc.constantFrom(undefined, null, 0, 1),
  cost_estimate: fc.constantFrom(undefined, 1, 3),
  exclude: fc.subarray(['s0', 's1']),
  free_slot: fc.boolean(),
});

describe('a search of the index', () => {
  it('gives what judging every swarm gives, and the first of it where it is limited', () => {
    const least = fc.constantFrom(0, 0.5, 0.7, 1);
    fc.assert(
      fc.property(
        fc.array(description, { maxLength: 40 }),
        search,
        least,
        fc.integer({ min: 1, max: 4 }),
        (all, wish, min_capability_match, limit) => {
          const index = filled(
            ...all.map(({ id, context, state }, i) => [id, i + 1, context, state] as Parameters<typeof swarmRecord>),
          );
          const request = { ...wish, unrestricted: true };
          const rules = { ...options, min_capability_match };
          const swarms = index.ids({ limit: 100 }).map((id) => candidateOf(index.get(id)!, rules));
          const expected = rankSwarms(swarms, request, rules);
          expect(index.match(request, rules)).toEqual(expected);
          expect(index.match(request, { ...rules, limit })).toEqual(expected.slice(0, limit));
          expect(index.match(request, rules), 'a search leaves nothing behind').toEqual(expected);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('refuses a request that requires nothing, and one with an amount that is none', () => {
    const index = filled(['a', 1]);
    const refused = expect.objectContaining({ code: 'INVALID_REQUEST' });
    expect(() => index.match({ requires: [] }, options)).toThrow(refused);
    expect(() => index.match({ requires: ['a'], max_cost: -1 }, options)).toThrow(refused);
    expect(index.match({ requires: [], unrestricted: true }, options)).toHaveLength(1);
  });

  it('sees a swarm as its last record says, in whatever order the records come', () => {
    const index = filled(['a', 2, { capabilities: ['x'] }], ['a', 1, { capabilities: ['y'] }]);
    const found = (name: string) => index.match({ requires: [name] }, options).map(({ swarm_id }) => swarm_id);
    expect([found('x'), found('y')]).toEqual([['a'], []]);
    index.apply(swarmRecord('a', 3, { capabilities: ['x'] }, { liveness: 'offline' }));
    expect(found('x')).toEqual([]);
    index.apply(swarmRecord('a', 4, { capabilities: ['y'], grants: ['system.process.execute'] }));
    expect([found('x'), found('y'), found('system.process.execute')]).toEqual([[], ['a'], ['a']]);
  });

  it('counts a capability once that is both declared and granted', () => {
    const index = filled(['a', 1, { capabilities: ['x', 'x'], grants: ['x'] }]);
    expect(index.match({ requires: ['x', 'y', 'z'] }, { ...options, min_capability_match: 0.5 })).toEqual([]);
  });

  it('weighs a reputation as it is by now', () => {
    const index = filled(
      ['fresh', 1, { cost_per_hour: 1, reputation: 0.8, reputation_at: now }],
      ['stale', 2, { cost_per_hour: 1, reputation: 0.9, reputation_at: now - 60 * day }],
    );
    const reputations = index
      .match({ requires: [], unrestricted: true }, options)
      .map((f) => [f.swarm_id, f.reputation]);
    expect(reputations).toEqual([
      ['fresh', 0.8],
      ['stale', 0.6],
    ]);
  });

  it('leaves out who has spent what this hour allows, until the hour is over', () => {
    const began_at = now - (now % 3_600_000);
    const hour = { limit_usd: 1, began_at, spent_usd: 1 };
    const index = filled(['a', 1, { budget: { ...noBudget, allocated_usd: 9, spent_usd: 1, hour } }]);
    const matchAt = (at: number) => index.match({ requires: [], unrestricted: true }, { ...options, now: at });
    expect(matchAt(began_at + 3_599_999)).toEqual([]);
    expect(matchAt(began_at + 3_600_000)).toMatchObject([{ swarm_id: 'a', remaining_usd: 1 }]);
  });
});
