import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FleetContext, fleetStates } from '../../machines/fleet/context.ts';
import type { AllocateFleetBudget, FleetEvent, PauseFleet } from '../../machines/fleet/events.ts';
import { fleetMachine } from '../../machines/fleet/machine.ts';
import { fleetRules } from '../../machines/fleet/rules.ts';
import { addUsd, fromMicros, isUsd } from '../../machines/money.ts';
import type { Snapshot } from '../../machines/record.ts';
import { meetings } from './agreement.ts';
import { decisions, fold, isPlainJson } from './fold.ts';

const t0 = 1_700_000_000_000;
const by = 'operator';
const allocate = (budget_usd: number | null, fields: Partial<AllocateFleetBudget> = {}): AllocateFleetBudget => ({
  type: 'ALLOCATE',
  at: t0,
  budget_usd,
  by,
  ...fields,
});
const reserve = (amount_usd: number, at = t0 + 1) =>
  ({ type: 'RESERVE', at, swarm_id: 'beta', task_id: 'task-1', amount_usd }) as const;
const settle = (reserved_usd: number, cost_usd: number, at = t0 + 2) =>
  ({ type: 'SETTLE', at, reserved_usd, cost_usd }) as const;
const unreserve = (amount_usd: number) => ({ type: 'UNRESERVE', at: t0 + 3, amount_usd }) as const;
const charge = (amount_usd: number, at = t0 + 4) => ({ type: 'CHARGE', at, swarm_id: 'beta', amount_usd }) as const;
const pause = (fields: Partial<PauseFleet> = {}): PauseFleet => ({ type: 'PAUSE', at: t0 + 5, by, ...fields });
const resume = { type: 'RESUME', at: t0 + 6, by } as const;

const having = (...events: FleetEvent[]) => fold(fleetMachine, events);
const refused = (snapshot: Snapshot<FleetContext>, event: FleetEvent) => fleetMachine.explain(snapshot, event);

const events: FleetEvent[] = [
  allocate(2),
  allocate(0),
  allocate(null),
  allocate(null, { per_hour_usd: 1 }),
  allocate(-1),
  allocate(2, { per_hour_usd: 1 }),
  allocate(2, { per_day_usd: -1 }),
  allocate(2, { by: 'beta' }),
  reserve(1),
  reserve(3),
  reserve(-1),
  settle(1, 2),
  settle(0, 1),
  settle(1, -1),
  unreserve(1),
  unreserve(-1),
  charge(1),
  charge(0.5),
  charge(-1),
  pause(),
  pause({ mode: 'drain', reason: 'maintenance' }),
  pause({ mode: 'stop' as 'drain' }),
  pause({ by: 'beta' }),
  resume,
];

/** What tells states apart here: everything but times, and no more than a few dollars. */
function identity({ value, context: { budget, unbudgeted_usd, pause: paused } }: Snapshot<FleetContext>): unknown {
  const money = budget && [budget.allocated_usd, Math.min(3, budget.reserved_usd), Math.min(3, budget.spent_usd)];
  const windows = budget && [budget.hour?.limit_usd, Math.min(2, budget.hour?.spent_usd ?? 0)];
  return [value, money, windows, Math.min(2, unbudgeted_usd), paused?.mode];
}

const met = meetings(fleetMachine, events, identity);

describe('the state chart of the fabric', () => {
  it('agrees with its explanations in every state that can be reached, for every event', () => {
    expect(met.length).toBeGreaterThan(1_000);
    expect(met.filter(({ taken, refusal }) => taken !== (refusal === undefined)).slice(0, 3)).toEqual([]);
    expect(met.filter(({ next, expected }) => JSON.stringify(next) !== JSON.stringify(expected)).slice(0, 3)).toEqual(
      [],
    );
  });

  it('reaches every state and every refusal, and meets every event both accepted and refused', () => {
    expect(new Set(met.map(({ snapshot }) => snapshot.value))).toEqual(new Set(fleetStates));
    expect(new Set(met.flatMap(({ refusal }) => refusal?.code ?? []))).toEqual(
      new Set([
        'INVALID_REQUEST',
        'UNAUTHORIZED',
        'TARGET_NOT_FOUND',
        'CONFLICT',
        'CIRCUIT_OPEN',
        'BUDGET_EXHAUSTED',
        'POLICY_VIOLATION',
      ]),
    );
    for (const type of Object.keys(fleetRules)) {
      const outcomes = new Set(met.filter(({ event }) => event.type === type).map(({ taken }) => taken));
      expect([type, outcomes]).toEqual([type, new Set([true, false])]);
    }
  });

  it('is paused exactly while it says why', () => {
    const wrong = met.filter(({ next }) => (next.value === 'paused') !== (next.context.pause !== null));
    expect(wrong.slice(0, 3)).toEqual([]);
  });

  it('refuses a type that it does not know', () => {
    for (const type of ['NONSENSE', '*', 'toString'])
      expect(refused(fleetMachine.absent, { type, at: 0 } as unknown as FleetEvent)?.code).toBe('INVALID_REQUEST');
  });
});

describe('the budget of the whole fabric', () => {
  it('refuses what exceeds the remainder, and an allocation below what is gone', () => {
    const fleet = having(allocate(2), reserve(1), charge(0.5));
    expect(refused(fleet, reserve(0.500001))).toMatchObject({
      code: 'BUDGET_EXHAUSTED',
      details: { allocated_usd: 2, remaining_usd: 0.5 },
    });
    expect(refused(fleet, reserve(0.5))).toBeUndefined();
    expect(refused(fleet, allocate(1.499999))?.code).toBe('POLICY_VIOLATION');
    expect(refused(fleet, allocate(1.5))).toBeUndefined();
  });

  it('has limits only where there is one', () => {
    for (const fleet of [fleetMachine.absent, having(allocate(2))]) {
      for (const limit of [{ per_hour_usd: 1 }, { per_day_usd: 0 }])
        expect(refused(fleet, allocate(null, limit))).toMatchObject({
          code: 'INVALID_REQUEST',
          details: { field: 'budget_usd' },
        });
      expect(refused(fleet, allocate(null, { per_hour_usd: null, per_day_usd: null }))).toBeUndefined();
    }
  });

  it('refuses what exceeds an hour, and says when the next begins', () => {
    const noon = Date.UTC(2026, 0, 15, 12);
    const fleet = having(allocate(10, { per_hour_usd: 1, at: noon }), charge(1, noon + 1));
    const refusal = refused(fleet, reserve(0.1, noon + 2));
    expect(refusal).toMatchObject({ code: 'BUDGET_EXHAUSTED', details: { remaining_usd: 0 } });
    expect(refusal?.message).toContain('2026-01-15T13:00:00.000Z');
    expect(refused(fleet, reserve(0.1, noon + 3_600_000))).toBeUndefined();
  });

  it('settles what is on record at a task, takes what is above from the remainder, and the rest as overrun', () => {
    const fleet = having(allocate(2), reserve(1), settle(1, 3));
    expect(fleet.context.budget).toMatchObject({ spent_usd: 2, reserved_usd: 0, overrun_usd: 1 });
    expect(refused(fleet, settle(1, 0))).toMatchObject({ code: 'INVALID_REQUEST', details: { reserved_usd: 0 } });
    expect(refused(fleet, settle(0, 1))).toBeUndefined();
  });

  it('that is removed gives back what work still holds of it, and one that comes then covers it', () => {
    const removed = having(allocate(2), reserve(1.5), allocate(null));
    expect(removed.context).toMatchObject({ budget: null, unbudgeted_usd: 1.5 });
    expect(fold(fleetMachine, [settle(1, 1), unreserve(0.5)], removed).context.unbudgeted_usd).toBe(0);
    expect(refused(removed, allocate(1))?.code).toBe('POLICY_VIOLATION');
    const again = fold(fleetMachine, [allocate(2), settle(1.5, 0.25)], removed);
    expect(again.context).toMatchObject({
      budget: { allocated_usd: 2, reserved_usd: 0, spent_usd: 0.25 },
      unbudgeted_usd: 0,
    });
  });

  it('that is not there limits nothing', () => {
    const fleet = having(allocate(null));
    expect(fold(fleetMachine, [reserve(1_000), charge(1_000)], fleet).context).toMatchObject({
      budget: null,
      unbudgeted_usd: 1_000,
    });
  });
});

describe('a pause of the whole fabric', () => {
  it('reserves nothing, lets what runs be settled, and ends with RESUME', () => {
    const paused = having(allocate(2), reserve(1), pause({ mode: 'drain', reason: 'upgrade' }));
    expect(paused).toMatchObject({ value: 'paused', context: { pause: { mode: 'drain', by, reason: 'upgrade' } } });
    expect(refused(paused, reserve(1))?.code).toBe('CIRCUIT_OPEN');
    expect(fold(fleetMachine, [settle(1, 1), resume, reserve(1)], paused).value).toBe('open');
  });

  it('needs no budget, and its mode can change', () => {
    const paused = having(pause({ mode: 'drain' }), pause());
    expect(paused.context).toMatchObject({ budget: null, pause: { mode: 'pause', reason: null, at: t0 + 5 } });
    expect(refused(having(allocate(2)), resume)?.code).toBe('CONFLICT');
    expect(refused(paused, { ...resume, by: 'beta' })?.code).toBe('UNAUTHORIZED');
  });
});

const usd = fc.oneof(fc.constantFrom(0, 0.1, 0.2, 1), fc.integer({ min: 0, max: 3_000_000 }).map(fromMicros));
const at = fc.integer({ min: t0, max: t0 + 200_000_000 });
const anyEvent: fc.Arbitrary<FleetEvent> = fc.oneof(
  fc
    .tuple(fc.option(usd), fc.option(usd), fc.option(usd), at)
    .map(([usd_, per_hour_usd, per_day_usd, time]) => allocate(usd_, { per_hour_usd, per_day_usd, at: time })),
  { weight: 4, arbitrary: fc.tuple(usd, at).map(([amount, time]) => reserve(amount, time)) },
  { weight: 3, arbitrary: fc.tuple(usd, usd, at).map(([held, cost, time]) => settle(held, cost, time)) },
  usd.map(unreserve),
  { weight: 2, arbitrary: fc.tuple(usd, at).map(([amount, time]) => charge(amount, time)) },
  fc.constantFrom(pause(), pause({ mode: 'drain' }), resume),
);
const life = fc
  .array(anyEvent, { maxLength: 60 })
  .map((later) => decisions(fleetMachine, [allocate(3), ...later] as FleetEvent[]));

describe('whatever happens to the fabric, in whatever order', () => {
  it('spent and reserved never exceed what is allocated, and what is held is what was reserved and not given back', () => {
    fc.assert(
      fc.property(life, (steps) => {
        let held = 0;
        for (const { after, event, refusal } of steps) {
          if (!refusal && event.type === 'RESERVE') held = addUsd(held, event.amount_usd);
          if (!refusal && event.type === 'UNRESERVE') held = addUsd(held, -event.amount_usd);
          if (!refusal && event.type === 'SETTLE') held = addUsd(held, -event.reserved_usd);
          const { budget, unbudgeted_usd } = after.context;
          expect(budget ? budget.reserved_usd : unbudgeted_usd).toBe(held);
          if (!budget) continue;
          for (const amount of [budget.allocated_usd, budget.reserved_usd, budget.spent_usd, budget.overrun_usd])
            expect(isUsd(amount)).toBe(true);
          expect(addUsd(budget.spent_usd, budget.reserved_usd)).toBeLessThanOrEqual(budget.allocated_usd);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('the accepted events alone, read back from JSON, lead to the same snapshot of plain JSON', () => {
    fc.assert(
      fc.property(life, (steps) => {
        const accepted = steps.filter(({ refusal }) => !refusal).map(({ event }) => event);
        expect(isPlainJson(steps.at(-1)?.after)).toBe(true);
        const read = JSON.parse(JSON.stringify(accepted)) as FleetEvent[];
        expect(JSON.stringify(fold(fleetMachine, read))).toBe(JSON.stringify(steps.at(-1)?.after));
      }),
      { numRuns: 200 },
    );
  });
});
