/** Help with a blocker: which swarms are asked in the commit of the report, and what their answers do. */
import { describe, expect, it } from 'vitest';
import { blockerMachine } from '../../machines/blocker/machine.ts';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { blockerWorld, history, Process, refusal, report, type Told } from './blocker-parts.ts';

describe('help with a blocker', () => {
  const asked = (told: readonly Told[]) => told.filter(({ type }) => type === 'help');

  it('is asked of the best-qualified swarms in the commit of the report, and each is told what and why', async () => {
    const { clock, log, one, owned, task, able } = blockerWorld();
    const token = await owned();
    await able('cheap', { cost_per_hour: 0.5 });
    await able('dear', { cost_per_hour: 5 });
    await able('free', { cost_per_hour: 0 });
    await able('unable', { capabilities: ['ops:database'] });
    const before = log.all.length;
    const { blocker_id, helpers } = await one.blockers.report('beta', { ...report, task_id: 't' });
    expect(helpers).toEqual(['free', 'cheap']);
    expect(history(log.all.slice(before))).toEqual(['blocker REPORT', 'blocker INVITE', 'task BLOCK']);
    expect(await task()).toMatchObject({ state: 'blocked', token, blocker_id });
    const answer_by = clock.now() + defaultPolicy.help_timeout_ms;
    const why = { match_score: 1, combined_score: null, reputation: 0.5, cost_per_hour: 0 };
    expect(await one.blockers.get(blocker_id)).toMatchObject({
      state: 'reported',
      helpers: [
        { swarm_id: 'free', answer: 'invited', answer_by, why },
        { swarm_id: 'cheap', answer: 'invited', answer_by, why: { combined_score: 1, cost_per_hour: 0.5 } },
      ],
    });
    expect(asked(one.told).map(({ to }) => to)).toEqual(['free', 'cheap']);
    expect(asked(one.told)[0]?.notice).toEqual({
      id: `help.${blocker_id}`,
      type: 'help',
      blocker_id,
      task_id: 't',
      reported_by: 'beta',
      blocker_type: report.type,
      description: report.description,
      severity: 'high',
      required_capabilities: report.required_capabilities,
      answer_by,
      why,
      at: clock.now(),
    });
  });

  it('is never asked of the blocked swarm, whatever it can do', async () => {
    const { one, owned, able } = blockerWorld();
    await owned();
    await able('beta', { cost_per_hour: 0 });
    expect(await one.blockers.report('beta', { ...report, task_id: 't' })).toMatchObject({ helpers: [] });
    await able('gamma');
    expect(await one.blockers.report('beta', report)).toMatchObject({ helpers: ['gamma'] });
  });

  it('is asked of one swarm fewer than may work on a task', async () => {
    const { clock, log, one, able } = blockerWorld();
    for (const id of ['a', 'b', 'c', 'd', 'e']) await able(id);
    expect((await one.blockers.report('beta', report)).helpers).toEqual(['a', 'b']);
    const four = new Process(log, clock, { max_swarms_per_task: 4 });
    for (const stored of log.all) if (stored.record.kind === 'swarm') four.swarms.apply(stored);
    expect((await four.blockers.report('gamma', report)).helpers).toEqual(['a', 'b', 'c']);
    const alone = new Process(log, clock, { max_swarms_per_task: 1 });
    for (const stored of log.all) if (stored.record.kind === 'swarm') alone.swarms.apply(stored);
    const { blocker_id, helpers } = await alone.blockers.report('delta', report);
    expect(helpers).toEqual([]);
    expect(await alone.blockers.get(blocker_id)).toMatchObject({
      state: 'escalated',
      escalation_reason: 'the policy allows one swarm per task (max_swarms_per_task), so none may help',
    });
  });

  it('is asked of swarms and of a person when it is critical', async () => {
    const { one, able } = blockerWorld();
    await able('gamma');
    const { blocker_id, helpers } = await one.blockers.report('beta', { ...report, severity: 'critical' });
    expect(helpers).toEqual(['gamma']);
    expect(await one.blockers.get(blocker_id)).toMatchObject({
      state: 'escalated',
      escalation_reason: 'its severity is critical',
    });
    expect(asked(one.told).map(({ to }) => to)).toEqual(['gamma']);
    expect(await one.blockers.join('gamma', blocker_id)).toMatchObject({
      state: 'escalated',
      helpers: [{ swarm_id: 'gamma', answer: 'joined' }],
    });
  });

  it('is asked of a person where no capability is named that would help', async () => {
    const { one, able } = blockerWorld();
    await able('gamma');
    const { blocker_id } = await one.blockers.report('beta', { ...report, required_capabilities: [] });
    expect(await one.blockers.get(blocker_id)).toMatchObject({
      state: 'escalated',
      helpers: [],
      escalation_reason: 'it names no capabilities that would help, so no swarm can be asked',
    });
  });

  it('asks the same swarms when the report is repeated, under the same id', async () => {
    const { one, able } = blockerWorld();
    await able('gamma');
    const first = await one.blockers.report('beta', report);
    await able('delta', { cost_per_hour: 0 });
    expect(await one.blockers.report('beta', report)).toEqual(first);
    expect(asked(one.told).map(({ to, notice }) => [to, notice.id])).toEqual([
      ['gamma', `help.${first.blocker_id}`],
      ['gamma', `help.${first.blocker_id}`],
    ]);
  });

  it('comes from who joins; the blocked swarm is told, and joining again changes nothing', async () => {
    const { one, other, able } = blockerWorld();
    for (const id of ['gamma', 'delta']) await able(id);
    const { blocker_id } = await one.blockers.report('beta', report);
    one.told.length = 0;
    const joined = await one.blockers.join('gamma', blocker_id);
    expect(joined).toMatchObject({
      state: 'helping',
      helpers: [
        { swarm_id: 'delta', answer: 'invited' },
        { swarm_id: 'gamma', answer: 'joined' },
      ],
    });
    expect(await other.blockers.join('gamma', blocker_id)).toEqual(joined);
    expect(one.told).toMatchObject([
      { to: 'beta', type: 'control', notice: { type: 'helper_joined', helper: 'gamma', blocker_id } },
    ]);
    expect(await one.blockers.resolve('gamma', blocker_id, 'access granted')).toMatchObject({ state: 'resolved' });
    expect(await refusal(one.blockers.join('delta', blocker_id))).toBe('CONFLICT');
    expect(await refusal(one.blockers.decline('delta', blocker_id))).toBe('CONFLICT');
  });

  it('can be declined with a reason, also later; declining again changes nothing', async () => {
    const { one, other, able } = blockerWorld();
    await able('gamma');
    const { blocker_id } = await one.blockers.report('beta', report);
    await one.blockers.join('gamma', blocker_id);
    const declined = await one.blockers.decline('gamma', blocker_id, 'out of time');
    expect(declined).toMatchObject({
      state: 'reported',
      helpers: [{ swarm_id: 'gamma', answer: 'declined', reason: 'out of time' }],
    });
    expect(await other.blockers.decline('gamma', blocker_id, 'out of time')).toEqual(declined);
    expect(await one.blockers.join('gamma', blocker_id), 'it thought better of it').toMatchObject({ state: 'helping' });
  });

  it('is only for those who were asked', async () => {
    const { one, able } = blockerWorld();
    await able('gamma');
    const { blocker_id } = await one.blockers.report('beta', report);
    await able('delta');
    for (const by of ['delta', 'beta', 'operator']) {
      expect(await refusal(one.blockers.join(by, blocker_id)), by).toBe('UNAUTHORIZED');
      expect(await refusal(one.blockers.decline(by, blocker_id)), by).toBe('UNAUTHORIZED');
    }
    expect(await refusal(one.blockers.join('gamma', 'nowhere'))).toBe('TARGET_NOT_FOUND');
    expect(await refusal(one.blockers.decline('gamma', 'nowhere'))).toBe('TARGET_NOT_FOUND');
  });

  it('is not given by more swarms than may work on a task', async () => {
    const { one, other, able } = blockerWorld();
    for (const id of ['a', 'b', 'c']) await able(id);
    const { blocker_id } = await one.blockers.report('beta', report);
    const late = { type: 'INVITE', swarm_ids: ['c'] } as const;
    await one.store.dispatch(blockerMachine, blocker_id, late, { by: 'IF.governor', trace_id: 'trace-1' });
    const answers = await Promise.all(
      ['a', 'b', 'c'].map(async (id, i) => await refusal((i % 2 ? one : other).blockers.join(id, blocker_id))),
    );
    expect(answers.toSorted()).toEqual(['POLICY_VIOLATION', 'no error', 'no error']);
  });
});
