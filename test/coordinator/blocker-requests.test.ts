/** The requests about blockers: what they take and what they refuse before anything is written. */
import { describe, expect, it } from 'vitest';
import { blockerRequests } from '../../actors/coordinator/blockers/blocker-requests.ts';
import { blockerWorld, refusal, report } from './blocker-parts.ts';

describe('the requests about blockers', () => {
  const asking = () => {
    const world = blockerWorld();
    const listed: unknown[] = [];
    const lists = {
      blockers: async (filter: unknown) => {
        listed.push(filter);
        return { blockers: [], cursor: null };
      },
    };
    const ask = async (op: string, caller: string, body: Record<string, unknown>) =>
      await blockerRequests(world.one.blockers, lists)[op]!.run(caller, body);
    return { ...world, listed, ask };
  };

  it('take what they are documented to take', async () => {
    const { ask, listed, owned } = asking();
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
    const { ask, log } = asking();
    const body = op === 'report' ? { ...report, ...fields } : fields;
    expect(await refusal(ask(op, 'beta', body))).toBe('INVALID_REQUEST');
    expect(log.all).toEqual([]);
  });
});
