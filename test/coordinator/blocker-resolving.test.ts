/** Who may resolve a blocker, what becomes of its task, and who is told. */
import { describe, expect, it } from 'vitest';
import { blockerMachine } from '../../machines/blocker/machine.ts';
import { blockerWorld, history, refusal, report } from './blocker-parts.ts';

describe('resolving a blocker', () => {
  const blocked = async () => {
    const world = blockerWorld();
    const { one } = world;
    const token = await world.owned();
    const { blocker_id } = await one.blockers.report('beta', { ...report, task_id: 't' });
    one.told.length = 0;
    return { ...world, token, blocker_id };
  };

  it.each(['claimed', 'in_progress'])('puts a task that was %s back there, with a fresh lease', async (state) => {
    const { clock, dispatch, log, one, owned, task } = blockerWorld();
    const token = await owned();
    if (state === 'in_progress') await dispatch({ type: 'START', by: 'beta', token } as never);
    const { blocker_id } = await one.blockers.report('beta', { ...report, task_id: 't' });
    await clock.advance(100_000);
    const before = log.all.length;
    expect(await one.blockers.resolve('operator', blocker_id, 'access granted')).toMatchObject({
      blocker_id,
      state: 'resolved',
      resolution: 'access granted',
      resolved_by: 'operator',
      resolved_at: clock.now(),
    });
    expect(await task()).toMatchObject({ state, owner: 'beta', token, lease_expires_at: clock.now() + 30_000 });
    expect(history(log.all.slice(before))).toEqual(['blocker RESOLVE', 'task UNBLOCK']);
  });

  it('puts the task back also where its block was not seen yet', async () => {
    const { one, other, owned, task } = blockerWorld();
    await owned();
    await other.store.read({ kind: 'task', id: 't' });
    const { blocker_id } = await one.blockers.report('beta', { ...report, task_id: 't' });
    await other.blockers.resolve('beta', blocker_id, 'done');
    expect((await task()).state).toBe('claimed');
  });

  it('tells the owner, and the helpers that did not do it', async () => {
    const { blocker_id, clock, one } = await blocked();
    const change = async (event: { type: string }) =>
      await one.store.dispatch(blockerMachine, blocker_id, event, { by: 'IF.governor', trace_id: 'trace-1' });
    await change({ type: 'INVITE', swarm_ids: ['gamma', 'delta', 'epsilon'] } as never);
    for (const by of ['gamma', 'delta']) await change({ type: 'JOIN', by } as never);
    expect(await one.blockers.report('beta', { ...report, task_id: 't' })).toEqual({
      blocker_id,
      helpers: ['gamma', 'delta', 'epsilon'],
    });
    expect(await refusal(one.blockers.resolve('epsilon', blocker_id, 'done'))).toBe('UNAUTHORIZED');
    one.told.length = 0;
    await one.blockers.resolve('gamma', blocker_id, 'done');
    expect(one.told.map(({ to, type, notice }) => [to, type, notice.type])).toEqual([
      ['beta', 'control', 'blocker_resolved'],
      ['delta', 'control', 'blocker_resolved'],
    ]);
    expect(one.told[0]?.notice).toEqual({
      id: `blocker-resolved.${blocker_id}`,
      type: 'blocker_resolved',
      blocker_id,
      task_id: 't',
      resolved_by: 'gamma',
      resolution: 'done',
      at: clock.now(),
    });
  });

  it('is not for strangers, and changes nothing then', async () => {
    const { blocker_id, one, task } = await blocked();
    const { n } = await task();
    expect(await refusal(one.blockers.resolve('gamma', blocker_id, 'done'))).toBe('UNAUTHORIZED');
    expect(await refusal(one.blockers.resolve('alpha', blocker_id, 'done'))).toBe('UNAUTHORIZED');
    expect(await task()).toMatchObject({ state: 'blocked', n });
    expect(one.told).toEqual([]);
  });

  it('of one that does not exist says so, and so does a look at it', async () => {
    const { one } = blockerWorld();
    expect(await refusal(one.blockers.resolve('operator', 'nowhere', 'done'))).toBe('TARGET_NOT_FOUND');
    expect(await refusal(one.blockers.get('nowhere'))).toBe('TARGET_NOT_FOUND');
  });

  it('returns the blocker when it is repeated, and refuses another resolution', async () => {
    const { blocker_id, log, one, other } = await blocked();
    const resolved = await one.blockers.resolve('beta', blocker_id, 'done');
    const written = log.all.length;
    expect(await one.blockers.resolve('beta', blocker_id, 'done')).toEqual(resolved);
    expect(await other.blockers.resolve('beta', blocker_id, 'done')).toEqual(resolved);
    expect(await refusal(other.blockers.resolve('beta', blocker_id, 'differently'))).toBe('CONFLICT');
    expect(await refusal(other.blockers.resolve('operator', blocker_id, 'done'))).toBe('CONFLICT');
    expect(log.all.length).toBe(written);
  });

  it('by several at once is done once, and the task is unblocked once', async () => {
    const { blocker_id, log, one, other } = await blocked();
    const answers = await Promise.all(
      [one, other, one, other].map(
        async ({ blockers }, i) => await refusal(blockers.resolve(i < 2 ? 'beta' : 'operator', blocker_id, 'done')),
      ),
    );
    expect(answers.toSorted()).toEqual(['CONFLICT', 'CONFLICT', 'no error', 'no error']);
    expect(history(log.all).filter((entry) => /RESOLVE|UNBLOCK/.test(entry))).toEqual([
      'blocker RESOLVE',
      'task UNBLOCK',
    ]);
  });
});
