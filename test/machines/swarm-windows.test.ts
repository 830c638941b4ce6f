import { describe, expect, it } from 'vitest';
import type { SwarmEvent } from '../../machines/swarm/events.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { fold } from './fold.ts';
import { allocate, charge, invite, register, reserve, settle } from './swarm-events.ts';

const having = (...events: SwarmEvent[]) => fold(swarmMachine, events);
const refused = (snapshot: ReturnType<typeof having>, event: SwarmEvent) => swarmMachine.explain(snapshot, event);
const hour = 3_600_000;
/** The beginning of an hour by UTC. */
const noon = Date.UTC(2026, 0, 15, 12);

describe('the windows of a budget', () => {
  const limited = having(register(), allocate(10, { at: noon, per_hour_usd: 1, per_day_usd: 3 }));

  it('limit what is reserved and charged within an hour and a day', () => {
    const spent = fold(swarmMachine, [charge(1, noon + 1)], limited);
    const refusal = refused(spent, reserve('task:a', 0.5, { at: noon + 2 }));
    expect(refusal).toMatchObject({
      code: 'BUDGET_EXHAUSTED',
      details: { remaining_usd: 0, hour: { limit_usd: 1, spent_usd: 1 } },
    });
    expect(refusal?.message).toContain('2026-01-15T13:00:00.000Z');
    expect(refused(spent, charge(0.5, noon + hour))).toBeUndefined();
    const more = fold(swarmMachine, [charge(1, noon + hour), charge(1, noon + 2 * hour)], spent);
    expect(refused(more, charge(0.1, noon + 3 * hour))?.message).toContain('2026-01-16T00:00:00.000Z');
    expect(refused(more, reserve('task:a', 0, { at: noon + 3 * hour }))).toBeUndefined();
  });

  it('never open the circuit, and never make overrun of a settlement that the total covers', () => {
    const settled = fold(
      swarmMachine,
      [reserve('request:r', 1, { at: noon }), { ...settle('request:r', 5), at: noon + 1 }],
      limited,
    );
    expect(settled.context).toMatchObject({ budget: { spent_usd: 5, overrun_usd: 0 }, circuit_reasons: [] });
  });

  it('stay when only the total is allocated anew, also by an invitation, and go when they are null', () => {
    const again = fold(swarmMachine, [allocate(20), invite([], 30)], limited);
    expect(again.context.budget).toMatchObject({ allocated_usd: 30, hour: { limit_usd: 1 }, day: { limit_usd: 3 } });
    const none = fold(swarmMachine, [allocate(20, { per_hour_usd: null, per_day_usd: null })], limited);
    expect(none.context.budget).toMatchObject({ hour: null, day: null });
  });

  it.each(['per_hour_usd', 'per_day_usd'])('are refused with a %s that is no amount', (field) => {
    expect(refused(limited, allocate(1, { [field]: -1 }))).toMatchObject({
      code: 'INVALID_REQUEST',
      details: { field },
    });
  });
});

describe('a charge', () => {
  it('takes from the budget exactly the cost that the witness adds up', () => {
    const swarm = having(register(), allocate(1));
    expect(refused(swarm, { ...charge(0.5), cost: { cost_usd: 0.4 } })).toMatchObject({ details: { field: 'cost' } });
    expect(refused(swarm, { ...charge(0.5), cost: { cost_usd: 0.5, tokens_in: 10, model: 'm' } })).toBeUndefined();
  });
});
