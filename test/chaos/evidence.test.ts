/** The parts that judge a chaos run: what is planted is found, what is sound is not complained about. */
import { describe, expect, it } from 'vitest';
import { planFaults } from './fault-plan.ts';
import { numbers } from './numbers.mjs';
import type { Request } from './op-log.ts';
import { losses, unansweredClaims } from './recorded-operations.ts';
import { recoveries } from './recovery.ts';
import {
  byTask,
  findingsOfAcknowledged,
  findingsOfKeys,
  findingsOfLosses,
  findingsOfOrder,
  type TaskRecord,
} from './task-records.ts';

const request = (op: string, call: number, end: number, reply: Request['reply'], body = {}): Request => {
  return { by: 'a', op, body, call, return: end, reply };
};
const told = (n: number, revision: number) => ({ task: { task_id: 't', state: '', owner: 'a', n, revision } });
const record = (fields: object, task: object = {}) =>
  ({
    id: 't',
    n: 1,
    seq: 1,
    state: 'available',
    event: { id: 'e', type: 'CREATE' },
    by: 'a',
    ...fields,
    task,
  }) as TaskRecord;

describe('a plan of faults', () => {
  it('is the same for the same seed, another for another, and hits everyone', () => {
    const plan = planFaults(numbers(1), 60);
    expect(planFaults(numbers(1), 60)).toEqual(plan);
    expect(planFaults(numbers(2), 60)).not.toEqual(plan);
    expect(new Set(plan.map(({ victim }) => victim))).toEqual(new Set(['node', 'coordinator', 'witness', 'worker']));
    expect(plan.every(({ after_ms }) => after_ms > 0 && after_ms < 60_000)).toBe(true);
    const frozen = plan.flatMap(({ frozen_ms }) => frozen_ms ?? []);
    expect(Math.min(...frozen)).toBeGreaterThanOrEqual(1_000);
    expect(Math.max(...frozen)).toBeLessThanOrEqual(8_000);
    expect(plan.length).toBeGreaterThan(frozen.length);
  });
});

describe('the recovery from a fault', () => {
  const fault = { kind: 'node kill', name: 'n1', begun: 100, ended: 100 };

  it('lasts until the answer of the first commit that was asked for after it', () => {
    const requests = [
      request('claim', 90, 105, told(2, 2)),
      request('get', 101, 102, told(2, 2)),
      request('start', 110, 300, undefined),
      request('claim', 120, 220, told(3, 3)),
      request('claim', 130, 190, told(4, 4)),
    ];
    expect(recoveries([fault], requests, 10_000)).toEqual({
      byKind: [{ kind: 'node kill', count: 1, p50: 90, max: 90 }],
      longestPause: 85,
      late: [],
    });
  });

  it('that takes longer than 10 s, or never comes, is complained about', () => {
    const late = request('claim', 9_000, 10_200, told(3, 3));
    expect(recoveries([fault], [late], 10_000).late).toEqual([
      'nothing was committed for 10100 ms after the end of node kill (n1)',
    ]);
    expect(recoveries([fault], [], 10_000).late).toHaveLength(1);
    expect(recoveries([fault, { ...fault, begun: 5_000, ended: 5_000 }], [late], 10_000).late).toEqual([]);
  });
});

describe('what was acknowledged', () => {
  const histories = byTask([
    record({}),
    record({ n: 2, seq: 5, event: { id: 'e', type: 'CLAIM' }, state: 'claimed' }, { token: 7 }),
  ]);
  const claim = { claimed: true, token: 7, ...told(2, 5) };
  const found = (reply: Request['reply'], op = 'claim', body = {}) =>
    findingsOfAcknowledged([request(op, 1, 2, reply, body)], histories);

  it('is on record, as it was told', () => {
    expect(found(claim)).toEqual([]);
    expect(found({ ...claim, ...told(3, 6) })).toEqual([expect.stringContaining('is not in the witness')]);
    expect(found({ ...claim, ...told(2, 6) })).toEqual([expect.stringContaining('is not in the witness')]);
    expect(found({ ...claim, token: 8 })).toEqual([expect.stringContaining('no claim under its token')]);
    expect(found(told(2, 5), 'complete', { token: 7 })).toEqual([expect.stringContaining('no completion')]);
  });
});

describe('a claim on record', () => {
  const claimed = record({ id: 't', at: 1_100, event: { id: 'e', type: 'CLAIM' } }, { owner: 'a', token: 7 });
  const found = (...requests: Request[]) => unansweredClaims(requests, [claimed], -1_000);
  const never = Number.POSITIVE_INFINITY;
  const answer = { claimed: true, token: 7, ...told(2, 5) };

  it('was asked for by its owner', () => {
    expect(found(request('claim', 90, 110, answer))).toEqual({ operations: [], findings: [] });
    expect(found(request('next', 90, 110, answer))).toEqual({ operations: [], findings: [] });
    expect(found(request('claim', 90, never, undefined, { task_id: 't' }))).toEqual({ operations: [], findings: [] });
    expect(found().findings).toEqual(['t was claimed for a, who had not asked for it']);
    expect(found(request('claim', 90, never, undefined, { task_id: 'other' })).findings).toHaveLength(1);
    expect(found(request('next', 150, never, undefined)).findings).toHaveLength(1);
  });

  it('may be the effect of a request for any task that was not answered, also if its owner is told later', () => {
    const lost = request('next', 50, never, undefined);
    const expected = { process: 'a', key: 't', op: 'claim', call: 80, return: never };
    expect(found(lost)).toMatchObject({ operations: [expected], findings: [] });
    expect(found(lost, request('claim', 150, 160, answer))).toMatchObject({ operations: [expected], findings: [] });
  });
});

describe('the records of tasks', () => {
  it('show a claim that came before a dependency was completed', () => {
    const histories = (completed: number) =>
      byTask([
        record({ id: 'first', seq: completed, state: 'completed' }),
        record({ id: 'second', seq: 2 }, { depends_on: ['first'] }),
        record({ id: 'second', seq: 3, event: { id: 'e', type: 'CLAIM' } }, { depends_on: ['first'] }),
      ]);
    expect(findingsOfOrder(histories(1))).toEqual([]);
    expect(findingsOfOrder(histories(4))).toEqual(['second was claimed before first was completed']);
  });

  it('show more owned tasks of one key than its limit', () => {
    const key = { concurrency_key: 'k', concurrency_limit: 1 };
    const owned = (id: string, seq: number) => record({ id, seq, state: 'claimed' }, key);
    const free = (id: string, seq: number) => record({ id, seq, state: 'completed' }, key);
    expect(findingsOfKeys([owned('a', 1), free('a', 2), owned('b', 3)])).toEqual([]);
    expect(findingsOfKeys([owned('a', 1), owned('b', 2), free('a', 3)])).toHaveLength(1);
  });

  it('show a task that was taken from a swarm that is there', () => {
    const taken = record({ at: 5_000, event: { id: 'e', type: 'OWNER_LOST', owner: 'a' } });
    const was = (event: 'ONLINE' | 'OFFLINE', at: number) => ({ swarm_id: 'a', event, at });
    expect(findingsOfLosses([taken], [was('ONLINE', 1_000), was('OFFLINE', 4_000)])).toEqual([]);
    expect(findingsOfLosses([taken], [was('OFFLINE', 4_000), was('ONLINE', 4_990)])).toEqual([]);
    expect(findingsOfLosses([taken], [was('ONLINE', 1_000), was('OFFLINE', 6_000)])).toHaveLength(1);
    const owned = record({ state: 'claimed' }, { owner: 'a', token: 7 });
    const operation = { process: 'a', key: 't', op: 'lose', input: { token: 7 }, call: 3_980 };
    expect(losses([[owned, taken]], -1_000)).toMatchObject([operation]);
  });
});
