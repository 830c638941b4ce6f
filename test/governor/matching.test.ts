/** The decision table of matching: who qualifies, and by which rule one does not. */
import { describe, expect, it } from 'vitest';
import { type Candidate, judge, type MatchRequest } from '../../machines/governance/matching.ts';
import { candidate, capabilities } from './candidates.ts';

const rules = { min_capability_match: 0.7 };

/** Undefined when the swarm qualifies, else the rule and the code. */
function excludedBy(facts: Partial<Candidate>, request: Partial<MatchRequest> = {}, policy: typeof rules = rules) {
  const judgement = judge(candidate(facts), { requires: capabilities, ...request }, policy);
  return judgement.qualifies ? undefined : [judgement.rule, judgement.code];
}

function reasonOf(facts: Partial<Candidate>, request: Partial<MatchRequest> = {}): string | undefined {
  const judgement = judge(candidate(facts), { requires: capabilities, ...request }, rules);
  return judgement.qualifies ? undefined : judgement.reason;
}

describe('the swarm itself', () => {
  it('qualifies when it is registered, online, closed, able, cheap enough and not out of money', () => {
    expect(excludedBy({})).toBeUndefined();
  });

  it.each(['absent', 'invited', 'retired'] as const)('does not while it is %s', (registration) => {
    expect(excludedBy({ registration })).toEqual(['registered', 'SWARM_NOT_FOUND']);
  });

  it('does not while it is offline', () => {
    expect(excludedBy({ liveness: 'offline' })).toEqual(['online', 'SWARM_OFFLINE']);
  });

  it('does not with an open circuit, however good it is', () => {
    const facts = { circuit: 'open' as const, circuit_reasons: ['failures'], reputation: 1, cost_per_hour: 0 };
    expect(excludedBy(facts)).toEqual(['circuit_closed', 'CIRCUIT_OPEN']);
    expect(reasonOf(facts)).toContain('failures');
  });

  it('does not when the request leaves it out, such as the one that is blocked', () => {
    expect(excludedBy({}, { exclude: ['b', 'a'] })).toEqual(['excluded', 'POLICY_VIOLATION']);
    expect(excludedBy({ swarm_id: 'c' }, { exclude: ['b', 'a'] })).toBeUndefined();
  });

  it('qualifies without any reputation', () => {
    expect(excludedBy({ reputation: 0 })).toBeUndefined();
  });
});

describe('its capabilities', () => {
  it('are enough when exactly the least share is there: 7 of 10 for 0.7', () => {
    expect(excludedBy({ capabilities: capabilities.slice(0, 7) })).toBeUndefined();
  });

  it('are too few with one less: 6 of 10 for 0.7', () => {
    expect(excludedBy({ capabilities: capabilities.slice(0, 6) })).toEqual(['capability_match', 'CAPABILITY_MISSING']);
    expect(reasonOf({ capabilities: capabilities.slice(0, 6) })).toContain('lacks testing:c6, testing:c7');
  });

  it.each([1, 2, 3, 7, 9, 10, 100])('are enough at every share that is exactly a number of %i', (required) => {
    const requires = Array.from({ length: required }, (_, i) => `r${i}`);
    for (let there = 1; there <= required; there++) {
      const least = { min_capability_match: Number((there / required).toPrecision(15)) };
      if (least.min_capability_match > there / required) continue;
      expect(excludedBy({ capabilities: requires.slice(0, there) }, { requires }, least)).toBeUndefined();
      expect(excludedBy({ capabilities: requires.slice(0, there - 1) }, { requires }, least)).toBeDefined();
    }
  });

  it('do not count what is not required', () => {
    expect(excludedBy({ capabilities: [...capabilities.slice(0, 6), 'docs:x', 'infra:y'] })).toBeDefined();
  });

  it('lack one that nobody has heard of like any other', () => {
    expect(excludedBy({}, { requires: ['no-such:thing'] })).toEqual(['capability_match', 'CAPABILITY_MISSING']);
    expect(excludedBy({}, { requires: [...capabilities.slice(0, 7), 'no-such:a', 'no-such:b', 'no-such:c'] })).toBe(
      undefined,
    );
  });

  it('are names that match as a whole, and in their own case', () => {
    for (const name of ['testing:c', 'Testing:c0', 'testing:c0 ', 'testing', 'testing:*'])
      expect(excludedBy({}, { requires: [name] })).toBeDefined();
  });

  it('count once, however often they are required or declared', () => {
    const [x, y] = ['x', 'y'];
    expect(excludedBy({ capabilities: [x, x, x] }, { requires: [x, x, x, y] })).toBeDefined();
    const { factors } = judge(candidate({ capabilities: [x, x] }), { requires: [x, y, x, y] }, rules);
    expect(factors).toMatchObject({ match_score: 0.5, matched: [x], missing: [y] });
  });

  it('do not matter where the least share is 0, and must all be there where it is 1', () => {
    expect(excludedBy({ capabilities: [] }, {}, { min_capability_match: 0 })).toBeUndefined();
    expect(excludedBy({ capabilities: capabilities.slice(1) }, {}, { min_capability_match: 1 })).toBeDefined();
    expect(excludedBy({}, {}, { min_capability_match: 1 })).toBeUndefined();
  });
});

describe('its price', () => {
  it('may equal the limit, and not exceed it by the least amount of money', () => {
    expect(excludedBy({ cost_per_hour: 2.5 }, { max_cost: 2.5 })).toBeUndefined();
    expect(excludedBy({ cost_per_hour: 2.500001 }, { max_cost: 2.5 })).toEqual(['cost_per_hour', 'POLICY_VIOLATION']);
  });

  it('of nothing is within every limit, also that of nothing', () => {
    expect(excludedBy({ cost_per_hour: 0 }, { max_cost: 0 })).toBeUndefined();
    expect(excludedBy({ cost_per_hour: 0.000001 }, { max_cost: 0 })).toBeDefined();
  });

  it('has no limit unless there is one', () => {
    expect(excludedBy({ cost_per_hour: 1_000_000 })).toBeUndefined();
    expect(excludedBy({ cost_per_hour: 1_000_000 }, { max_cost: null })).toBeUndefined();
  });

  it('is held to the limit of the policy where the request names none', () => {
    const policy = { ...rules, max_cost_per_hour: 3 };
    expect(excludedBy({ cost_per_hour: 3 }, {}, policy)).toBeUndefined();
    expect(excludedBy({ cost_per_hour: 4 }, {}, policy)).toBeDefined();
    expect(excludedBy({ cost_per_hour: 4 }, { max_cost: null }, policy)).toBeDefined();
    expect(excludedBy({ cost_per_hour: 4 }, { max_cost: 5 }, policy)).toBeUndefined();
    expect(excludedBy({ cost_per_hour: 3 }, { max_cost: 2 }, policy)).toBeDefined();
  });
});

describe('its budget', () => {
  it('is not needed for unpriced work', () => {
    expect(excludedBy({ allocated_usd: 0, remaining_usd: 0 })).toBeUndefined();
  });

  it('is needed for priced work', () => {
    expect(excludedBy({ allocated_usd: 0, remaining_usd: 0 }, { cost_estimate: 0.000001 })).toEqual([
      'budget',
      'BUDGET_EXHAUSTED',
    ]);
  });

  it('excludes also from unpriced work when nothing is left of it', () => {
    expect(excludedBy({ allocated_usd: 5, remaining_usd: 0 })).toEqual(['budget', 'BUDGET_EXHAUSTED']);
  });

  it('is enough when exactly the estimate is left, and not with the least amount less', () => {
    expect(excludedBy({ allocated_usd: 5, remaining_usd: 2 }, { cost_estimate: 2 })).toBeUndefined();
    expect(excludedBy({ allocated_usd: 5, remaining_usd: 1.999999 }, { cost_estimate: 2 })).toBeDefined();
    expect(reasonOf({ allocated_usd: 5, remaining_usd: 1.5 }, { cost_estimate: 2 })).toContain('1.5 of the 5 dollars');
  });
});

describe('its capacity', () => {
  it('is no rule, unless the request asks for a free slot', () => {
    expect(excludedBy({ free_slots: 0 })).toBeUndefined();
    expect(excludedBy({ free_slots: 0 }, { free_slot: true })).toEqual(['free_slot', 'CAPACITY_EXCEEDED']);
    expect(excludedBy({ free_slots: 1 }, { free_slot: true })).toBeUndefined();
    expect(excludedBy({ free_slots: null }, { free_slot: true })).toBeUndefined();
  });
});

describe('the request', () => {
  it('is refused when it requires nothing', () => {
    expect(excludedBy({}, { requires: [] })).toEqual(['request', 'INVALID_REQUEST']);
  });

  it('may require nothing when it says so: any able swarm is a full match', () => {
    const request = { requires: [], unrestricted: true };
    expect(judge(candidate({ capabilities: [] }), request, rules)).toMatchObject({
      qualifies: true,
      factors: { match_score: 1, combined_score: 0.5 },
    });
    expect(excludedBy({ liveness: 'offline' }, request)).toEqual(['online', 'SWARM_OFFLINE']);
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 0.0000001])(
    'is refused with an amount of %d dollars',
    (amount) => {
      expect(excludedBy({}, { max_cost: amount })).toEqual(['request', 'INVALID_REQUEST']);
      expect(excludedBy({}, { cost_estimate: amount })).toEqual(['request', 'INVALID_REQUEST']);
    },
  );
});

describe('where several rules exclude a swarm', () => {
  it('the first one in their order is named', () => {
    const worst: Partial<Candidate> = {
      registration: 'retired',
      liveness: 'offline',
      circuit: 'open',
      capabilities: [],
      cost_per_hour: 9,
      allocated_usd: 1,
      free_slots: 0,
    };
    const better: Partial<Candidate>[] = [
      { registration: 'registered' },
      { liveness: 'online' },
      { circuit: 'closed' },
      { capabilities },
      { cost_per_hour: 1 },
      { remaining_usd: 1 },
      { free_slots: 1 },
    ];
    const request = { max_cost: 1, free_slot: true, exclude: ['z'] };
    const named = [excludedBy({ ...worst, swarm_id: 'z' }, request)?.[0]];
    let facts = worst;
    for (const improvement of [{}, ...better]) {
      facts = { ...facts, ...improvement };
      named.push(excludedBy(facts, request)?.[0]);
    }
    expect(named).toEqual([
      'excluded',
      'registered',
      'online',
      'circuit_closed',
      'capability_match',
      'cost_per_hour',
      'budget',
      'free_slot',
      undefined,
    ]);
  });
});
