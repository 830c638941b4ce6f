import { describe, expect, it } from 'vitest';
import { remaining } from '../../machines/budget.ts';
import { stateName } from '../../machines/record.ts';
import { effectiveCapabilities } from '../../machines/swarm/context.ts';
import type { SwarmEvent } from '../../machines/swarm/events.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { fold } from './fold.ts';
import {
  allocate,
  charge,
  failure,
  grant,
  invite,
  plain,
  register,
  reserve,
  revoke,
  settle,
  success,
  t0,
  trip,
  unreserve,
} from './swarm-events.ts';

const having = (...events: SwarmEvent[]) => fold(swarmMachine, events);
const refused = (snapshot: ReturnType<typeof having>, event: SwarmEvent) => swarmMachine.explain(snapshot, event);
const state = (...events: SwarmEvent[]) => stateName(having(...events).value);
const privilege = 'system.process.execute';

describe('a registration', () => {
  it('brings a swarm online with its circuit closed', () => {
    expect(state()).toBe('absent.offline.closed');
    expect(state(register())).toBe('registered.online.closed');
    expect(having(register()).context).toMatchObject({
      capabilities: ['code:ts'],
      cost_per_hour: 1.5,
      model: null,
      max_concurrent_tasks: null,
      reputation: 0.5,
      registered_at: t0,
      last_seen_at: t0,
    });
  });

  it('again changes the description and keeps budget, record and reputation', () => {
    const before = having(register(), allocate(5), reserve('task:a', 1), success('task:a', 1));
    const again = fold(swarmMachine, [register({ at: t0 + 9, capabilities: ['docs:en'], model: 'm' })], before);
    expect(again.context).toMatchObject({ capabilities: ['docs:en'], model: 'm', registered_at: t0 });
    for (const kept of ['budget', 'counters', 'reputation'] as const) {
      expect(again.context[kept]).toEqual(before.context[kept]);
    }
  });

  it('ends with UNREGISTER, offline, and may begin again', () => {
    const retired = having(register(), plain('UNREGISTER'));
    expect(stateName(retired.value)).toBe('retired.offline.closed');
    expect(refused(retired, plain('UNREGISTER'))?.code).toBe('SWARM_NOT_FOUND');
    expect(refused(retired, plain('ONLINE'))?.code).toBe('SWARM_NOT_FOUND');
    const back = fold(swarmMachine, [register({ at: t0 + 9 })], retired);
    expect(stateName(back.value)).toBe('registered.online.closed');
    expect(back.context).toMatchObject({ registered_at: t0 + 9, retired_at: null });
  });

  it.each([
    [{ cost_per_hour: -1 }, 'cost_per_hour'],
    [{ cost_per_hour: 0.0000001 }, 'cost_per_hour'],
    [{ max_concurrent_tasks: 0 }, 'max_concurrent_tasks'],
    [{ max_concurrent_tasks: 1.5 }, 'max_concurrent_tasks'],
  ])('is refused with %j', (fields, field) => {
    expect(refused(swarmMachine.absent, register(fields))).toMatchObject({
      code: 'INVALID_REQUEST',
      details: { field },
    });
  });
});

describe('privileges', () => {
  it('cannot be declared without a grant', () => {
    const event = register({ capabilities: ['code:node.js', privilege] });
    expect(refused(swarmMachine.absent, event)).toMatchObject({
      code: 'CAPABILITY_MISSING',
      details: { missing: [privilege] },
    });
    expect(state(grant(privilege), event)).toBe('registered.online.closed');
  });

  it('may be granted before the registration, add up, and count without being declared', () => {
    const { context } = having(invite([privilege]), invite(['network.http.proxy.external']), register());
    expect(effectiveCapabilities(context)).toEqual(['code:ts', privilege, 'network.http.proxy.external']);
  });

  it('that are revoked count no longer, declared or not', () => {
    const swarm = having(grant(privilege), register({ capabilities: [privilege] }), revoke(privilege));
    expect(effectiveCapabilities(swarm.context)).toEqual([]);
    expect(refused(swarm, register({ capabilities: [privilege] }))?.code).toBe('CAPABILITY_MISSING');
    expect(refused(swarmMachine.absent, revoke(privilege))?.code).toBe('SWARM_NOT_FOUND');
  });
});

describe('liveness', () => {
  it('changes with ONLINE and OFFLINE, which are refused when they change nothing', () => {
    const online = having(register());
    expect(refused(online, plain('ONLINE'))?.code).toBe('CONFLICT');
    const offline = fold(swarmMachine, [plain('OFFLINE')], online);
    expect(stateName(offline.value)).toBe('registered.offline.closed');
    expect(refused(offline, plain('OFFLINE'))?.code).toBe('CONFLICT');
    expect(stateName(fold(swarmMachine, [plain('ONLINE')], offline).value)).toBe('registered.online.closed');
  });

  it('is nothing that an unregistered swarm has', () => {
    expect(refused(swarmMachine.absent, plain('ONLINE'))?.code).toBe('SWARM_NOT_FOUND');
    expect(refused(having(invite([])), plain('ONLINE'))?.code).toBe('SWARM_NOT_FOUND');
  });
});

describe('a budget', () => {
  it('may be allocated before the registration', () => {
    expect(having(allocate(5)).context.budget.allocated_usd).toBe(5);
    expect(having(invite([], 7), register()).context.budget.allocated_usd).toBe(7);
    expect(state(allocate(5))).toBe('invited.offline.closed');
    expect(having(allocate(5), invite([])).context.budget.allocated_usd).toBe(5);
  });

  it('is refused below what is spent and reserved', () => {
    const swarm = having(register(), allocate(5), charge(2), reserve('task:a', 1));
    for (const event of [allocate(2.999999), invite([], 2.999999)]) {
      expect(refused(swarm, event)).toMatchObject({
        code: 'POLICY_VIOLATION',
        details: { spent_usd: 2, reserved_usd: 1 },
      });
    }
    expect(refused(swarm, allocate(3))).toBeUndefined();
  });

  it.each([-1, Number.NaN, 0.0000001])('is never %d', (amount) => {
    expect(refused(having(register()), allocate(amount))?.code).toBe('INVALID_REQUEST');
  });

  it('is reserved, then settled: what is left of a reservation comes back', () => {
    const reserved = having(register(), allocate(1), reserve('request:r1', 0.3));
    expect(reserved.context.budget).toMatchObject({ reserved_usd: 0.3, spent_usd: 0 });
    expect(remaining(reserved.context.budget)).toBe(0.7);
    const settled = fold(swarmMachine, [settle('request:r1', 0.1)], reserved);
    expect(settled.context.budget).toMatchObject({ reserved_usd: 0, spent_usd: 0.1 });
    expect(settled.context.reservations).toEqual({});
    expect(fold(swarmMachine, [unreserve('request:r1')], reserved).context.budget.spent_usd).toBe(0);
  });

  it('settles once, and only what was reserved', () => {
    const swarm = having(register(), allocate(1), reserve('request:r1', 0.3), settle('request:r1', 0.1));
    expect(refused(swarm, settle('request:r1', 0.1))?.code).toBe('INVALID_REQUEST');
    expect(refused(swarm, unreserve('request:r1'))?.code).toBe('INVALID_REQUEST');
  });

  it('takes a cost above the reservation from the remainder', () => {
    const swarm = having(register(), allocate(1), reserve('request:r1', 0.3), settle('request:r1', 0.9));
    expect(swarm.context.budget).toMatchObject({ reserved_usd: 0, spent_usd: 0.9, overrun_usd: 0 });
    expect(stateName(swarm.value)).toBe('registered.online.closed');
  });

  it('records as overrun what exceeds even that, and opens the circuit', () => {
    const events = [register(), allocate(1), reserve('request:other', 0.5), reserve('request:r1', 0.3)];
    const swarm = having(...events, settle('request:r1', 0.9));
    expect(swarm.context).toMatchObject({
      budget: { allocated_usd: 1, reserved_usd: 0.5, spent_usd: 0.5, overrun_usd: 0.4 },
      circuit_reasons: ['budget'],
    });
    expect(stateName(swarm.value)).toBe('registered.online.open');
  });

  it('without an allocation covers unpriced work only', () => {
    const swarm = having(register());
    expect(refused(swarm, reserve('task:a', 0.000001))?.code).toBe('BUDGET_EXHAUSTED');
    expect(refused(swarm, charge(0.000001))?.code).toBe('BUDGET_EXHAUSTED');
    expect(refused(swarm, reserve('task:a', 0))).toBeUndefined();
    expect(having(register(), success('task:a', 0.5, { reserved: false })).context).toMatchObject({
      budget: { spent_usd: 0, overrun_usd: 0.5 },
      circuit_reasons: ['budget'],
    });
  });

  it('refuses what exceeds the remainder and stays as it is: a refusal alone opens nothing', () => {
    const swarm = having(register(), allocate(1), reserve('task:a', 0.6));
    expect(refused(swarm, reserve('task:b', 0.400001))).toMatchObject({
      code: 'BUDGET_EXHAUSTED',
      details: { remaining_usd: 0.4, allocated_usd: 1 },
    });
    expect(refused(swarm, charge(0.400001))?.code).toBe('BUDGET_EXHAUSTED');
    expect(refused(swarm, reserve('task:b', 0.4))).toBeUndefined();
  });

  it('that is spent opens the circuit, and more money closes it', () => {
    const spent = having(register(), allocate(1), charge(1));
    expect(stateName(spent.value)).toBe('registered.online.open');
    expect(spent.context).toMatchObject({ circuit_reasons: ['budget'], circuit_opened_at: t0 + 2 });
    const more = fold(swarmMachine, [allocate(2)], spent);
    expect(stateName(more.value)).toBe('registered.online.closed');
    expect(more.context).toMatchObject({ circuit_reasons: [], circuit_opened_at: null });
    expect(stateName(fold(swarmMachine, [charge(0.5), allocate(1.5)], more).value)).toBe('registered.online.open');
  });

  it('is settled also for a swarm that has unregistered since', () => {
    const swarm = having(register(), allocate(1), reserve('request:r1', 0.3), plain('UNREGISTER'));
    expect(fold(swarmMachine, [settle('request:r1', 0.3)], swarm).context.budget.spent_usd).toBe(0.3);
    expect(refused(swarm, charge(0.1))?.code).toBe('SWARM_NOT_FOUND');
  });
});

describe('a reservation', () => {
  it('needs a swarm that is registered, online and of closed circuit', () => {
    const event = reserve('task:a');
    expect(refused(swarmMachine.absent, event)?.code).toBe('SWARM_NOT_FOUND');
    expect(refused(having(invite([])), event)?.code).toBe('SWARM_NOT_FOUND');
    expect(refused(having(register(), plain('OFFLINE')), event)?.code).toBe('SWARM_OFFLINE');
    expect(refused(having(register(), trip('failures')), event)).toMatchObject({
      code: 'CIRCUIT_OPEN',
      details: { circuit_reasons: ['failures'] },
    });
  });

  it('is made once', () => {
    expect(refused(having(register(), reserve('task:a')), reserve('task:a'))?.code).toBe('CONFLICT');
  });

  it('for a task takes a slot, for anything else none', () => {
    const swarm = having(
      register({ max_concurrent_tasks: 2 }),
      reserve('task:a'),
      reserve('request:r'),
      reserve('task:b'),
    );
    expect(refused(swarm, reserve('task:c'))).toMatchObject({
      code: 'CAPACITY_EXCEEDED',
      details: { active_tasks: 2, max_concurrent_tasks: 2 },
    });
    expect(refused(swarm, reserve('request:r2'))).toBeUndefined();
    expect(refused(fold(swarmMachine, [unreserve('task:a')], swarm), reserve('task:c'))).toBeUndefined();
  });

  it('may be for a task that is named like a property of every object', () => {
    const swarm = having(register(), allocate(1), reserve('task:__proto__', 0.5), settle('task:__proto__', 0.5));
    expect(swarm.context).toMatchObject({ budget: { spent_usd: 0.5, reserved_usd: 0 }, reservations: {} });
  });
});

describe('outcomes', () => {
  it('are counted, and every claim once: when reserved, or else when it ends', () => {
    const swarm = having(
      register(),
      reserve('task:a'),
      success('task:a'),
      success('task:b', 0, { reserved: false }),
      failure('task:c', { reserved: false }),
      reserve('task:d'),
      unreserve('task:d'),
      reserve('request:r'),
    );
    expect(swarm.context.counters).toEqual({ claimed: 4, completed: 2, failed: 1, consecutive_failures: 1 });
  });

  it('give the reservation back and spend the cost', () => {
    const swarm = having(register(), allocate(1), reserve('task:a', 0.5), success('task:a', 0.4));
    expect(swarm.context).toMatchObject({ budget: { reserved_usd: 0, spent_usd: 0.4 }, reservations: {} });
    const failed = having(register(), allocate(1), reserve('task:a', 0.5), failure('task:a'));
    expect(failed.context).toMatchObject({ budget: { reserved_usd: 0, spent_usd: 0 }, reservations: {} });
  });

  it('move the reputation a tenth of the way', () => {
    expect(having(register(), success('task:a')).context.reputation).toBe(0.55);
    expect(having(register(), failure('task:a')).context.reputation).toBe(0.45);
  });
});
