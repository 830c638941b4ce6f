import { describe, expect, it } from 'vitest';
import { stateName } from '../../machines/record.ts';
import type { SwarmEvent } from '../../machines/swarm/events.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { fold } from './fold.ts';
import {
  allocate,
  charge,
  failure,
  invite,
  pause,
  plain,
  register,
  reserve,
  reset,
  settle,
  success,
  t0,
  trip,
  unreserve,
} from './swarm-events.ts';

const having = (...events: SwarmEvent[]) => fold(swarmMachine, events);
const refused = (snapshot: ReturnType<typeof having>, event: SwarmEvent) => swarmMachine.explain(snapshot, event);
const state = (...events: SwarmEvent[]) => stateName(having(...events).value);

describe('a circuit', () => {
  it('opens at the threshold of failures in a row, not before', () => {
    const two = having(register(), failure('task:a'), failure('task:a'));
    expect(stateName(two.value)).toBe('registered.online.closed');
    expect(stateName(fold(swarmMachine, [failure('task:a')], two).value)).toBe('registered.online.open');
    expect(state(register(), failure('task:a'), failure('task:a'), success('task:b'), failure('task:a'))).toBe(
      'registered.online.closed',
    );
  });

  it('is closed by a reset, which forgets the failures', () => {
    const open = having(register(), failure('task:a', { threshold: 1 }));
    const closed = fold(swarmMachine, [reset()], open);
    expect(stateName(closed.value)).toBe('registered.online.closed');
    expect(closed.context).toMatchObject({ circuit_reasons: [], counters: { consecutive_failures: 0, failed: 1 } });
  });

  it('that money opened is not closed by a reset while there is none', () => {
    const spent = having(register(), allocate(1), charge(1));
    expect(refused(spent, reset())?.code).toBe('BUDGET_EXHAUSTED');
    const both = fold(swarmMachine, [trip('failures'), reset()], spent);
    expect(both.context.circuit_reasons).toEqual(['budget']);
  });

  it('that an overrun opened is closed by a reset once money has come back', () => {
    const events = [register(), allocate(1), reserve('request:x', 0.5), reserve('request:r', 0.1)];
    const open = having(...events, settle('request:r', 0.9), unreserve('request:x'));
    expect(open.context.circuit_reasons).toEqual(['budget']);
    expect(stateName(fold(swarmMachine, [reset()], open).value)).toBe('registered.online.closed');
  });

  it('that an overrun opened stays open by other limits, the same or less money, and closes by more', () => {
    const events = [register(), allocate(1), reserve('request:x', 0.5), reserve('request:r', 0.1)];
    const open = having(...events, settle('request:r', 0.9), unreserve('request:x'));
    for (const event of [allocate(1, { per_hour_usd: 0.1 }), invite([], 1), allocate(0.9)]) {
      expect(fold(swarmMachine, [event], open).context).toMatchObject({
        circuit_reasons: ['budget'],
        circuit_opened_at: open.context.circuit_opened_at,
      });
    }
    expect(fold(swarmMachine, [allocate(1.1)], open).context.circuit_reasons).toEqual([]);
  });

  it('that an operator paused is closed by RESUME alone', () => {
    const paused = having(register(), pause(), pause());
    expect(paused.context.circuit_reasons).toEqual(['paused']);
    expect(stateName(fold(swarmMachine, [reset()], paused).value)).toBe('registered.online.open');
    expect(stateName(fold(swarmMachine, [plain('RESUME')], paused).value)).toBe('registered.online.closed');
  });

  it('stays open as long as one reason is left, and opened when the first came', () => {
    const open = having(register(), trip('failures'), pause(), reset());
    expect(open.context).toMatchObject({ circuit_reasons: ['paused'], circuit_opened_at: t0 + 4 });
    expect(stateName(open.value)).toBe('registered.online.open');
  });

  it('that trips while it is paused opens anew, and so it does for money after failures', () => {
    const paused = having(register(), pause());
    const failed = fold(swarmMachine, [{ ...trip('failures'), at: t0 + 60_000 }], paused);
    expect(failed.context).toMatchObject({
      circuit_reasons: ['paused', 'failures'],
      circuit_opened_at: t0 + 60_000,
    });
    const resumed = fold(swarmMachine, [{ ...plain('RESUME'), at: t0 + 61_000 }], failed);
    expect(resumed.context).toMatchObject({ circuit_reasons: ['failures'], circuit_opened_at: t0 + 60_000 });
    const broke = fold(swarmMachine, [{ ...trip('budget'), at: t0 + 62_000 }], resumed);
    expect(broke.context.circuit_opened_at).toBe(t0 + 62_000);
    expect(fold(swarmMachine, [{ ...trip('budget'), at: t0 + 63_000 }], broke).context.circuit_opened_at).toBe(
      t0 + 62_000,
    );
  });

  it('on trial admits one task, which decides', () => {
    const trial = having(register(), trip('failures'), reset(true), reserve('task:a'));
    expect(trial.context.on_trial).toBe(true);
    expect(refused(trial, reserve('task:b'))?.code).toBe('CAPACITY_EXCEEDED');
    const failed = fold(swarmMachine, [failure('task:a')], trial);
    expect(stateName(failed.value)).toBe('registered.online.open');
    const passed = fold(swarmMachine, [success('task:a')], trial);
    expect(passed.context).toMatchObject({ on_trial: false, circuit_reasons: [] });
    expect(refused(passed, reserve('task:b'))).toBeUndefined();
  });
});

describe('a pause', () => {
  it('keeps its mode, who asked for it and why, until it ends', () => {
    const drained = having(register(), pause({ mode: 'drain', reason: 'new prompt' }));
    expect(stateName(drained.value)).toBe('registered.online.open');
    expect(drained.context.pause).toEqual({ mode: 'drain', by: 'operator', reason: 'new prompt', at: t0 + 6 });
    const paused = fold(swarmMachine, [pause({ at: t0 + 8 })], drained);
    expect(paused.context).toMatchObject({ pause: { mode: 'pause', reason: null, at: t0 + 8 } });
    expect(paused.context.circuit_reasons).toEqual(['paused']);
    expect(fold(swarmMachine, [plain('RESUME')], paused).context).toMatchObject({ pause: null, circuit_reasons: [] });
  });

  it('is of a mode that there is', () => {
    expect(refused(having(register()), pause({ mode: 'stop' as 'drain' }))).toMatchObject({
      code: 'INVALID_REQUEST',
      details: { field: 'mode' },
    });
  });
});

describe('a trial', () => {
  const tripped = having(register(), failure('task:a', { threshold: 1 }));

  it('is given when the circuit has cooled down, not before', () => {
    const opened = tripped.context.circuit_opened_at ?? 0;
    const trial = (at: number) => reset(true, { cooldown_ms: 60_000, at });
    expect(refused(tripped, trial(opened + 59_999))).toMatchObject({
      code: 'CONFLICT',
      details: { trial_from: opened + 60_000 },
    });
    const half = fold(swarmMachine, [trial(opened + 60_000)], tripped);
    expect(stateName(half.value)).toBe('registered.online.closed');
    expect(half.context).toMatchObject({ on_trial: true, circuit_opened_at: null });
  });

  it('that fails opens the circuit anew, and the cool-down starts over', () => {
    const again = fold(
      swarmMachine,
      [reset(true, { at: t0 + 60_000 }), failure('task:b', { at: t0 + 70_000 })],
      tripped,
    );
    expect(again.context).toMatchObject({ circuit_reasons: ['failures'], circuit_opened_at: t0 + 70_000 });
    expect(refused(again, reset(true, { cooldown_ms: 60_000, at: t0 + 129_999 }))?.code).toBe('CONFLICT');
  });

  it('is for failures alone: neither for a pause, nor for money, nor for a closed circuit', () => {
    for (const event of [pause(), trip('budget')]) {
      expect(refused(fold(swarmMachine, [event], tripped), reset(true))?.code).toBe('CONFLICT');
    }
    expect(refused(having(register(), pause()), reset(true))?.code).toBe('CONFLICT');
    expect(refused(having(register()), reset(true))?.code).toBe('CONFLICT');
    expect(refused(having(register()), reset())).toBeUndefined();
  });

  it('waits for a cool-down that is a time', () => {
    expect(refused(tripped, reset(true, { cooldown_ms: -1 }))).toMatchObject({ details: { field: 'cooldown_ms' } });
  });
});
