import { describe, expect, it } from 'vitest';
import { sameCompletion } from '../../machines/task/content.ts';
import { maxAsked, type TaskState } from '../../machines/task/context.ts';
import type { CompleteTask } from '../../machines/task/events.ts';
import {
  assignTo,
  cancel,
  claim,
  complete,
  create,
  done,
  fail,
  having,
  ownerLost,
  refused,
  release,
  t0,
} from './task-events.ts';

const toAssign = create({ assign: true, assign_timeout_ms: 1_000 });

describe('a task that is to be assigned', () => {
  it('is kept from everyone until it is assigned, or the time for that is over', () => {
    const created = having(toAssign);
    expect(created.context.assignment).toEqual({ to: null, until: t0 + 1_000, asked: [], reason: null });
    expect(refused(created, claim({ at: t0 + 999 }))).toMatchObject({
      code: 'TASK_NOT_AVAILABLE',
      details: { assigned_to: null, until: t0 + 1_000 },
    });
    expect(refused(created, claim({ at: t0 + 1_000 }))).toBeUndefined();
  });

  it('is kept for the swarm that it is assigned to, and after its time for no one', () => {
    const assigned = having(toAssign, assignTo('beta'));
    expect(assigned.value).toBe('available');
    expect(assigned.context.assignment).toEqual({
      to: 'beta',
      until: t0 + 1_002,
      asked: [{ swarm_id: 'beta', at: t0 + 2, until: t0 + 1_002, match_score: 1, combined_score: 0.5 }],
      reason: 'beta is best',
    });
    expect(refused(assigned, claim({ owner: 'beta' }))).toBeUndefined();
    expect(refused(assigned, claim({ owner: 'gamma' }))).toMatchObject({ details: { assigned_to: 'beta' } });
    expect(refused(assigned, claim({ owner: 'gamma', at: t0 + 1_002 }))).toBeUndefined();
  });

  it('goes to the next one only when the time of the last is over, and to each once', () => {
    const assigned = having(toAssign, assignTo('beta'));
    const early = { at: t0 + 1_001, until: t0 + 2_000 };
    const later = { at: t0 + 1_002, until: t0 + 2_000 };
    expect(refused(assigned, assignTo('gamma', early))?.code).toBe('CONFLICT');
    expect(refused(assigned, assignTo(null, early))?.code).toBe('CONFLICT');
    expect(refused(assigned, assignTo('beta', later))?.code).toBe('CONFLICT');
    const next = having(toAssign, assignTo('beta'), assignTo('gamma', later));
    expect(next.context.assignment?.asked.map(({ swarm_id }) => swarm_id)).toEqual(['beta', 'gamma']);
    expect(refused(next, claim({ owner: 'beta', at: t0 + 1_500 }))?.code).toBe('TASK_NOT_AVAILABLE');
  });

  it('goes on before that time when the swarm that it is kept for cannot claim it any more, and not for any other one', () => {
    const assigned = having(toAssign, assignTo('beta'));
    const early = (to: string | null, swarm_id: string) =>
      assignTo(to, { at: t0 + 3, until: t0 + 1_003, passed_over: { swarm_id, why: 'offline' } });
    expect(refused(assigned, early('gamma', 'beta'))).toBeUndefined();
    expect(refused(assigned, early(null, 'beta'))).toBeUndefined();
    expect(refused(assigned, early('beta', 'beta'))?.code).toBe('CONFLICT');
    expect(refused(assigned, early('gamma', 'delta'))?.code).toBe('CONFLICT');
    const next = having(toAssign, assignTo('beta'), early('gamma', 'beta'));
    expect(next.context.assignment?.asked.map(({ swarm_id }) => swarm_id)).toEqual(['beta', 'gamma']);
    expect(refused(next, claim({ owner: 'beta', at: t0 + 4 }))?.code).toBe('TASK_NOT_AVAILABLE');
    expect(refused(next, early('delta', 'beta'))?.code).toBe('CONFLICT');
    const unheardOf = assignTo('gamma', { passed_over: { swarm_id: 'beta', why: 'tired' as 'offline' } });
    expect(refused(assigned, unheardOf)).toMatchObject({
      code: 'INVALID_REQUEST',
      details: { field: 'passed_over' },
    });
  });

  it('is open to all at once when nobody is left, and that is said once', () => {
    const open = having(toAssign, assignTo(null));
    expect(open.context.assignment).toEqual({ to: null, until: t0 + 2, asked: [], reason: 'nobody is left' });
    expect(refused(open, claim({ at: t0 + 2 }))).toBeUndefined();
    expect(refused(open, assignTo(null))?.code).toBe('CONFLICT');
    expect(refused(open, assignTo('beta'))).toBeUndefined();
  });

  it('is assigned anew whenever it becomes available again', () => {
    const claimed = [toAssign, assignTo('beta'), claim()];
    expect(having(...claimed).context.assignment?.to).toBe('beta');
    for (const event of [release(), fail(), ownerLost('offline'), ownerLost('circuit_open')]) {
      expect(having(...claimed, event).context.assignment).toEqual({
        to: null,
        until: event.at + 1_000,
        asked: [],
        reason: null,
      });
    }
  });

  it('is assigned once its dependencies are done, not before', () => {
    const depending = create({ assign: true, assign_timeout_ms: 1_000, depends_on: ['a'] });
    const waiting = having(depending);
    expect(waiting.context.assignment).toBeNull();
    expect(refused(waiting, assignTo('beta'))?.code).toBe('TASK_NOT_AVAILABLE');
    expect(having(depending, done('a')).context.assignment?.until).toBe(t0 + 5 + 1_000);
  });

  it('takes the time of the built-in policy where its creation names none', () => {
    expect(having(create({ assign: true })).context).toMatchObject({
      assign_timeout_ms: 5_000,
      assignment: { until: t0 + 5_000 },
    });
  });

  it('is asked of a bounded number of swarms', () => {
    const asked = Array.from({ length: maxAsked }, (_, i) =>
      assignTo(`swarm-${i}`, { at: t0 + 10 * i, until: t0 + 10 * i + 10 }),
    );
    const at = t0 + 10 * maxAsked;
    const all = having(toAssign, ...asked);
    expect(refused(all, assignTo('beta', { at, until: at + 10 }))?.code).toBe('CAPACITY_EXCEEDED');
    expect(refused(all, assignTo(null, { at }))).toBeUndefined();
  });

  it.each([
    [assignTo('operator'), 'to'],
    [assignTo('Not A Swarm'), 'to'],
    [assignTo('beta', { until: t0 + 2 }), 'until'],
    [assignTo('beta', { until: Number.NaN }), 'until'],
  ])('is not assigned by %j', (event, field) => {
    expect(refused(having(toAssign), event)).toMatchObject({ code: 'INVALID_REQUEST', details: { field } });
  });

  it('is other content than one that is not', () => {
    expect(having(create()).context).toMatchObject({ assign: false, assign_timeout_ms: null, assignment: null });
    expect(refused(having(create()), assignTo('beta'))?.code).toBe('CONFLICT');
  });
});

describe('the money of an ownership', () => {
  const paid = [create({ cost_estimate: 0.5 }), claim({ reserve_usd: 0.5, fleet_reserve_usd: 0.5 })];

  it('is on the record of the task as long as it is held', () => {
    expect(having(...paid).context).toMatchObject({ reserved_usd: 0.5, fleet_reserved_usd: 0.5 });
    for (const end of [release(), fail(), complete(), cancel(), ownerLost('circuit_open')]) {
      expect(having(...paid, end).context).toMatchObject({ reserved_usd: null, fleet_reserved_usd: null });
    }
  });

  it('is taken for the cost of a completion that names none, which repeated is the same', () => {
    const completed = having(...paid, complete({ cost: { cost_usd: 0.5, estimated: true } }));
    const same = (fields: Partial<CompleteTask>) =>
      sameCompletion(completed.value as TaskState, completed.context, complete(fields));
    expect(same({})).toBe(true);
    expect(same({ cost: null })).toBe(true);
    expect(same({ cost: { cost_usd: 0.5, estimated: true } })).toBe(true);
    expect(same({ cost: { cost_usd: 0.5 } })).toBe(false);
    expect(same({ result: { ok: false } })).toBe(false);
    const named = having(...paid, complete({ cost: { cost_usd: 0.5 } }));
    expect(sameCompletion(named.value as TaskState, named.context, complete())).toBe(false);
  });

  it('gives the attempt back when the circuit of the owner opened', () => {
    expect(having(...paid, ownerLost('circuit_open'))).toMatchObject({
      value: 'available',
      context: { attempt: 0, failure_reason: 'owner_circuit_open', owner: null },
    });
  });
});
