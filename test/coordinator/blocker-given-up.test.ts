/** A blocked task whose ownership ends: its blocker is resolved in the same commit. */
import { describe, expect, it } from 'vitest';
import { moot } from '../../actors/coordinator/blockers/blocker-plan.ts';
import { existing, send } from '../../actors/coordinator/tasks/task-plan.ts';
import type { BlockerContext } from '../../machines/blocker/context.ts';
import { blockerMachine } from '../../machines/blocker/machine.ts';
import { cause, release } from '../store/fixtures.ts';
import { blockerWorld, history, type Process, report } from './blocker-parts.ts';

describe('a blocked task that its owner gives up', () => {
  const givingUp = async (at: Process) =>
    await at.store.transact({ by: 'beta', trace_id: 't' }, async (view) => {
      const blocked = await existing(view, 't');
      return {
        send: [send(blocked, release('beta', blocked.last!)), ...(await moot(view, blocked))],
        answer: () => undefined,
      };
    });

  it('takes its blocker with it, and its helpers are told', async () => {
    const { one, owned, task } = blockerWorld();
    await owned();
    const { blocker_id } = await one.blockers.report('beta', { ...report, task_id: 't' });
    const helped = async (event: { type: string }) =>
      await one.store.dispatch(blockerMachine, blocker_id, event, { by: 'gamma', trace_id: 'trace-1' });
    await helped({ type: 'INVITE', swarm_ids: ['gamma'] } as never);
    await helped({ type: 'JOIN', by: 'gamma' } as never);
    one.told.length = 0;
    await givingUp(one);
    expect(await task()).toMatchObject({ state: 'available', blocker_id: null });
    expect(await one.blockers.get(blocker_id)).toMatchObject({
      state: 'resolved',
      resolved_by: 'IF.coordinator',
      resolution: 'the task is no longer blocked: its ownership has ended',
      trace_id: 'trace-1',
    });
    expect(one.told.map(({ to, notice }) => [to, notice.type])).toEqual([['gamma', 'blocker_resolved']]);
  });

  it('leaves a blocker alone that is resolved already', async () => {
    const { log, one, other, owned, task } = blockerWorld();
    await owned();
    const { blocker_id } = await one.blockers.report('beta', { ...report, task_id: 't' });
    const resolve = { type: 'RESOLVE', by: 'operator', resolution: 'done' };
    await other.store.dispatch(blockerMachine, blocker_id, resolve, cause);
    await givingUp(one);
    expect((await task()).state).toBe('available');
    const stored = await log.read({ kind: 'blocker', id: blocker_id });
    expect((stored!.record.snapshot.context as BlockerContext).resolved_by).toBe('operator');
  });

  it('has none to resolve when it is not blocked', async () => {
    const { log, one, owned } = blockerWorld();
    await owned();
    await givingUp(one);
    expect(history(log.all)).toEqual(['task CREATE', 'task CLAIM', 'task RELEASE']);
  });
});
