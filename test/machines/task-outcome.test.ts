import { describe, expect, it } from 'vitest';
import { decide } from '../../machines/machine.ts';
import { sameCompletion } from '../../machines/task/content.ts';
import type { TaskContext, TaskState } from '../../machines/task/context.ts';
import type { TaskEvent } from '../../machines/task/events.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { fold } from './fold.ts';
import {
  block,
  cancel,
  claim,
  complete,
  create,
  due,
  fail,
  having,
  refused,
  release,
  start,
  t0,
  token,
  unblock,
} from './task-events.ts';

describe('work', () => {
  it('is completed from claimed as from in_progress, and keeps who did it', () => {
    for (const events of [[claim()], [claim(), start()]]) {
      const completed = having(create(), ...events, complete({ cost: { cost_usd: 0.25, tokens_in: 7 } }));
      expect(completed).toMatchObject({ status: 'done', value: 'completed' });
      expect(completed.context).toMatchObject({
        owner: 'beta',
        token: token(1),
        result: { ok: true },
        cost: { cost_usd: 0.25, tokens_in: 7 },
        lease_expires_at: null,
        reserved_usd: null,
        error: null,
        completed_at: t0 + 30,
      });
    }
  });

  it('that is started renews the lease and never shortens it', () => {
    const { context } = having(create(), claim(), start({ at: t0 + 5_000 }));
    expect(context).toMatchObject({ started_at: t0 + 5_000, lease_expires_at: t0 + 35_000 });
    expect(having(create(), claim(), start({ at: t0 - 5_000 })).context.lease_expires_at).toBe(t0 + 30_010);
  });

  it('costs an amount of money or nothing', () => {
    const task = having(create(), claim());
    expect(refused(task, complete({ cost: { cost_usd: -1 } }))?.code).toBe('INVALID_REQUEST');
    expect(refused(task, complete({ cost: { cost_usd: Number.NaN } }))?.code).toBe('INVALID_REQUEST');
    expect(refused(task, complete({ cost: null }))).toBeUndefined();
  });

  it('that is done is refused to be done again, and the same completion is known', () => {
    const { value, context } = having(create(), claim(), complete());
    const again = (fields = {}) => sameCompletion(value as TaskState, context, complete({ at: t0 + 99, ...fields }));
    expect(refused({ status: 'done', value, context }, complete())).toMatchObject({
      code: 'TASK_NOT_AVAILABLE',
      details: { state: 'completed' },
    });
    expect(again()).toBe(true);
    expect(again({ result: { ok: false } })).toBe(false);
    expect(again({ cost: { cost_usd: 1 } })).toBe(false);
    expect(again({ by: 'gamma' })).toBe(false);
    expect(again({ token: 1 })).toBe(false);
  });
});

describe('an attempt', () => {
  it('that fails makes the task available again while attempts are left', () => {
    const failed = having(create(), claim(), start(), fail());
    expect(failed.value).toBe('available');
    expect(failed.context).toMatchObject({
      owner: null,
      token: null,
      attempt: 1,
      error: 'it broke',
      failure_reason: 'owner_failed',
      claimed_at: null,
      started_at: null,
      available_at: t0 + 30,
    });
  });

  it('that fails waits for the back-off before the next', () => {
    const failed = having(create({ retry_backoff_ms: 500 }), claim(), fail({ at: t0 + 30 }));
    expect(failed).toMatchObject({ value: 'waiting', context: { due_at: t0 + 530, not_before: null } });
    expect(refused(failed, due(t0 + 529))?.code).toBe('TASK_NOT_AVAILABLE');
    expect(fold(taskMachine, [due(t0 + 530)], failed)).toMatchObject({ value: 'available', context: { due_at: null } });
  });

  it('that is the last, or not to be repeated, fails the task for good', () => {
    const last = having(create({ max_attempts: 1, retry_backoff_ms: 500 }), claim(), fail());
    expect(last).toMatchObject({ status: 'done', value: 'failed', context: { owner: 'beta', completed_at: t0 + 30 } });
    const given = having(create(), claim(), fail({ retryable: false }));
    expect(given).toMatchObject({ status: 'done', value: 'failed', context: { attempt: 1 } });
  });

  it('is given back by a release', () => {
    let task = having(create({ max_attempts: 1, retry_backoff_ms: 500 }));
    for (let ownership = 1; ownership <= 4; ownership += 1) {
      task = fold(taskMachine, [claim()], task);
      expect(task.context.attempt).toBe(1);
      task = fold(taskMachine, [release({ token: token(ownership) })], task);
      expect(task).toMatchObject({ value: 'available', context: { attempt: 0, ownerships: ownership } });
    }
  });

  it('leaves no error behind once a later one succeeds', () => {
    const { context } = having(create(), claim(), fail(), claim(), complete({ token: token(2) }));
    expect(context).toMatchObject({ error: null, failure_reason: null, attempt: 2 });
  });
});

describe('a blocker', () => {
  it('suspends the lease, and its end brings the task back where it was with a fresh one', () => {
    for (const [events, state] of [
      [[claim()], 'claimed'],
      [[claim(), start()], 'in_progress'],
    ] as const) {
      const blocked = having(create(), ...events, block());
      expect(blocked).toMatchObject({
        value: 'blocked',
        context: { owner: 'beta', token: token(1), lease_expires_at: null, blocked_from: state },
      });
      expect(fold(taskMachine, [unblock('blocker-1', t0 + 99)], blocked)).toMatchObject({
        value: state,
        context: { owner: 'beta', token: token(1), lease_expires_at: t0 + 30_099, blocker_id: null, attempt: 1 },
      });
    }
  });

  it('is lifted by its own id only', () => {
    const blocked = having(create(), claim(), block());
    expect(refused(blocked, unblock('other'))?.details).toEqual({ blocker_id: 'blocker-1' });
    expect(refused(having(create(), claim()), unblock())?.code).toBe('TASK_NOT_AVAILABLE');
  });

  it('stands in the way of completing, not of giving up', () => {
    const blocked = having(create(), claim(), block());
    expect(refused(blocked, complete())?.code).toBe('TASK_NOT_AVAILABLE');
    expect(refused(blocked, start())?.code).toBe('TASK_NOT_AVAILABLE');
    expect(fold(taskMachine, [release()], blocked).value).toBe('available');
    expect(fold(taskMachine, [fail()], blocked).value).toBe('available');
  });
});

describe('cancelling', () => {
  it('is for the creator and operators', () => {
    const task = having(create(), claim());
    expect(refused(task, cancel({ by: 'beta' }))).toMatchObject({
      code: 'UNAUTHORIZED',
      details: { created_by: 'alpha' },
    });
    expect(refused(task, cancel({ by: 'operator' }))).toBeUndefined();
  });

  it.each([
    ['waiting', [create({ depends_on: ['a'] })]],
    ['available', [create()]],
    ['claimed', [create(), claim()]],
    ['in_progress', [create(), claim(), start()]],
    ['blocked', [create(), claim(), block()]],
  ] as const)('ends a task that is %s', (state, events) => {
    expect(having(...events).value).toBe(state);
    expect(having(...events, cancel({ reason: 'not needed' }))).toMatchObject({
      status: 'done',
      value: 'cancelled',
      context: { cancelled_by: 'alpha', cancel_reason: 'not needed', lease_expires_at: null, completed_at: t0 + 60 },
    });
  });

  it('tells the owner what happened when the work comes in', () => {
    const refusal = refused(having(create(), claim(), cancel()), complete());
    expect(refusal).toMatchObject({ code: 'TASK_NOT_AVAILABLE', details: { state: 'cancelled' } });
  });
});

describe('an event of no known type', () => {
  it.each(['NONSENSE', '', '*', 'constructor', 'xstate.init'])('is refused: %j', (type) => {
    const verdict = decide(taskMachine, having(create()), { type, at: t0 } as unknown as TaskEvent);
    expect(verdict).toMatchObject({ accepted: false, refusal: { code: 'INVALID_REQUEST' } });
  });
});

describe('the context of a task', () => {
  it('has the same fields from its creation to its end', () => {
    const fields = (context: TaskContext) => Object.keys(context).sort();
    const all = [create(), claim(), start(), block(), unblock(), complete()];
    for (let n = 1; n <= all.length; n += 1) {
      expect(fields(having(...all.slice(0, n)).context)).toEqual(fields(taskMachine.absent.context));
    }
  });
});
