import { describe, expect, it } from 'vitest';
import { maxPastOwners } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { explainFitness } from '../../machines/task/rules.ts';
import { epochOf, maxEpoch, tokenOf } from '../../machines/token.ts';
import { fold } from './fold.ts';
import {
  block,
  claim,
  complete,
  create,
  expire,
  fail,
  fitSwarm,
  having,
  ownerLost,
  refused,
  release,
  start,
  t0,
  token,
} from './task-events.ts';

describe('a claim', () => {
  it('gives ownership, a token, an attempt and a lease', () => {
    expect(having(create({ lease_ms: 5_000 }), claim({ at: t0 + 10 }))).toMatchObject({
      value: 'claimed',
      context: { owner: 'beta', token: token(1), attempt: 1, claimed_at: t0 + 10, lease_expires_at: t0 + 5_010 },
    });
  });

  it('keeps what it reserved', () => {
    expect(having(create({ cost_estimate: 2 }), claim({ reserve_usd: 2 })).context.reserved_usd).toBe(2);
    expect(having(create(), claim()).context.reserved_usd).toBeNull();
    expect(having(create(), claim({ reserve_usd: 0 })).context.reserved_usd).toBe(0);
  });

  it.each(['beta', 'gamma'])('is refused to %s while beta owns the task', (owner) => {
    expect(refused(having(create(), claim()), claim({ owner }))).toMatchObject({
      code: 'TASK_NOT_AVAILABLE',
      details: { state: 'claimed', owner: 'beta' },
    });
  });

  it.each(['absent', 'invited', 'retired'] as const)('is refused to a swarm that is %s', (registration) => {
    const event = claim({ swarm: { ...fitSwarm, registration } });
    expect(refused(having(create()), event)?.code).toBe('SWARM_NOT_FOUND');
  });

  it('is refused to a swarm that is offline, or whose circuit is open', () => {
    const offline = claim({ swarm: { ...fitSwarm, liveness: 'offline' } });
    const tripped = claim({ swarm: { ...fitSwarm, circuit: 'open', circuit_reasons: ['failures', 'paused'] } });
    expect(refused(having(create()), offline)?.code).toBe('SWARM_OFFLINE');
    expect(refused(having(create()), tripped)).toMatchObject({
      code: 'CIRCUIT_OPEN',
      details: { circuit_reasons: ['failures', 'paused'] },
    });
  });

  it('is refused to a swarm that matches too little of what is required, and says what is missing', () => {
    const task = having(create({ requires: ['code:ts', 'code:rust', 'code:py'] }));
    expect(refused(task, claim({ min_capability_match: 0.7 }))).toMatchObject({
      code: 'CAPABILITY_MISSING',
      details: { missing: ['code:rust'], min_capability_match: 0.7 },
    });
    expect(refused(task, claim({ min_capability_match: 0.66 }))).toBeUndefined();
  });

  it('needs a full match where the policy says so, and 7 of 10 are 0.7', () => {
    const capabilities = Array.from({ length: 7 }, (_, i) => `c:${i}`);
    const task = having(create({ requires: Array.from({ length: 10 }, (_, i) => `c:${i}`) }));
    const event = claim({ swarm: { ...fitSwarm, capabilities } });
    expect(refused(task, { ...event, min_capability_match: 0.7 })).toBeUndefined();
    expect(refused(task, { ...event, min_capability_match: 1 })?.code).toBe('CAPABILITY_MISSING');
  });

  it('is refused when a priced task comes without its reservation', () => {
    expect(refused(having(create({ cost_estimate: 2 })), claim({ reserve_usd: 1.999999 }))?.code).toBe(
      'BUDGET_EXHAUSTED',
    );
    expect(refused(having(create({ cost_estimate: 2 })), claim())?.code).toBe('BUDGET_EXHAUSTED');
  });

  it('is refused in an epoch that is none, or that is older than one the task has seen', () => {
    for (const epoch of [0, 1.5, Number.NaN, maxEpoch + 1]) {
      expect(refused(having(create()), claim({ epoch }))?.code).toBe('UNAVAILABLE');
    }
    const task = having(create(), claim({ epoch: 3 }), release({ token: token(1, 3) }));
    expect(refused(task, claim({ epoch: 2 }))?.code).toBe('UNAVAILABLE');
  });

  it('says why a swarm does not qualify also for a task that is owned', () => {
    const { context } = having(create(), claim());
    expect(explainFitness(context, claim())).toBeUndefined();
    expect(explainFitness(context, claim({ swarm: { ...fitSwarm, liveness: 'offline' } }))?.code).toBe('SWARM_OFFLINE');
  });
});

describe('a token', () => {
  it('grows with every ownership and every epoch', () => {
    const first = having(create(), claim());
    const second = fold(taskMachine, [release(), claim({ at: t0 + 40 })], first);
    const third = fold(taskMachine, [release({ token: token(2) }), claim({ epoch: 2 })], second);
    expect(second.context.token).toBe(token(2));
    expect(third.context.token).toBe(token(3, 2));
    expect(third.context.token).toBeGreaterThan(second.context.token ?? 0);
  });

  it('is a safe integer in every epoch, and names its epoch', () => {
    const largest = tokenOf(maxEpoch, 2 ** 32 - 1);
    expect(Number.isSafeInteger(largest)).toBe(true);
    expect(epochOf(largest)).toBe(maxEpoch);
  });
});

describe('ownership', () => {
  const owned = having(create(), claim());
  const acts = { START: start, COMPLETE: complete, FAIL: fail, RELEASE: release, BLOCK: block };

  it.each(Object.entries(acts))('is what %s needs: NOT_OWNER for a stranger, whatever the token', (_, act) => {
    expect(refused(owned, act({ by: 'gamma' }))).toMatchObject({ code: 'NOT_OWNER', details: { owner: 'beta' } });
    expect(refused(owned, act({ by: 'gamma', token: 5 }))?.code).toBe('NOT_OWNER');
    expect(refused(having(create()), act())?.code).toBe('NOT_OWNER');
  });

  it.each(Object.entries(acts))('is what %s needs: STALE_TOKEN for the owner with another token', (_, act) => {
    expect(refused(owned, act({ token: token(1) + 1 }))?.code).toBe('STALE_TOKEN');
  });

  it.each(Object.entries(acts))('once lost is STALE_TOKEN for %s, also when another owns the task', (_, act) => {
    const lost = having(create(), claim(), expire());
    const taken = fold(taskMachine, [claim({ owner: 'gamma', at: t0 + 31_000 })], lost);
    const finished = fold(taskMachine, [complete({ by: 'gamma', token: token(2) })], taken);
    for (const snapshot of [lost, taken, finished]) expect(refused(snapshot, act())?.code).toBe('STALE_TOKEN');
    expect(refused(taken, act({ token: token(2) }))?.code).toBe('STALE_TOKEN');
  });

  it('never shows the present token to who has another', () => {
    const taken = having(create(), claim(), expire(), claim({ owner: 'gamma', at: t0 + 31_000 }));
    for (const by of ['beta', 'delta']) {
      expect(JSON.stringify(refused(taken, complete({ by })))).not.toContain(String(token(2)));
    }
  });

  it('may be claimed without a token only by the present owner, in COMPLETE', () => {
    const { token: _, ...untold } = complete();
    expect(having(create(), claim(), untold).value).toBe('completed');
    expect(refused(having(create(), claim(), expire()), untold)?.code).toBe('STALE_TOKEN');
    expect(refused(owned, { ...untold, by: 'gamma' })?.code).toBe('NOT_OWNER');
  });

  it('is remembered of the latest owners only', () => {
    const swarms = Array.from({ length: maxPastOwners + 1 }, (_, i) => `${i}`);
    const events = swarms.flatMap((owner, i) => [claim({ owner }), release({ by: owner, token: token(i + 1) })]);
    const { context } = having(create(), ...events);
    expect(Object.keys(context.past_owners)).toHaveLength(maxPastOwners);
    expect(context.past_owners).not.toHaveProperty('0');
    expect(context.past_owners).toHaveProperty(`${maxPastOwners}`, token(maxPastOwners + 1));
    expect(context.attempt).toBe(0);
  });

  it('of a swarm named like a property of every object is told apart', () => {
    expect(refused(owned, complete({ by: 'constructor' }))?.code).toBe('NOT_OWNER');
  });
});

describe('a lease', () => {
  it('that is over returns the task, or fails it at the last attempt', () => {
    expect(having(create(), claim(), expire())).toMatchObject({
      value: 'available',
      context: { owner: null, attempt: 1, failure_reason: 'lease_expired', past_owners: { beta: token(1) } },
    });
    expect(having(create({ retry_backoff_ms: 9 }), claim(), expire()).value).toBe('waiting');
    const last = having(create({ max_attempts: 1 }), claim(), start({ at: t0 + 10 }), expire());
    expect(last).toMatchObject({ status: 'done', value: 'failed', context: { owner: null } });
    expect(refused(last, complete())?.code).toBe('STALE_TOKEN');
  });

  it('never ends early: neither before the recorded nor before the renewed deadline', () => {
    const task = having(create(), claim());
    expect(refused(task, expire({ at: t0 + 30_009 }))).toMatchObject({
      code: 'TASK_NOT_AVAILABLE',
      details: { lease_expires_at: t0 + 30_010 },
    });
    expect(refused(task, expire({ at: t0 + 30_010, lease_expires_at: t0 + 40_000 }))?.code).toBe('TASK_NOT_AVAILABLE');
    expect(refused(task, expire({ at: t0 + 20_000, lease_expires_at: t0 }))?.code).toBe('TASK_NOT_AVAILABLE');
    expect(refused(task, expire({ at: t0 + 40_000, lease_expires_at: t0 + 40_000 }))).toBeUndefined();
  });

  it('of an ownership that has ended does nothing', () => {
    const task = having(create(), claim(), release(), claim({ at: t0 + 40 }));
    expect(refused(task, expire({ at: t0 + 1e9 }))?.code).toBe('STALE_TOKEN');
  });

  it('does not run while the task is blocked', () => {
    const blocked = having(create(), claim(), block());
    expect(refused(blocked, expire({ at: t0 + 1e9 }))?.code).toBe('TASK_NOT_AVAILABLE');
  });
});

describe('an owner who is lost', () => {
  it('loses the attempt when offline, and gets it back on unregistering', () => {
    expect(having(create(), claim(), ownerLost('offline'))).toMatchObject({
      value: 'available',
      context: { attempt: 1, failure_reason: 'owner_offline' },
    });
    expect(having(create({ max_attempts: 1 }), claim(), ownerLost('offline')).value).toBe('failed');
    expect(having(create({ max_attempts: 1 }), claim(), ownerLost('unregistered'))).toMatchObject({
      value: 'available',
      context: { attempt: 0, failure_reason: 'owner_unregistered' },
    });
    expect(having(create({ retry_backoff_ms: 9 }), claim(), ownerLost('offline')).value).toBe('waiting');
  });

  it('is lost also from a blocked task, whose lease does not run', () => {
    expect(having(create(), claim(), block(), ownerLost('offline'))).toMatchObject({
      value: 'available',
      context: { blocker_id: null, blocked_from: null, blocked_at: null },
    });
  });

  it('must be the owner', () => {
    expect(refused(having(create(), claim()), ownerLost('offline', { owner: 'gamma' }))?.code).toBe('NOT_OWNER');
  });
});
