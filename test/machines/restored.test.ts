import { describe, expect, it } from 'vitest';
import { decide, type MachineEvent, type Restored } from '../../machines/machine.ts';
import { kinds, machineOf } from '../../machines/registry.ts';
import { sameCompletion } from '../../machines/task/content.ts';
import { maxPastOwners, type TaskState } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { ownershipOf, tokenOf } from '../../machines/token.ts';
import { decisions, fold, isPlainJson } from './fold.ts';
import { block, claim, complete, create, expire, fail, having, release, start, t0, token } from './task-events.ts';

function restored(fields: Partial<Restored> = {}): Restored {
  const entry = { chain: 'IF_actors/1', seq: 7, content_hash: 'ab'.repeat(32) };
  return { type: 'RESTORED', at: t0 + 60_000, epoch: 2, ...entry, ...fields };
}

/** The task after it was restored, and perhaps more. */
function later(task: ReturnType<typeof having>, ...events: Array<Restored | MachineEvent>) {
  return fold(taskMachine, events as never[], task);
}

function refusal(task: ReturnType<typeof having>, event: MachineEvent) {
  const verdict = decide(taskMachine, task, event as never);
  return verdict.accepted ? undefined : verdict.refusal;
}

describe('an actor that is restored', () => {
  it('of any kind and in any state is what it was', () => {
    for (const kind of kinds) {
      const machine = machineOf(kind)!;
      const snapshot = { status: 'done', value: 'anything', context: { owner: null, ownerships: 0, past_owners: {} } };
      expect(decide(machine, snapshot as never, restored())).toEqual({ accepted: true, snapshot });
    }
  });

  it('must have been there, and is named with the entry that it comes from', () => {
    for (const kind of kinds) {
      const machine = machineOf(kind)!;
      expect(decide(machine, machine.absent, restored())).toMatchObject({ refusal: { code: 'INVALID_REQUEST' } });
    }
    for (const wrong of [
      { epoch: 0 },
      { epoch: 2 ** 21 },
      { epoch: 1.5 },
      { seq: 0 },
      { content_hash: 'AB'.repeat(32) },
    ])
      expect(refusal(having(create()), restored(wrong))?.code).toBe('INVALID_REQUEST');
  });

  it('and has ended stays as it ended', () => {
    for (const end of [complete(), fail({ retryable: false })]) {
      const ended = having(create(), claim(), end);
      expect(later(ended, restored())).toEqual(ended);
    }
  });
});

describe('an owned task that is restored', () => {
  const claimed = having(create({ lease_ms: 5_000 }), claim());

  it('keeps its owner and attempt, under a greater token and with a lease that starts over', () => {
    const { context, value } = later(claimed, restored());
    expect({ ...context, value }).toEqual({
      ...claimed.context,
      value: 'claimed',
      token: tokenOf(2, 1),
      past_owners: { beta: token(1) },
      lease_expires_at: t0 + 65_000,
    });
    expect(isPlainJson(context)).toBe(true);
  });

  it('is finished by an owner who did not notice, with the token of before', () => {
    const restoredTask = later(claimed, restored());
    const begun = later(restoredTask, start({ token: token(1), at: t0 + 60_010 }));
    expect(begun.value).toBe('in_progress');
    expect(later(begun, complete({ token: token(1) })).value).toBe('completed');
    expect(later(restoredTask, complete({ token: tokenOf(2, 1) })).value).toBe('completed');
  });

  it('is finished with any token that the ownership ever had, after several losses', () => {
    const twice = later(claimed, restored(), restored({ epoch: 3, seq: 2 }));
    expect(twice.context.token).toBe(tokenOf(3, 1));
    for (const epoch of [1, 2, 3]) expect(later(twice, complete({ token: tokenOf(epoch, 1) })).value).toBe('completed');
  });

  it('knows a completion that is told again, under whichever token it was completed', () => {
    const completed = later(claimed, restored(), complete({ token: token(1) }));
    const again = (by: string, shown: number) =>
      sameCompletion(completed.value as TaskState, completed.context, complete({ by, token: shown }));
    expect([again('beta', token(1)), again('beta', tokenOf(2, 1))]).toEqual([true, true]);
    expect([again('gamma', token(1)), again('beta', token(2)), again('beta', tokenOf(3, 1))]).toEqual([
      false,
      false,
      false,
    ]);
  });

  it('refuses tokens that the ownership never had', () => {
    const restoredTask = later(claimed, restored());
    for (const wrong of [tokenOf(1, 2), tokenOf(2, 2), tokenOf(3, 1), tokenOf(0, 1)])
      expect(refusal(restoredTask, start({ token: wrong }))?.code).toBe('STALE_TOKEN');
    expect(refusal(restoredTask, start({ token: token(1), by: 'gamma' }))?.code).toBe('NOT_OWNER');
  });

  it('ends its lease under the new token only', () => {
    const restoredTask = later(claimed, restored());
    const end = { at: t0 + 65_000, lease_expires_at: t0 + 65_000 };
    expect(refusal(restoredTask, expire({ ...end, token: token(1) }))?.code).toBe('STALE_TOKEN');
    const expired = later(restoredTask, expire({ ...end, token: tokenOf(2, 1) }));
    expect(expired.value).toBe('available');
    expect(refusal(expired, complete({ token: token(1) }))?.code).toBe('STALE_TOKEN');
  });

  it('has no lease while it is blocked', () => {
    const blocked = having(create(), claim(), block());
    expect(later(blocked, restored()).context).toMatchObject({ token: tokenOf(2, 1), lease_expires_at: null });
  });

  it('remembers no more past owners than others do', () => {
    let task = having(create({ max_attempts: 1_000 }));
    for (let i = 1; i <= maxPastOwners; i++) {
      task = later(task, claim({ owner: `s${i}` }), release({ by: `s${i}`, token: token(i) }));
    }
    task = later(task, claim({ owner: 'last' }), restored());
    expect(Object.keys(task.context.past_owners)).toHaveLength(maxPastOwners);
    expect(later(task, complete({ by: 'last', token: token(maxPastOwners + 1) })).value).toBe('completed');
  });

  it('cannot be restored into an epoch that its token is of, or an earlier one', () => {
    const inThird = having(create(), claim({ epoch: 3 }));
    for (const epoch of [1, 2, 3]) expect(refusal(inThird, restored({ epoch }))?.code).toBe('CONFLICT');
    expect(ownershipOf(later(inThird, restored({ epoch: 4 })).context.token!)).toBe(1);
  });
});

describe('a task that is restored and not owned', () => {
  it('gives out tokens greater than all of the past, also of owners that the log lost', () => {
    const task = having(create(), claim(), release());
    const [, again] = decisions(taskMachine, [restored(), claim({ epoch: 2, at: t0 + 60_001 })] as never[], task);
    expect(again?.after.context.token).toBe(tokenOf(2, 2));
  });
});
