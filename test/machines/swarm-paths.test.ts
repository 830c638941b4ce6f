import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addUsd, fromMicros, isUsd } from '../../machines/money.ts';
import { type Snapshot, stateName } from '../../machines/record.ts';
import type { SwarmContext, SwarmState } from '../../machines/swarm/context.ts';
import type { SwarmEvent } from '../../machines/swarm/events.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { swarmRules } from '../../machines/swarm/rules.ts';
import { meetings } from './agreement.ts';
import { decisions, fold, isPlainJson } from './fold.ts';
import {
  allocate,
  charge,
  failure,
  grant,
  invite,
  pause,
  plain,
  register,
  reserve,
  reset,
  revoke,
  settle,
  success,
  trip,
  unreserve,
} from './swarm-events.ts';

const bare: SwarmEvent[] = [
  ...(['ONLINE', 'OFFLINE', 'RESUME', 'UNREGISTER'] as const).map((type) => plain(type)),
  pause(),
];

const events: SwarmEvent[] = [
  invite(['x.y'], 2),
  register({ max_concurrent_tasks: 1 }),
  register({ capabilities: ['x.y'], max_concurrent_tasks: 1 }),
  register({ cost_per_hour: -1 }),
  grant('x.y'),
  revoke('x.y'),
  allocate(2),
  allocate(0),
  reserve('task:a', 1),
  reserve('task:b', 3),
  reserve('request:r', 1),
  settle('request:r', 2),
  unreserve('task:a'),
  charge(1),
  success('task:a', 1),
  failure('task:a', { threshold: 2 }),
  failure('task:a', { threshold: 0 }),
  trip('failures'),
  reset(),
  reset(true),
  reset(true, { cooldown_ms: 60_000 }),
  reset(true, { cooldown_ms: -1 }),
  pause({ mode: 'drain' }),
  ...bare,
];

/** What tells states apart here: everything but times and what only ever grows. */
function identity({ value, context }: Snapshot<SwarmContext>): unknown {
  const { counters, budget, reservations, circuit_reasons, grants } = context;
  return [
    stateName(value),
    Math.min(1, counters.consecutive_failures),
    [budget.allocated_usd, budget.spent_usd, budget.reserved_usd],
    Object.keys(reservations).sort(),
    circuit_reasons.filter((reason) => reason !== 'failures').sort(),
    grants.length,
    context.on_trial,
  ];
}

const met = meetings(swarmMachine, events, identity);

describe('the state chart of a swarm', () => {
  it('agrees with its explanations in every state that can be reached, for every event', () => {
    expect(met.length).toBeGreaterThan(5_000);
    expect(met.filter(({ taken, refusal }) => taken !== (refusal === undefined)).slice(0, 3)).toEqual([]);
  });

  it('is stepped from records as XState steps it', () => {
    const differing = met.filter(({ next, expected }) => JSON.stringify(next) !== JSON.stringify(expected));
    expect(differing.slice(0, 3)).toEqual([]);
  });

  it('meets every event accepted, and reaches every refusal', () => {
    const accepted = new Set(met.filter(({ taken }) => taken).map(({ event }) => event.type));
    expect(accepted).toEqual(new Set(Object.keys(swarmRules)));
    expect(new Set(met.flatMap(({ refusal }) => refusal?.code ?? []))).toEqual(
      new Set([
        'INVALID_REQUEST',
        'CONFLICT',
        'SWARM_NOT_FOUND',
        'SWARM_OFFLINE',
        'CIRCUIT_OPEN',
        'CAPACITY_EXCEEDED',
        'CAPABILITY_MISSING',
        'BUDGET_EXHAUSTED',
        'POLICY_VIOLATION',
      ]),
    );
  });

  it('is open exactly while there is a reason, and online only while registered', () => {
    const wrong = met.filter(({ next }) => {
      const { registration, liveness, circuit } = next.value as SwarmState;
      const reasons = next.context.circuit_reasons.length;
      return (circuit === 'open') !== reasons > 0 || (liveness === 'online' && registration !== 'registered');
    });
    expect(wrong.slice(0, 3)).toEqual([]);
  });

  it('refuses a type that it does not know', () => {
    for (const type of ['NONSENSE', '*', 'toString']) {
      const refusal = swarmMachine.explain(swarmMachine.absent, { type, at: 0 } as unknown as SwarmEvent);
      expect(refusal?.code).toBe('INVALID_REQUEST');
    }
  });
});

const usd = fc.oneof(fc.constantFrom(0, 0.1, 0.2, 1), fc.integer({ min: 0, max: 3_000_000 }).map(fromMicros));
const key = fc.constantFrom('task:a', 'task:b', 'task:__proto__', 'request:a', 'request:b');
const reserved = fc.boolean();

const anyEvent: fc.Arbitrary<SwarmEvent> = fc.oneof(
  fc.constantFrom(...bare, ...bare.slice(0, 1), reset(), reset(true), trip('failures'), trip('budget')),
  fc.constantFrom(register(), register({ max_concurrent_tasks: 1 }), register({ capabilities: ['x.y'] })),
  fc.constantFrom(grant('x.y'), revoke('x.y'), invite(['x.y'])),
  { weight: 2, arbitrary: usd.map((amount) => allocate(amount)) },
  { weight: 5, arbitrary: fc.tuple(key, usd).map(([name, amount]) => reserve(name, amount)) },
  { weight: 3, arbitrary: fc.tuple(key, usd).map(([name, cost]) => settle(name, cost)) },
  key.map(unreserve),
  { weight: 2, arbitrary: usd.map(charge) },
  { weight: 2, arbitrary: fc.tuple(key, usd, reserved).map(([k, cost, r]) => success(k, cost, { reserved: r })) },
  { weight: 2, arbitrary: fc.tuple(key, usd).map(([k, cost_usd]) => failure(k, { cost_usd })) },
);

const life = fc
  .array(anyEvent, { maxLength: 60 })
  .map((later) => decisions(swarmMachine, [register(), allocate(3), ...later]));

describe('whatever happens to a swarm, in whatever order', () => {
  it('spent and reserved are amounts of money that together never exceed what is allocated', () => {
    fc.assert(
      fc.property(life, (steps) => {
        for (const { after } of steps) {
          const { allocated_usd, reserved_usd, spent_usd, overrun_usd } = after.context.budget;
          for (const amount of [allocated_usd, reserved_usd, spent_usd, overrun_usd]) expect(isUsd(amount)).toBe(true);
          expect(addUsd(spent_usd, reserved_usd)).toBeLessThanOrEqual(allocated_usd);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('what is reserved is the sum of the reservations, to the micro-dollar', () => {
    fc.assert(
      fc.property(life, (steps) => {
        for (const { after } of steps) {
          const held = Object.values(after.context.reservations).map(({ amount_usd }) => amount_usd);
          expect(after.context.budget.reserved_usd).toBe(held.reduce(addUsd, 0));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('every cost is spent or recorded as overrun, to the micro-dollar', () => {
    fc.assert(
      fc.property(life, (steps) => {
        const costs = steps.map(({ event, refusal }) => {
          if (refusal) return 0;
          if (event.type === 'CHARGE') return event.amount_usd;
          return event.type === 'SETTLE' || event.type === 'SUCCESS' || event.type === 'FAILURE' ? event.cost_usd : 0;
        });
        const { spent_usd, overrun_usd } = steps.at(-1)?.after.context.budget ?? { spent_usd: 0, overrun_usd: 0 };
        expect(addUsd(spent_usd, overrun_usd)).toBe(costs.reduce(addUsd, 0));
      }),
      { numRuns: 300 },
    );
  });

  it('an open circuit reserves nothing, and a reputation stays between 0 and 1', () => {
    fc.assert(
      fc.property(life, (steps) => {
        for (const { before, after, event, refusal } of steps) {
          if (event.type === 'RESERVE' && (before.value as SwarmState).circuit === 'open')
            expect(refusal).toBeDefined();
          expect(after.context.reputation).toBeGreaterThanOrEqual(0);
          expect(after.context.reputation).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('the accepted events alone, read back from JSON, lead to the same snapshot of plain JSON', () => {
    fc.assert(
      fc.property(life, (steps) => {
        const accepted = steps.filter(({ refusal }) => !refusal).map(({ event }) => event);
        const last = steps.at(-1)?.after;
        expect(isPlainJson(last)).toBe(true);
        const read = JSON.parse(JSON.stringify(accepted)) as SwarmEvent[];
        expect(JSON.stringify(fold(swarmMachine, read))).toBe(JSON.stringify(last));
      }),
      { numRuns: 300 },
    );
  });
});
