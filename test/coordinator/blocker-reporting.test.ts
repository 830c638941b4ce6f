/** A swarm reports what blocks it: what is recorded, who is told, and what a repeated report does. */
import { describe, expect, it } from 'vitest';
import type { BlockerReport } from '../../actors/coordinator/blockers/blocker-reporting.ts';
import { blockerWorld, history, refusal, report } from './blocker-parts.ts';

describe('reporting a blocker', () => {
  it('blocks the task in the same commit, keeps its claim and suspends its lease', async () => {
    const { clock, log, one, owned, task } = blockerWorld();
    const token = await owned();
    await clock.advance(10);
    const { blocker_id, helpers } = await one.blockers.report('beta', { ...report, task_id: 't' });
    expect(helpers).toEqual([]);
    expect(await task()).toMatchObject({ state: 'blocked', owner: 'beta', token, blocker_id, lease_expires_at: null });
    expect(await one.blockers.get(blocker_id)).toMatchObject({
      blocker_id,
      ...report,
      state: 'escalated',
      escalation_reason: 'no swarm qualifies to help: asked for is ops:database, ops:access (at least 0.7 of that)',
      task_id: 't',
      reported_by: 'beta',
      helpers: [],
      reported_at: clock.now(),
      trace_id: 'trace-1',
      resolution: null,
    });
    expect(history(log.all)).toEqual(['task CREATE', 'task CLAIM', 'blocker REPORT', 'blocker ESCALATE', 'task BLOCK']);
  });

  it('tells the orchestrator at once', async () => {
    const { clock, one, owned } = blockerWorld();
    await owned();
    const { blocker_id } = await one.blockers.report('beta', { ...report, task_id: 't' });
    expect(one.told).toEqual([
      {
        to: 'alpha',
        type: 'control',
        notice: {
          id: `blocker-reported.${blocker_id}`,
          type: 'blocker_reported',
          blocker_id,
          task_id: 't',
          reported_by: 'beta',
          blocker_type: report.type,
          description: report.description,
          severity: 'high',
          required_capabilities: report.required_capabilities,
          at: clock.now(),
        },
      },
    ]);
  });

  it.each(['operator', 'beta', 'IF.importer'])(
    'tells a person of the blocker of a task that %s created',
    async (by) => {
      const { one, owned } = blockerWorld();
      await owned(by);
      await one.blockers.report('beta', { ...report, task_id: 't' });
      expect(one.told).toMatchObject([{ to: 'operator', type: 'escalation' }]);
    },
  );

  it('without a task tells a person, and blocks nothing', async () => {
    const { log, one } = blockerWorld();
    const { blocker_id } = await one.blockers.report('beta', { ...report, trace: 'trace-9' });
    expect(await one.blockers.get(blocker_id)).toMatchObject({ task_id: null, trace_id: 'trace-9' });
    expect(one.told).toMatchObject([{ to: 'operator', type: 'escalation', notice: { task_id: null } }]);
    expect(history(log.all)).toEqual(['blocker REPORT', 'blocker ESCALATE']);
  });

  it('is for the owner of the task, under the present token, while it is at work', async () => {
    const { dispatch, one, owned, task } = blockerWorld();
    const token = await owned();
    const reporting = async (by: string, fields: Partial<BlockerReport> = {}) =>
      await refusal(one.blockers.report(by, { ...report, task_id: 't', ...fields }));
    expect(await reporting('gamma')).toBe('NOT_OWNER');
    expect(await reporting('gamma', { token })).toBe('NOT_OWNER');
    expect(await reporting('beta', { token: token - 1 })).toBe('STALE_TOKEN');
    expect(await reporting('beta', { task_id: 'nowhere' })).toBe('TASK_NOT_FOUND');
    expect(await reporting('beta', { token })).toBe('no error');
    expect(await reporting('beta', { description: 'something else' })).toBe('TASK_NOT_AVAILABLE');
    const { blocker_id } = await task();
    await one.blockers.resolve('beta', blocker_id!, 'done');
    await dispatch({ type: 'RELEASE', by: 'beta', token } as never);
    expect(await reporting('beta')).toBe('STALE_TOKEN');
    expect(one.told.filter(({ notice }) => notice.type === 'blocker_reported')).toHaveLength(1);
  });

  it('leaves nothing behind when it is refused', async () => {
    const { log, one, owned } = blockerWorld();
    await owned();
    await refusal(one.blockers.report('gamma', { ...report, task_id: 't' }));
    expect(history(log.all)).toEqual(['task CREATE', 'task CLAIM']);
    expect(one.told).toEqual([]);
  });

  it('returns the same blocker when it is repeated, in any process, and tells it under the same id', async () => {
    const { log, one, other, owned } = blockerWorld();
    const token = await owned();
    const first = await one.blockers.report('beta', { ...report, task_id: 't' });
    const again = { ...report, task_id: 't', required_capabilities: report.required_capabilities.toReversed() };
    expect(await one.blockers.report('beta', again)).toEqual(first);
    expect(await other.blockers.report('beta', { ...again, token })).toEqual(first);
    expect(await refusal(other.blockers.report('beta', { ...again, token: token + 1 }))).toBe('STALE_TOKEN');
    expect(history(log.all).filter((entry) => entry.startsWith('blocker'))).toEqual([
      'blocker REPORT',
      'blocker ESCALATE',
    ]);
    expect(new Set([...one.told, ...other.told].map(({ notice }) => notice.id)).size).toBe(1);
  });

  it('makes one blocker of reports that come at the same time', async () => {
    const { one, other, owned } = blockerWorld();
    await owned();
    const all = [one, other, one, other].map(({ blockers }) => blockers.report('beta', { ...report, task_id: 't' }));
    const ids = (await Promise.all(all)).map(({ blocker_id }) => blocker_id);
    expect(new Set(ids).size).toBe(1);
    const loose = await Promise.all([1, 2, 3].map(async () => await one.blockers.report('beta', report)));
    expect(new Set(loose.map(({ blocker_id }) => blocker_id)).size).toBe(1);
  });

  it('without a task returns the same blocker while it is open, and a new one afterwards', async () => {
    const { log, one, other } = blockerWorld();
    const first = await one.blockers.report('beta', report);
    expect(await one.blockers.report('beta', report)).toEqual(first);
    expect(await one.blockers.report('gamma', report)).not.toEqual(first);
    expect(await one.blockers.report('beta', { ...report, severity: 'low' })).not.toEqual(first);
    const [reported] = log.all;
    other.blockers.apply(reported!);
    expect(await other.blockers.report('beta', report), 'in a process that follows').toEqual(first);
    await one.blockers.resolve('beta', first.blocker_id, 'done');
    one.blockers.apply(reported!);
    const second = await one.blockers.report('beta', report);
    expect(second).not.toEqual(first);
    expect(await other.blockers.report('beta', report), 'by what the log says').not.toEqual(first);
  });

  it('can block the task again after the blocker was resolved', async () => {
    const { one, owned, task } = blockerWorld();
    await owned();
    const first = await one.blockers.report('beta', { ...report, task_id: 't' });
    await one.blockers.resolve('beta', first.blocker_id, 'done');
    const second = await one.blockers.report('beta', { ...report, task_id: 't' });
    expect(second.blocker_id).not.toBe(first.blocker_id);
    expect(await task()).toMatchObject({ state: 'blocked', blocker_id: second.blocker_id });
  });
});
