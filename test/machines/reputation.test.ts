import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { reputationAt } from '../../machines/swarm/reputation.ts';
import { fold } from './fold.ts';
import { failure, register, success, t0 } from './swarm-events.ts';

const day = 86_400_000;

describe('a reputation', () => {
  it('comes half the way back to the middle in every half-life, from above and from below', () => {
    const good = { reputation: 0.9, reputation_at: t0 };
    expect([0, 30, 60, 90].map((days) => reputationAt(good, t0 + days * day, 30 * day))).toEqual([0.9, 0.7, 0.6, 0.55]);
    expect(reputationAt({ reputation: 0.1, reputation_at: t0 }, t0 + 30 * day, 30 * day)).toBe(0.3);
  });

  it('stays as it is without a half-life, before the first outcome, and when the clock goes back', () => {
    expect(reputationAt({ reputation: 0.9, reputation_at: t0 }, t0 + 900 * day, null)).toBe(0.9);
    expect(reputationAt({ reputation: 0.5, reputation_at: null }, t0, day)).toBe(0.5);
    expect(reputationAt({ reputation: 0.9, reputation_at: t0 }, t0 - day, day)).toBe(0.9);
  });

  it('moves by an outcome a tenth of the way from where it has come to', () => {
    const half_life_ms = 30 * day;
    const outcomes = [
      register(),
      success('task:a', 0, { at: t0, half_life_ms }),
      success('task:b', 0, { at: t0 + 30 * day, half_life_ms }),
    ];
    // 0.5 -> 0.55; half of it is gone after 30 days: 0.525; a tenth of the way to 1: 0.5725.
    expect(fold(swarmMachine, outcomes).context).toMatchObject({ reputation: 0.5725, reputation_at: t0 + 30 * day });
    const failed = fold(swarmMachine, [
      ...outcomes.slice(0, 2),
      failure('task:b', { at: t0 + 30 * day, half_life_ms }),
    ]);
    expect(failed.context.reputation).toBe(0.4725);
  });

  it('refuses a half-life that is none', () => {
    const swarm = fold(swarmMachine, [register()]);
    for (const half_life_ms of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(swarmMachine.explain(swarm, success('task:a', 0, { half_life_ms }))).toMatchObject({
        code: 'INVALID_REQUEST',
        details: { field: 'half_life_ms' },
      });
    }
  });

  it('stays between 0 and 1 with six decimals, and on its side of the middle as it decays', () => {
    const outcome = fc.record({
      good: fc.boolean(),
      at: fc.integer({ min: t0 - day, max: t0 + 400 * day }),
      half_life_ms: fc.constantFrom(null, 1, day, 30 * day),
    });
    fc.assert(
      fc.property(fc.array(outcome, { maxLength: 100 }), fc.integer({ min: 0, max: 400 * day }), (outcomes, later) => {
        const events = outcomes.map(({ good, ...fields }) =>
          good ? success('task:a', 0, fields) : failure('task:a', { ...fields, threshold: 1_000 }),
        );
        const { context } = fold(swarmMachine, [register(), ...events]);
        const decayed = reputationAt(context, (context.reputation_at ?? t0) + later, 30 * day);
        for (const value of [context.reputation, decayed]) {
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThanOrEqual(1);
          expect(Math.round(value * 1e6) / 1e6).toBe(value);
        }
        expect(Math.abs(decayed - 0.5)).toBeLessThanOrEqual(Math.abs(context.reputation - 0.5));
        expect((decayed - 0.5) * (context.reputation - 0.5)).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 200 },
    );
  });
});
