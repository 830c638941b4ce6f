/** The request `governor.match`: what it admits, what it answers, and that it knows what was committed before it. */
import { beforeEach, describe, expect, it } from 'vitest';
import { matchRequest } from '../../actors/governor/match.ts';
import { PolicyKnown } from '../../actors/policy-known.ts';
import { SwarmIndex } from '../../actors/swarm-index/swarm-index.ts';
import { defaultPolicy } from '../../machines/policy/values.ts';
import type { Operation } from '../../src/bus/operation.ts';
import { SimulatedClock } from '../../src/clock.ts';
import { swarmRecord } from '../coordinator/next-parts.ts';

let swarms: SwarmIndex;
/** Committed, and seen by nobody yet. */
let unseen: Parameters<typeof swarmRecord>[];
let match: Operation;

function matching(policy: Partial<typeof defaultPolicy> = {}): Operation {
  return matchRequest({
    swarms,
    policy: new PolicyKnown({ ...defaultPolicy, ...policy }),
    clock: new SimulatedClock(),
    catchUp: async () => {
      for (const record of unseen.splice(0)) swarms.apply(swarmRecord(...record));
    },
  });
}

beforeEach(() => {
  swarms = new SwarmIndex();
  unseen = [
    ['b', 1, { capabilities: ['x', 'y'], cost_per_hour: 2 }],
    ['a', 2, { capabilities: ['x'], cost_per_hour: 1 }],
    ['free', 3, { capabilities: ['x'] }],
  ];
  match = matching();
});

async function ids(operation: Operation, body: Record<string, unknown>, caller = 'operator') {
  const list = (await operation.run(caller, body)) as { swarm_id: string }[];
  return list.map(({ swarm_id }) => swarm_id);
}

describe('governor.match', () => {
  it('answers the ranked list itself, of what was committed before it, to operators and swarms', async () => {
    expect(await ids(match, { requires: ['x'] })).toEqual(['free', 'a', 'b']);
    expect(await ids(match, { requires: ['y'] }, 'a')).toEqual(['b']);
    expect(await match.run('operator', { requires: ['y', 'y'] })).toEqual([
      {
        swarm_id: 'b',
        match_score: 1,
        combined_score: 0.25,
        reputation: 0.5,
        cost_per_hour: 2,
        matched: ['y'],
        missing: [],
        remaining_usd: 0,
        free_slots: null,
      },
    ]);
    expect(await ids(match, { requires: ['unheard-of'] })).toEqual([]);
  });

  it('holds to max_cost, the estimate and the limit', async () => {
    expect(await ids(match, { requires: ['x'], max_cost: 1 })).toEqual(['free', 'a']);
    expect(await ids(match, { requires: ['x'], max_cost: null })).toHaveLength(3);
    expect(await ids(match, { requires: ['x'], limit: 1 })).toEqual(['free']);
    expect(await ids(match, { requires: ['x'], cost_estimate: 1 }), 'nobody has a budget').toEqual([]);
  });

  it('follows the policy', async () => {
    expect(await ids(match, { requires: ['x', 'y'] })).toEqual(['b']);
    expect(await ids(matching({ min_capability_match: 0.5 }), { requires: ['x', 'y'] })).toEqual(['free', 'a', 'b']);
    expect(await ids(matching({ max_cost_per_hour: 1 }), { requires: ['x'] })).toEqual(['free', 'a']);
  });

  it.each([
    {},
    { requires: [] },
    { requires: 'x' },
    { requires: [''] },
    { requires: ['x'], max_cost: -1 },
    { requires: ['x'], max_cost: 0.0000001 },
    { requires: ['x'], limit: 0 },
    { requires: ['x'], limit: 1_001 },
    { requires: ['x'], capabilities: ['y'] },
  ])('refuses %j', async (body) => {
    await expect(match.run('operator', body)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  it('lists only as many as fit a message, where names are many and long', async () => {
    const long = Array.from({ length: 256 }, (_, i) => `${i}-`.padEnd(128, 'é'));
    unseen = Array.from({ length: 200 }, (_, i) => [`s${i}`, i + 1, { capabilities: long }]);
    const list = (await match.run('operator', { requires: long, limit: 1_000 })) as unknown[];
    expect(list.length).toBeGreaterThan(10);
    expect(Buffer.byteLength(JSON.stringify(list))).toBeLessThan(5 * 1024 * 1024);
  });
});
