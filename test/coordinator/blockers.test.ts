import { beforeEach, describe, expect, it } from 'vitest';
import { BlockerOperations } from '../../actors/coordinator/blockers/blocker-operations.ts';
import { moot } from '../../actors/coordinator/blockers/blocker-plan.ts';
import type { BlockerReport } from '../../actors/coordinator/blockers/blocker-reporting.ts';
import { blockerRequests } from '../../actors/coordinator/blockers/blocker-requests.ts';
import { existing, send } from '../../actors/coordinator/tasks/task-plan.ts';
import { PolicyKnown } from '../../actors/policy-known.ts';
import { SwarmIndex } from '../../actors/swarm-index/swarm-index.ts';
import { formatRef } from '../../machines/address.ts';
import type { BlockerContext } from '../../machines/blocker/context.ts';
import { blockerMachine } from '../../machines/blocker/machine.ts';
import { defaultPolicy, type GovernorPolicy } from '../../machines/policy/values.ts';
import { refOf } from '../../machines/record.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { SimulatedClock } from '../../src/clock.ts';
import { FabricError } from '../../src/errors.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { Lanes } from '../../src/store/lanes.ts';
import { MemoryRecordLog } from '../../src/store/memory-record-log.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { newId } from '../../src/store/unique-id.ts';
import { cause, claim, create, release } from '../store/fixtures.ts';

interface Told {
  readonly to: string;
  readonly type: string;
  readonly notice: { readonly id: string; readonly type: string };
}

/** A coordinator's part in blockers, on a log that others use as well. */
class Process {
  readonly store: ActorStore;
  readonly blockers: BlockerOperations;
  readonly told: Told[] = [];
  readonly swarms = new SwarmIndex();

  constructor(log: MemoryRecordLog, clock: SimulatedClock, policy: Partial<GovernorPolicy> = {}) {
    this.store = new ActorStore({
      log,
      clock,
      newId,
      onCommit: (committed) => {
        for (const stored of committed) {
          if (stored.record.kind === 'swarm') this.swarms.apply(stored);
          this.blockers.apply(stored);
          this.blockers.committed(stored);
        }
      },
    });
    this.blockers = new BlockerOperations({
      store: this.store,
      lanes: new Lanes(),
      newId,
      notify: (to, type, notice) => this.told.push({ to, type, notice }),
      helpers: { swarms: this.swarms, policy: new PolicyKnown({ ...defaultPolicy, ...policy }) },
    });
  }
}

let log: MemoryRecordLog;
let clock: SimulatedClock;
let one: Process;
let other: Process;

beforeEach(() => {
  log = new MemoryRecordLog();
  clock = new SimulatedClock();
  one = new Process(log, clock);
  other = new Process(log, clock);
});

const report: BlockerReport = {
  type: 'missing-access',
  description: 'no access to the staging database',
  severity: 'high',
  required_capabilities: ['ops:database', 'ops:access'],
};

const task = async (id = 't') => {
  const stored = await log.read({ kind: 'task', id });
  const context = stored?.record.snapshot.context as TaskContext;
  return { state: stored?.record.snapshot.value, n: stored?.record.n, ...context };
};
const dispatch = async (event: { type: string }, id = 't', at = one) =>
  await at.store.dispatch(taskMachine, id, event, cause);
/** A task of `alpha` that `beta` owns; the token of that ownership. */
const owned = async (by = 'alpha') => {
  await dispatch({ ...create, by } as never);
  await dispatch(claim('beta') as never);
  return (await task()).token!;
};
const refusal = async (promise: Promise<unknown>) =>
  await promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof FabricError ? error.code : String(error)),
  );
const history = (stored: readonly StoredRecord[]) =>
  stored.map(({ record }) => `${formatRef(refOf(record)).split(':')[0]} ${record.event.type}`);

describe('reporting a blocker', () => {
  it('blocks the task in the same commit, keeps its claim and suspends its lease', async () => {
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
      await owned(by);
      await one.blockers.report('beta', { ...report, task_id: 't' });
      expect(one.told).toMatchObject([{ to: 'operator', type: 'escalation' }]);
    },
  );

  it('without a task tells a person, and blocks nothing', async () => {
    const { blocker_id } = await one.blockers.report('beta', { ...report, trace: 'trace-9' });
    expect(await one.blockers.get(blocker_id)).toMatchObject({ task_id: null, trace_id: 'trace-9' });
    expect(one.told).toMatchObject([{ to: 'operator', type: 'escalation', notice: { task_id: null } }]);
    expect(history(log.all)).toEqual(['blocker REPORT', 'blocker ESCALATE']);
  });

  it('is for the owner of the task, under the present token, while it is at work', async () => {
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
    await owned();
    await refusal(one.blockers.report('gamma', { ...report, task_id: 't' }));
    expect(history(log.all)).toEqual(['task CREATE', 'task CLAIM']);
    expect(one.told).toEqual([]);
  });

  it('returns the same blocker when it is repeated, in any process, and tells it under the same id', async () => {
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
    await owned();
    const all = [one, other, one, other].map(({ blockers }) => blockers.report('beta', { ...report, task_id: 't' }));
    const ids = (await Promise.all(all)).map(({ blocker_id }) => blocker_id);
    expect(new Set(ids).size).toBe(1);
    const loose = await Promise.all([1, 2, 3].map(async () => await one.blockers.report('beta', report)));
    expect(new Set(loose.map(({ blocker_id }) => blocker_id)).size).toBe(1);
  });

  it('without a task returns the same blocker while it is open, and a new one afterwards', async () => {
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
    await owned();
    const first = await one.blockers.report('beta', { ...report, task_id: 't' });
    await one.blockers.resolve('beta', first.blocker_id, 'done');
    const second = await one.blockers.report('beta', { ...report, task_id: 't' });
    expect(second.blocker_id).not.toBe(first.blocker_id);
    expect(await task()).toMatchObject({ state: 'blocked', blocker_id: second.blocker_id });
  });
});

describe('help with a blocker', () => {
  const able = async (id: string, fields: object = {}, at = one) => {
    const event = { type: 'REGISTER', capabilities: report.required_capabilities, cost_per_hour: 1, ...fields };
    const stored = await at.store.dispatch(swarmMachine, id, event, { by: id, trace_id: 'trace-2' });
    for (const process of [one, other]) process.swarms.apply(stored);
  };
  const asked = (told: readonly Told[]) => told.filter(({ type }) => type === 'help');

  it('is asked of the best-qualified swarms in the commit of the report, and each is told what and why', async () => {
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
    await owned();
    await able('beta', { cost_per_hour: 0 });
    expect(await one.blockers.report('beta', { ...report, task_id: 't' })).toMatchObject({ helpers: [] });
    await able('gamma');
    expect(await one.blockers.report('beta', report)).toMatchObject({ helpers: ['gamma'] });
  });

  it('is asked of one swarm fewer than may work on a task', async () => {
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
    await able('gamma');
    const { blocker_id } = await one.blockers.report('beta', { ...report, required_capabilities: [] });
    expect(await one.blockers.get(blocker_id)).toMatchObject({
      state: 'escalated',
      helpers: [],
      escalation_reason: 'it names no capabilities that would help, so no swarm can be asked',
    });
  });

  it('asks the same swarms when the report is repeated, under the same id', async () => {
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

describe('resolving a blocker', () => {
  const blocked = async () => {
    const token = await owned();
    const { blocker_id } = await one.blockers.report('beta', { ...report, task_id: 't' });
    one.told.length = 0;
    return { token, blocker_id };
  };

  it.each(['claimed', 'in_progress'])('puts a task that was %s back there, with a fresh lease', async (state) => {
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
    await owned();
    await other.store.read({ kind: 'task', id: 't' });
    const { blocker_id } = await one.blockers.report('beta', { ...report, task_id: 't' });
    await other.blockers.resolve('beta', blocker_id, 'done');
    expect((await task()).state).toBe('claimed');
  });

  it('tells the owner, and the helpers that did not do it', async () => {
    const { blocker_id } = await blocked();
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
    const { blocker_id } = await blocked();
    const { n } = await task();
    expect(await refusal(one.blockers.resolve('gamma', blocker_id, 'done'))).toBe('UNAUTHORIZED');
    expect(await refusal(one.blockers.resolve('alpha', blocker_id, 'done'))).toBe('UNAUTHORIZED');
    expect(await task()).toMatchObject({ state: 'blocked', n });
    expect(one.told).toEqual([]);
  });

  it('of one that does not exist says so, and so does a look at it', async () => {
    expect(await refusal(one.blockers.resolve('operator', 'nowhere', 'done'))).toBe('TARGET_NOT_FOUND');
    expect(await refusal(one.blockers.get('nowhere'))).toBe('TARGET_NOT_FOUND');
  });

  it('returns the blocker when it is repeated, and refuses another resolution', async () => {
    const { blocker_id } = await blocked();
    const resolved = await one.blockers.resolve('beta', blocker_id, 'done');
    const written = log.all.length;
    expect(await one.blockers.resolve('beta', blocker_id, 'done')).toEqual(resolved);
    expect(await other.blockers.resolve('beta', blocker_id, 'done')).toEqual(resolved);
    expect(await refusal(other.blockers.resolve('beta', blocker_id, 'differently'))).toBe('CONFLICT');
    expect(await refusal(other.blockers.resolve('operator', blocker_id, 'done'))).toBe('CONFLICT');
    expect(log.all.length).toBe(written);
  });

  it('by several at once is done once, and the task is unblocked once', async () => {
    const { blocker_id } = await blocked();
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
    await owned();
    await givingUp(one);
    expect(history(log.all)).toEqual(['task CREATE', 'task CLAIM', 'task RELEASE']);
  });
});

describe('the requests about blockers', () => {
  const listed: unknown[] = [];
  const ask = async (op: string, caller: string, body: Record<string, unknown>) => {
    const lists = {
      blockers: async (filter: unknown) => {
        listed.push(filter);
        return { blockers: [], cursor: null };
      },
    };
    return await blockerRequests(one.blockers, lists)[op]!.run(caller, body);
  };

  it('take what they are documented to take', async () => {
    await owned();
    const reported = (await ask('report', 'beta', { ...report, task_id: 't' })) as { blocker_id: string };
    expect(reported).toEqual({ blocker_id: expect.any(String), helpers: [] });
    const { blocker_id } = reported;
    expect(await ask('get', 'gamma', { blocker_id })).toMatchObject({ state: 'escalated' });
    expect(await ask('resolve', 'beta', { blocker_id, resolution: 'done' })).toMatchObject({ state: 'resolved' });
    await ask('list', 'gamma', { state: 'escalated', limit: 10, cursor: blocker_id });
    expect(listed).toEqual([{ state: 'escalated', limit: 10, cursor: blocker_id }]);
  });

  it.each([
    ['report', { severity: 'awful' }],
    ['report', { type: '' }],
    ['report', { task_id: 'a..b' }],
    ['report', { required_capabilities: 'ops' }],
    ['report', { description: undefined }],
    ['report', { blocker_type: 'x' }],
    ['report', { trace: 'x' }],
    ['resolve', { blocker_id: 'a b', resolution: 'x' }],
    ['resolve', { blocker_id: 'a' }],
    ['join', {}],
    ['join', { blocker_id: 'a', reason: 'x' }],
    ['decline', { blocker_id: 'a', reason: 1 }],
    ['get', {}],
    ['list', { state: 'absent' }],
    ['list', { limit: 0 }],
  ])('%s refuses %j', async (op, fields) => {
    const body = op === 'report' ? { ...report, ...fields } : fields;
    expect(await refusal(ask(op, 'beta', body))).toBe('INVALID_REQUEST');
    expect(log.all).toEqual([]);
  });
});
