import { describe, expect, it } from 'vitest';
import { sameContent } from '../../machines/task/content.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { claim, complete, create, dependencyFailed, done, due, fail, having, refused, t0 } from './task-events.ts';

describe('creating a task', () => {
  it('makes it available at once when nothing is waited for', () => {
    const { value, context } = having(create());
    expect(value).toBe('available');
    expect(context).toMatchObject({ created_by: 'alpha', trace_id: 'trace-1', created_at: t0, available_at: t0 });
  });

  it('fills in the defaults', () => {
    expect(having(create()).context).toMatchObject({
      priority: 0,
      requires: [],
      depends_on: [],
      max_attempts: 3,
      lease_ms: 30_000,
      retry_backoff_ms: 0,
      on_dependency_failure: 'fail',
      cost_estimate: null,
      metadata: {},
      attempt: 0,
      owner: null,
      token: null,
    });
  });

  it('lets it wait for open dependencies and for its time', () => {
    expect(having(create({ depends_on: ['a'] })).value).toBe('waiting');
    expect(having(create({ depends_on: ['a'], open_dependencies: [] })).value).toBe('available');
    expect(having(create({ not_before: t0 + 1 })).value).toBe('waiting');
    expect(having(create({ not_before: t0 })).value).toBe('available');
  });

  it('fails it at once when a dependency has failed already, unless it is told to wait', () => {
    const fields = { depends_on: ['a'], failed_dependencies: ['a'] };
    const failed = having(create(fields));
    expect(failed).toMatchObject({ status: 'done', value: 'failed' });
    expect(failed.context).toMatchObject({ failure_reason: 'dependency_failed', completed_at: t0, available_at: null });
    const waiting = having(create({ ...fields, on_dependency_failure: 'wait' }));
    expect(waiting).toMatchObject({ value: 'waiting', context: { failed_dependencies: ['a'] } });
  });

  it.each([
    ['task_type', ''],
    ['priority', 0.5],
    ['max_attempts', 0],
    ['lease_ms', 999],
    ['lease_ms', 86_400_001],
    ['retry_backoff_ms', -1],
    ['not_before', Number.NaN],
    ['cost_estimate', 0.0000001],
    ['concurrency_limit', 0],
  ])('refuses %s %s and says so', (field, value) => {
    const refusal = refused(taskMachine.absent, create({ [field]: value }));
    expect(refusal).toMatchObject({ code: 'INVALID_REQUEST', details: { field } });
    expect(refusal?.message).toContain(JSON.stringify(value));
  });

  it('refuses open dependencies that it does not have', () => {
    expect(refused(taskMachine.absent, create({ open_dependencies: ['x'] }))?.code).toBe('INVALID_REQUEST');
  });

  it('is refused for an id that is taken', () => {
    expect(refused(having(create()), create())).toMatchObject({ code: 'TASK_EXISTS', details: { state: 'available' } });
  });

  it('comes before everything else', () => {
    expect(refused(taskMachine.absent, claim())?.code).toBe('TASK_NOT_FOUND');
    expect(refused(taskMachine.absent, complete())?.code).toBe('TASK_NOT_FOUND');
  });

  it('knows the same content again, with lists as sets and defaults filled in', () => {
    const { context } = having(
      create({ requires: ['x', 'y'], depends_on: ['a', 'b'], metadata: { k: [1, { z: 2 }] } }),
    );
    const again = create({
      at: t0 + 999,
      by: 'gamma',
      trace_id: 'other',
      requires: ['y', 'x', 'y'],
      depends_on: ['b', 'a'],
      open_dependencies: [],
      metadata: { k: [1, { z: 2 }] },
      priority: 0,
      lease_ms: 30_000,
    });
    expect(sameContent(context, again)).toBe(true);
    expect(sameContent(context, { ...again, priority: 1 })).toBe(false);
    expect(sameContent(context, { ...again, metadata: { k: [{ z: 2 }, 1] } })).toBe(false);
    expect(sameContent(context, { ...again, requires: ['x'] })).toBe(false);
    expect(sameContent(context, { ...again, cost_estimate: 1 })).toBe(false);
    expect(sameContent(context, { ...again, on_dependency_failure: 'wait' })).toBe(false);
  });

  it('knows the same content again after a back-off has moved the time of the next attempt', () => {
    const event = create({ retry_backoff_ms: 500 });
    expect(sameContent(having(event, claim(), fail()).context, event)).toBe(true);
  });
});

describe('dependencies', () => {
  it('make a task available when the last of them is done', () => {
    const one = having(create({ depends_on: ['a', 'b'] }), done('a'));
    expect(one).toMatchObject({ value: 'waiting', context: { open_dependencies: ['b'], depends_on: ['a', 'b'] } });
    expect(having(create({ depends_on: ['a', 'b'] }), done('a'), done('b', t0 + 7))).toMatchObject({
      value: 'available',
      context: { open_dependencies: [], available_at: t0 + 7 },
    });
  });

  it('do not make it available before its time', () => {
    const early = having(create({ depends_on: ['a'], not_before: t0 + 100 }), done('a', t0 + 99));
    expect(early.value).toBe('waiting');
    expect(having(create({ depends_on: ['a'], not_before: t0 + 100 }), done('a', t0 + 100)).value).toBe('available');
  });

  it('count once: a dependency that is not open any more changes nothing', () => {
    const waiting = having(create({ depends_on: ['a', 'b'] }), done('a'));
    expect(refused(waiting, done('a'))?.code).toBe('TASK_NOT_AVAILABLE');
    expect(refused(waiting, dependencyFailed('x'))?.code).toBe('TASK_NOT_AVAILABLE');
  });

  it('that fail fail the task with a reason', () => {
    const failed = having(create({ depends_on: ['a'] }), dependencyFailed('a', 'cancelled by operator'));
    expect(failed).toMatchObject({ status: 'done', value: 'failed', context: { failure_reason: 'dependency_failed' } });
    expect(failed.context.error).toContain('a failed: cancelled by operator');
  });

  it('that fail leave the task waiting where it is told so, and are on record once', () => {
    const waiting = having(create({ depends_on: ['a'], on_dependency_failure: 'wait' }), dependencyFailed('a'));
    expect(waiting).toMatchObject({ value: 'waiting', context: { failed_dependencies: ['a'], error: null } });
    expect(refused(waiting, dependencyFailed('a'))?.code).toBe('TASK_NOT_AVAILABLE');
  });
});

describe('the time of a task', () => {
  it('comes with DUE, neither early nor while dependencies are open', () => {
    const waiting = having(create({ not_before: t0 + 100 }));
    expect(refused(waiting, due(t0 + 99))).toMatchObject({
      code: 'TASK_NOT_AVAILABLE',
      details: { due_at: t0 + 100 },
    });
    expect(having(create({ not_before: t0 + 100 }), due(t0 + 100)).value).toBe('available');
    const both = having(create({ not_before: t0 + 100, depends_on: ['a'] }));
    expect(refused(both, due(t0 + 200))?.details).toEqual({ open_dependencies: ['a'] });
  });

  it('does nothing to a task that is not waiting', () => {
    expect(refused(having(create(), claim()), due(t0 + 1e9))?.code).toBe('TASK_NOT_AVAILABLE');
  });
});
