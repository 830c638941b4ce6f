import { describe, expect, it } from 'vitest';
import type { Snapshot } from '../../machines/record.ts';
import { type RestartPolicy, type ServiceContext, serviceStates } from '../../machines/service/context.ts';
import type { ServiceEvent } from '../../machines/service/events.ts';
import { serviceMachine } from '../../machines/service/machine.ts';
import { meetings } from './agreement.ts';
import { fold, isPlainJson } from './fold.ts';

const t0 = 1_700_000_000_000;
const policy: RestartPolicy = { max_restarts: 2, window_ms: 1_000, backoff_min_ms: 10, backoff_max_ms: 30 };

const start = (pid = 1, at = t0): ServiceEvent => ({ type: 'START', at, pid, host: 'h', version: '1.0.0', policy });
const exit = (at = t0 + 2): ServiceEvent => ({ type: 'EXIT', at, reason: 'it threw' });
const event = (type: 'READY' | 'RETRY' | 'STOP' | 'STOPPED', at: number): ServiceEvent => ({ type, at });
const escalate: ServiceEvent = { type: 'ESCALATE', at: t0 + 5, reason: 'no use' };

const having = (...events: ServiceEvent[]) => fold(serviceMachine, events);
const refused = (snapshot: Snapshot<ServiceContext>, e: ServiceEvent) => serviceMachine.explain(snapshot, e);

describe('a service', () => {
  it('starts, runs and stops when asked to', () => {
    expect(having(start()).value).toBe('starting');
    const running = having(start(), event('READY', t0 + 1));
    expect(running).toMatchObject({ value: 'running', context: { pid: 1, host: 'h', ready_at: t0 + 1 } });
    const stopping = fold(serviceMachine, [event('STOP', t0 + 2)], running);
    expect(stopping.value).toBe('stopping');
    expect(fold(serviceMachine, [event('STOPPED', t0 + 3)], stopping)).toMatchObject({
      value: 'stopped',
      context: { ended_at: t0 + 3, restarts: 0 },
    });
  });

  it('that ends while it stops has stopped, and is not started again', () => {
    const stopped = having(start(), event('STOP', t0 + 1), exit());
    expect(stopped).toMatchObject({ value: 'stopped', context: { ended_at: t0 + 2, retry_at: null } });
  });

  it('that ends on its own waits and is started again', () => {
    const waiting = having(start(), exit(t0 + 2));
    expect(waiting).toMatchObject({
      value: 'backing_off',
      context: { last_error: 'it threw', backoff_ms: 10, retry_at: t0 + 12 },
    });
    expect(refused(waiting, event('RETRY', t0 + 11))).toMatchObject({
      code: 'CONFLICT',
      details: { retry_at: t0 + 12 },
    });
    expect(fold(serviceMachine, [event('RETRY', t0 + 12)], waiting)).toMatchObject({
      value: 'starting',
      context: { restarts: 1, restarts_at: [t0 + 12], backoff_ms: 0, retry_at: null },
    });
  });

  it('waits twice as long each time, up to the limit', () => {
    const wide: ServiceEvent = { ...start(), policy: { ...policy, max_restarts: 9, window_ms: 1e6 } } as ServiceEvent;
    let service = having(wide);
    const waits: number[] = [];
    for (let n = 1; n <= 4; n += 1) {
      service = fold(serviceMachine, [exit(t0 + n * 100)], service);
      waits.push(service.context.backoff_ms);
      service = fold(serviceMachine, [event('RETRY', t0 + n * 100 + 50)], service);
    }
    expect(waits).toEqual([10, 20, 30, 30]);
  });

  it('that ends once more often in a window than it may be restarted has failed', () => {
    const twice = having(start(), exit(t0), event('RETRY', t0 + 10), exit(t0 + 20), event('RETRY', t0 + 40));
    expect(fold(serviceMachine, [exit(t0 + 50)], twice)).toMatchObject({
      value: 'failed',
      context: { restarts: 2, last_error: 'it threw', ended_at: t0 + 50, retry_at: null },
    });
    expect(fold(serviceMachine, [exit(t0 + 2_000)], twice).value).toBe('backing_off');
  });

  it('that waits has stopped as soon as it is asked to', () => {
    expect(having(start(), exit(), event('STOP', t0 + 3))).toMatchObject({
      value: 'stopped',
      context: { ended_at: t0 + 3, retry_at: null },
    });
  });

  it('fails for good when its supervisor gives up, and starts afresh from there', () => {
    const failed = having(start(), escalate);
    expect(failed).toMatchObject({ value: 'failed', status: 'active', context: { last_error: 'no use' } });
    expect(fold(serviceMachine, [start(1, t0 + 9)], failed)).toMatchObject({
      value: 'starting',
      context: { last_error: null, ended_at: null, started_at: t0 + 9 },
    });
  });

  it('is taken over by another process after a crash, not started twice by the same', () => {
    const running = having(start(), event('READY', t0 + 1));
    expect(refused(running, start(1))?.code).toBe('CONFLICT');
    expect(fold(serviceMachine, [start(2)], running)).toMatchObject({ value: 'starting', context: { pid: 2 } });
  });

  it('refuses a restart policy that makes no sense', () => {
    const wrong = { ...start(), policy: { ...policy, backoff_min_ms: 31 } } as ServiceEvent;
    expect(refused(serviceMachine.absent, wrong)?.code).toBe('INVALID_REQUEST');
  });
});

describe('the state chart of a service', () => {
  const events = [
    ...[1, 2].flatMap((pid) => [start(pid), start(pid, t0 + 500)]),
    event('READY', t0 + 1),
    exit(t0 + 2),
    exit(t0 + 5_000),
    event('RETRY', t0 + 3),
    event('RETRY', t0 + 6_000),
    event('STOP', t0 + 7),
    event('STOPPED', t0 + 8),
    escalate,
  ];
  const met = meetings(serviceMachine, events, ({ value, context }) => [
    value,
    context.pid,
    context.restarts_at,
    context.retry_at,
    context.stopping_at,
    context.ended_at !== null,
  ]);

  it('agrees with its explanations in every state that can be reached, for every event', () => {
    expect(new Set(met.map(({ snapshot }) => snapshot.value))).toEqual(new Set(serviceStates));
    expect(met.filter(({ taken, refusal }) => taken !== (refusal === undefined)).slice(0, 3)).toEqual([]);
    expect(met.filter(({ next, expected }) => JSON.stringify(next) !== JSON.stringify(expected))).toEqual([]);
    expect(met.every(({ next }) => isPlainJson(next))).toBe(true);
  });

  it('waits for a restart exactly while it backs off', () => {
    const wrong = met.filter(({ next }) => (next.value === 'backing_off') !== (next.context.retry_at !== null));
    expect(wrong.slice(0, 3)).toEqual([]);
  });
});
