import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  allocate,
  type Budget,
  noBudget,
  remaining,
  reserve,
  spend,
  tightestLimit,
  unreserve,
  windowEnd,
} from '../../machines/budget.ts';
import { addUsd, fromMicros, isUsd, maxUsd, subtractUsd } from '../../machines/money.ts';

const hour = 3_600_000;
/** The beginning of a day by UTC. */
const midnight = Date.UTC(2026, 0, 15);

const withWindows = (hourly: number | null, daily: number | null, at = midnight) =>
  allocate(noBudget, 100, { per_hour_usd: hourly, per_day_usd: daily }, at);

describe('a budget with windows', () => {
  it('leaves what the tightest of its limits leaves', () => {
    const budget = withWindows(2, 5);
    expect(remaining(budget)).toBe(100);
    expect([remaining(budget, midnight), tightestLimit(budget, midnight)]).toEqual([2, 'hour']);
    const later = spend(spend(budget, 2, midnight), 2, midnight + hour);
    expect([remaining(later, midnight + 2 * hour), tightestLimit(later, midnight + 2 * hour)]).toEqual([1, 'day']);
    expect([remaining(noBudget, midnight), tightestLimit(noBudget, midnight)]).toEqual([0, 'total']);
  });

  it('begins each hour and each day by UTC with nothing spent', () => {
    const spent = spend(withWindows(2, 3), 2, midnight + hour - 1);
    expect(remaining(spent, midnight + hour - 1)).toBe(0);
    expect(remaining(spent, midnight + hour)).toBe(1);
    expect(remaining(spent, midnight + 24 * hour - 1)).toBe(1);
    expect(remaining(spent, midnight + 24 * hour)).toBe(2);
    expect(windowEnd('hour', midnight + 1)).toBe(midnight + hour);
    expect(windowEnd('day', midnight + 1)).toBe(midnight + 24 * hour);
  });

  it('counts a reservation in full, in whichever hour it was made', () => {
    const held = reserve(withWindows(2, null), 1.5, midnight);
    expect(remaining(held, midnight + 5 * hour)).toBe(0.5);
    expect(remaining(unreserve(held, 1.5), midnight + 5 * hour)).toBe(2);
  });

  it('settles a cost that exceeds the window out of the total: no window makes overrun', () => {
    const held = reserve(withWindows(2, null), 1, midnight);
    const settled = spend(unreserve(held, 1), 7, midnight);
    expect(settled).toMatchObject({ spent_usd: 7, overrun_usd: 0, hour: { spent_usd: 7 } });
    expect(remaining(settled, midnight)).toBe(0);
    expect(remaining(settled)).toBe(93);
  });

  it('counts every cost, however much it exceeds what is allocated', () => {
    const costs = [maxUsd, maxUsd, 0.000001];
    const spent = costs.reduce((budget, cost) => spend(budget, cost, midnight), withWindows(null, null));
    expect(addUsd(spent.spent_usd, spent.overrun_usd)).toBe(costs.reduce(addUsd, 0));
  });

  it('forgets nothing that was spent when a clock goes back', () => {
    const spent = spend(withWindows(2, null, midnight + hour), 2, midnight + hour);
    expect(remaining(spent, midnight)).toBe(0);
    expect(spend(spent, 1, midnight).hour).toEqual({ limit_usd: 2, began_at: midnight + hour, spent_usd: 3 });
  });

  it('keeps what was spent when a limit changes, leaves a limit that is not named, and drops one that is null', () => {
    const spent = spend(withWindows(2, 5), 1, midnight);
    const raised = allocate(spent, 100, { per_hour_usd: 4 }, midnight + 1);
    expect(raised).toMatchObject({ hour: { limit_usd: 4, spent_usd: 1 }, day: { limit_usd: 5, spent_usd: 1 } });
    const dropped = allocate(raised, 100, { per_hour_usd: null, per_day_usd: null }, midnight + 1);
    expect(dropped).toMatchObject({ hour: null, day: null, spent_usd: 1 });
    expect(allocate(dropped, 100, { per_hour_usd: 4 }, midnight + 1).hour?.spent_usd).toBe(0);
  });

  it('reads a budget of before there were windows as one without', () => {
    const { hour: _, day: __, ...old } = withWindows(null, null);
    expect(remaining(old as Budget, midnight)).toBe(100);
    expect(spend(old as Budget, 1, midnight).spent_usd).toBe(1);
  });
});

const usd = fc.oneof(fc.constantFrom(0, 0.1, 0.2, 1), fc.integer({ min: 0, max: 3_000_000 }).map(fromMicros));
const limit = fc.option(usd);
const time = fc.integer({ min: midnight - 3 * hour, max: midnight + 50 * hour });
type Act = {
  what: 'reserve' | 'settle' | 'charge' | 'allocate';
  amount: number;
  at: number;
  limits: (number | null)[];
};
const act: fc.Arbitrary<Act> = fc.record({
  what: fc.constantFrom('reserve', 'reserve', 'settle', 'charge', 'allocate'),
  amount: usd,
  at: time,
  limits: fc.tuple(limit, limit),
});

/** What a machine would do: refuse what does not remain, settle what is held, in whatever order. */
function run(acts: readonly Act[]) {
  const held: number[] = [];
  const costs: number[] = [];
  const budgets = [allocate(noBudget, 3, { per_hour_usd: 1, per_day_usd: 2 }, midnight)];
  for (const { what, amount, at, limits } of acts) {
    const budget = budgets.at(-1) as Budget;
    let next = budget;
    if (what === 'allocate' && remaining({ ...budget, allocated_usd: amount }) >= 0) {
      next = allocate(budget, amount, { per_hour_usd: limits[0] ?? null, per_day_usd: limits[1] ?? null }, at);
    } else if (what === 'reserve' && amount <= remaining(budget, at)) {
      held.push(amount);
      next = reserve(budget, amount, at);
    } else if (what === 'charge' && amount <= remaining(budget, at)) {
      costs.push(amount);
      next = spend(budget, amount, at);
    } else if (what === 'settle' && held.length > 0) {
      costs.push(amount);
      next = spend(unreserve(budget, held.shift() ?? 0), amount, at);
    }
    budgets.push(next);
  }
  return { budgets, costs, held };
}

describe('whatever happens to a budget, in whatever order and by whatever clock', () => {
  it('spent and reserved never exceed what is allocated, and windows never hold more than was spent', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
        for (const budget of run(acts).budgets) {
          const { allocated_usd, reserved_usd, spent_usd, overrun_usd } = budget;
          for (const amount of [allocated_usd, reserved_usd, spent_usd, overrun_usd]) expect(isUsd(amount)).toBe(true);
          expect(addUsd(spent_usd, reserved_usd)).toBeLessThanOrEqual(allocated_usd);
          for (const window of [budget.hour, budget.day]) {
            if (window) expect(isUsd(window.spent_usd) && window.spent_usd <= spent_usd).toBe(true);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('every cost is spent or overrun, and what is reserved is what is held, to the micro-dollar', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
        const { budgets, costs, held } = run(acts);
        const last = budgets.at(-1) as Budget;
        expect(addUsd(last.spent_usd, last.overrun_usd)).toBe(costs.reduce(addUsd, 0));
        expect(last.reserved_usd).toBe(held.reduce(addUsd, 0));
      }),
      { numRuns: 300 },
    );
  });

  it('charges of one hour never exceed its limit, by a clock that only goes on', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 80 }), (acts) => {
        let budget = allocate(noBudget, 1_000, { per_hour_usd: 1 }, midnight);
        const byHour = new Map<number, number>();
        for (const { amount, at } of acts.toSorted((a, b) => a.at - b.at)) {
          if (at < midnight || amount > remaining(budget, at)) continue;
          budget = spend(budget, amount, at);
          const began = Math.floor(at / hour);
          byHour.set(began, addUsd(byHour.get(began) ?? 0, amount));
          expect(remaining(budget, at)).toBe(subtractUsd(1, byHour.get(began) ?? 0));
        }
        for (const spent of byHour.values()) expect(spent).toBeLessThanOrEqual(1);
      }),
      { numRuns: 200 },
    );
  });
});
