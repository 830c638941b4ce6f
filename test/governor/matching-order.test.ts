/** The order of those that qualify: the same for the same swarms, with every factor of the choice. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Candidate, MatchRequest } from '../../machines/governance/matching.ts';
import { rankSwarms } from '../../machines/governance/rank-swarms.ts';
import { rankSwarms as library } from '../../src/index.ts';
import { candidate, capabilities } from './candidates.ts';

const rules = { min_capability_match: 0.7 };

function ranked(swarms: Partial<Candidate>[], request: Partial<MatchRequest> = {}) {
  return rankSwarms(swarms.map(candidate), { requires: capabilities, ...request }, rules);
}

function order(swarms: Partial<Candidate>[], request: Partial<MatchRequest> = {}): string[] {
  return ranked(swarms, request).map(({ swarm_id }) => swarm_id);
}

describe('the best swarm', () => {
  it('has the highest match x reputation / cost_per_hour', () => {
    const swarms = [
      { swarm_id: 'dear', reputation: 0.9, cost_per_hour: 3 },
      { swarm_id: 'partial', capabilities: capabilities.slice(0, 8), reputation: 0.5, cost_per_hour: 1 },
      { swarm_id: 'trusted', reputation: 0.6, cost_per_hour: 1 },
    ];
    expect(ranked(swarms).map(({ swarm_id, combined_score }) => [swarm_id, combined_score])).toEqual([
      ['trusted', 0.6],
      ['partial', 0.4],
      ['dear', 0.3],
    ]);
  });

  it('is a free one before every priced one, however little it is trusted', () => {
    const swarms = [
      { swarm_id: 'cheap', reputation: 1, cost_per_hour: 0.000001 },
      { swarm_id: 'free', reputation: 0, cost_per_hour: 0, capabilities: capabilities.slice(0, 7) },
    ];
    expect(order(swarms)).toEqual(['free', 'cheap']);
    expect(ranked(swarms)[0]?.combined_score).toBeNull();
  });

  it('is, among free ones, the one with the highest match x reputation', () => {
    const free = { cost_per_hour: 0 };
    const swarms = [
      { ...free, swarm_id: 'a', reputation: 0.7 },
      { ...free, swarm_id: 'b', reputation: 0.9, capabilities: capabilities.slice(0, 7) },
      { ...free, swarm_id: 'c', reputation: 0.8, capabilities: capabilities.slice(0, 9) },
    ];
    expect(order(swarms)).toEqual(['c', 'a', 'b']);
  });

  it('is, of equals, the one whose id comes first, also where the factors differ and the scores do not', () => {
    expect(order(['c', 'a', 'b'].map((swarm_id) => ({ swarm_id })))).toEqual(['a', 'b', 'c']);
    // Multiplied and divided as doubles, not all of these are the same number.
    const requires = capabilities;
    const equal = [
      { swarm_id: 'b', capabilities: capabilities.slice(0, 9), reputation: 0.8, cost_per_hour: 0.3 },
      { swarm_id: 'a', capabilities: capabilities.slice(0, 8), reputation: 0.9, cost_per_hour: 0.3 },
      { swarm_id: 'c', reputation: 0.72, cost_per_hour: 0.3 },
      { swarm_id: 'd', reputation: 0.24, cost_per_hour: 0.1 },
    ];
    expect(order(equal, { requires })).toEqual(['a', 'b', 'c', 'd']);
    expect(new Set(ranked(equal).map(({ combined_score }) => combined_score)).size).toBe(1);
  });

  it('is last without any reputation, and still in the list', () => {
    expect(
      order([
        { swarm_id: 'a', reputation: 0 },
        { swarm_id: 'b', reputation: 0.000001, cost_per_hour: 1_000 },
      ]),
    ).toEqual(['b', 'a']);
  });

  it('is nobody when nobody qualifies, or the request is refused', () => {
    expect(order([{ liveness: 'offline' }])).toEqual([]);
    expect(order([{}], { requires: [] })).toEqual([]);
    expect(order([])).toEqual([]);
  });

  it('is nobody for a program that asks for nothing: it is told so', () => {
    const refused = expect.objectContaining({ code: 'INVALID_REQUEST', details: { field: 'requires' } });
    expect(() => library([candidate()], { requires: [] }, rules)).toThrow(refused);
    expect(library([candidate()], { requires: capabilities }, rules)).toHaveLength(1);
  });
});

describe('the list', () => {
  it('shows every factor', () => {
    const facts = { cost_per_hour: 0.5, allocated_usd: 9, remaining_usd: 4.5, free_slots: 2 };
    expect(ranked([{ ...facts, capabilities: capabilities.slice(0, 7) }])).toEqual([
      {
        swarm_id: 'a',
        match_score: 0.7,
        combined_score: 0.7,
        reputation: 0.5,
        cost_per_hour: 0.5,
        matched: capabilities.slice(0, 7),
        missing: capabilities.slice(7),
        remaining_usd: 4.5,
        free_slots: 2,
      },
    ]);
  });

  it('is the same in whatever order the swarms come, and its scores never rise', () => {
    const facts = fc.record({
      reputation: fc.integer({ min: 0, max: 20 }).map((twentieths) => twentieths / 20),
      cost_per_hour: fc.constantFrom(0, 0.1, 0.25, 1, 3),
      capabilities: fc.subarray(capabilities, { minLength: 6 }),
      liveness: fc.constantFrom('online' as const, 'online' as const, 'offline' as const),
    });
    const swarms = fc
      .array(facts, { maxLength: 20 })
      .map((all) => all.map((one, i) => ({ ...one, swarm_id: `s${i}` })));
    const withShuffled = swarms.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
    );
    fc.assert(
      fc.property(withShuffled, ([all, shuffled]) => {
        const list = ranked(all);
        expect(ranked(shuffled)).toEqual(list);
        const scores = list.map(({ combined_score }) => combined_score ?? Number.POSITIVE_INFINITY);
        expect(scores).toEqual([...scores].sort((a, b) => b - a));
      }),
    );
  });
});
