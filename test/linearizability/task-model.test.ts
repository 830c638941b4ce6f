/** Histories of tasks with a fault planted in each, which must be found; and their sound siblings, which must pass. */
import { describe, expect, it } from 'vitest';
import { checkHistory } from './check.ts';
import { taskModel } from './task-model.ts';
import type { TaskOperation } from './task-operation.ts';

const lease_ms = 1_000;
const creation = { lease_ms, max_attempts: 3, may_wait: false, backs_off: false };
const taken = (owner: string | null) => ({ claimed: false as const, reason: 'TASK_NOT_AVAILABLE', owner });
const won = (token: number) => ({ claimed: true as const, token });
const stale = { refused: 'STALE_TOKEN' };
const shown = (state: string, owner: string | null) => ({ state, owner });

type Times = readonly [call: number, end: number];

/** An operation of a history; without an output, its answer was lost. */
function does<Op extends TaskOperation['op']>(
  process: string,
  op: Op,
  [call, end]: Times,
  input: Extract<TaskOperation, { op: Op }>['input'],
  output?: Extract<TaskOperation, { op: Op }>['output'],
): TaskOperation {
  return { process, op, key: 'task-1', input, output, call, return: output ? end : Number.POSITIVE_INFINITY } as never;
}

const created = does('boss', 'create', [0, 1], creation, shown('available', null));
const claim = (by: string, times: Times, output?: ReturnType<typeof taken> | ReturnType<typeof won>) =>
  does(by, 'claim', times, null, output);
const complete = (by: string, times: Times, token: number, output?: { refused: string }) =>
  does(by, 'complete', times, { token, result: by }, output ?? shown('completed', by));
const get = (by: string, times: Times, state: string, owner: string | null) =>
  does(by, 'get', times, null, shown(state, owner));

const check = (...history: TaskOperation[]) => checkHistory([created, ...history], taskModel());
const sound = (...history: TaskOperation[]) => expect(check(...history)).toMatchObject({ ok: true });
const wrong = (...history: TaskOperation[]) =>
  expect(check(...history)).toMatchObject({ ok: false, undecided: [], violations: [{ key: 'task-1' }] });

describe('a claim', () => {
  it('has one winner, whoever asks at the same time', () => {
    sound(claim('a', [2, 9], won(1)), claim('b', [2, 9], taken('a')), claim('c', [2, 9], taken('a')));
    wrong(claim('a', [2, 9], won(1)), claim('b', [2, 9], won(2)));
    wrong(claim('a', [2, 9], won(1)), claim('b', [2, 9], won(1)));
  });

  it('is not lost to nobody', () => {
    wrong(claim('a', [2, 9], taken(null)), claim('b', [2, 9], taken(null)));
  });

  it('is lost to who has won, not to another', () => {
    wrong(claim('a', [2, 9], won(1)), claim('b', [2, 9], taken('c')));
  });

  it('is not lost before the one that wins was asked for', () => {
    wrong(claim('b', [2, 3], taken('a')), claim('a', [4, 5], won(1)));
  });

  it('gives the owner its token again, and no other', () => {
    sound(claim('a', [2, 3], won(1)), claim('a', [4, 5], won(1)));
    wrong(claim('a', [2, 3], won(1)), claim('a', [4, 5], won(2)));
  });

  it('may be refused for what is wrong with the swarm, which says nothing of the task', () => {
    sound(claim('a', [2, 3], { ...taken(null), reason: 'CIRCUIT_OPEN' }), claim('b', [4, 5], won(1)));
  });
});

describe('a token', () => {
  it('is greater than all before', () => {
    const before = [claim('a', [2, 3], won(7)), does('a', 'release', [4, 5], { token: 7 }, shown('available', null))];
    sound(...before, claim('b', [6, 7], won(8)));
    wrong(...before, claim('b', [6, 7], won(7)));
    wrong(...before, claim('b', [6, 7], won(6)));
  });

  it('of a claim that nobody was told of counts as well', () => {
    const before = [claim('a', [2, 3], won(7)), does('a', 'release', [4, 5], { token: 7 }, shown('available', null))];
    const lost = [...before, claim('b', [6, 7]), get('c', [10, 11], 'claimed', 'b')];
    sound(...lost, claim('c', [1_500, 1_501], won(9)));
    wrong(...lost, claim('c', [1_500, 1_501], won(8)));
    sound(...lost, claim('b', [20, 21], won(8)), complete('b', [22, 23], 8));
    wrong(...lost, claim('b', [20, 21], won(8)), complete('b', [22, 23], 9));
  });
});

describe('a lease', () => {
  it('ends an ownership in its time, and not before', () => {
    const before = claim('a', [10, 20], won(1));
    sound(before, claim('b', [1_000, 1_015], won(2)));
    wrong(before, claim('b', [990, 1_000], won(2)));
  });

  it('is renewed by a heartbeat', () => {
    const before = claim('a', [10, 20], won(1));
    const heartbeat = does('a', 'heartbeat', [900, 910], { token: 1 }, shown('claimed', 'a'));
    sound(before, heartbeat, claim('b', [1_800, 1_900], won(2)));
    wrong(before, heartbeat, claim('b', [1_500, 1_800], won(2)));
  });

  it('is renewed by a heartbeat that nobody was answered, or not', () => {
    const heartbeat = does('a', 'heartbeat', [900, 910], { token: 1 });
    sound(claim('a', [10, 20], won(1)), heartbeat, claim('b', [1_200, 1_210], won(2)));
    sound(claim('a', [10, 20], won(1)), heartbeat, claim('b', [1_200, 1_210], taken('a')));
  });

  it('that has ended is not renewed', () => {
    const before = [claim('a', [10, 20], won(1)), claim('b', [1_200, 1_210], won(2))];
    const late = [1_300, 1_310] as const;
    sound(...before, does('a', 'heartbeat', late, { token: 1 }, stale));
    wrong(...before, does('a', 'heartbeat', late, { token: 1 }, shown('claimed', 'a')));
  });

  it('may be taken from an owner that is believed to be away, if the history says so', () => {
    const lost = does('a', 'lose', [100, 100], { token: 1 });
    sound(claim('a', [10, 20], won(1)), lost, claim('b', [200, 210], won(2)));
    sound(claim('a', [10, 20], won(1)), lost, claim('b', [200, 210], taken('a')));
    wrong(claim('a', [10, 20], won(1)), claim('b', [50, 60], won(2)), lost);
    wrong(claim('a', [10, 20], won(1)), lost, claim('b', [200, 210], won(2)), claim('c', [300, 310], won(3)));
  });

  it('ends the task when no attempt is left', () => {
    const history = [2, 1_100, 2_200].map((at, i) => claim('a', [at, at + 5], won(i + 1)));
    sound(...history, get('b', [3_300, 3_310], 'failed', null));
    wrong(...history, claim('b', [3_300, 3_310], won(4)));
  });
});

describe('a completion', () => {
  it('counts with the present token only', () => {
    const before = [claim('a', [2, 3], won(1)), claim('b', [1_100, 1_110], won(2))];
    sound(...before, complete('a', [1_200, 1_210], 1, stale), complete('b', [1_300, 1_310], 2));
    wrong(...before, complete('a', [1_200, 1_210], 1));
    wrong(...before, complete('b', [1_200, 1_210], 2, stale));
  });

  it('by who never owned the task is not accepted', () => {
    wrong(claim('a', [2, 3], won(1)), complete('b', [4, 5], 1));
    wrong(complete('b', [4, 5], 1));
  });

  it('is final: nobody wins the task again, and nobody is shown it as open', () => {
    const before = [claim('a', [2, 3], won(1)), complete('a', [4, 5], 1)];
    sound(...before, claim('b', [5_000, 5_001], taken('a')));
    wrong(...before, claim('b', [5_000, 5_001], won(2)));
    wrong(...before, get('b', [5_000, 5_001], 'available', null));
  });

  it('may come twice, with the same result', () => {
    const before = [claim('a', [2, 3], won(1)), complete('a', [4, 5], 1)];
    sound(...before, complete('a', [6, 7], 1));
    wrong(...before, does('a', 'complete', [6, 7], { token: 1, result: 'other' }, shown('completed', 'a')));
  });

  it('that nobody was answered may have happened, or may not', () => {
    const unanswered = does('a', 'complete', [10, 20], { token: 1, result: 'a' });
    sound(claim('a', [2, 3], won(1)), unanswered, claim('b', [1_200, 1_210], won(2)));
    sound(claim('a', [2, 3], won(1)), unanswered, get('b', [1_200, 1_210], 'completed', 'a'));
    wrong(
      claim('a', [2, 3], won(1)),
      unanswered,
      get('b', [1_200, 1_210], 'completed', 'a'),
      claim('b', [1_300, 1_310], won(2)),
    );
  });
});

describe('a read', () => {
  it('shows what is, not what was', () => {
    const before = claim('a', [2, 3], won(1));
    sound(before, get('b', [4, 5], 'claimed', 'a'));
    wrong(before, get('b', [4, 5], 'available', null));
    wrong(before, get('b', [4, 5], 'in_progress', 'a'));
    wrong(
      before,
      does('a', 'start', [4, 5], { token: 1 }, shown('in_progress', 'a')),
      get('b', [6, 7], 'claimed', 'a'),
    );
  });

  it('during a claim shows either, but not back and forth', () => {
    sound(claim('a', [2, 9], won(1)), get('b', [3, 4], 'available', null), get('b', [5, 6], 'claimed', 'a'));
    wrong(claim('a', [2, 9], won(1)), get('b', [3, 4], 'claimed', 'a'), get('b', [5, 6], 'available', null));
  });

  it('finds no task before it was created, and always after', () => {
    const missing = (times: Times) => does('b', 'get', times, null, { refused: 'TASK_NOT_FOUND' });
    sound(missing([-2, -1]));
    wrong(missing([2, 3]));
  });
});

describe('giving a task back', () => {
  it('frees it, and the same again is answered while nothing else has happened', () => {
    const release = (times: Times, output: { refused: string } | ReturnType<typeof shown>) =>
      does('a', 'release', times, { token: 1 }, output);
    const before = [claim('a', [2, 3], won(1)), release([4, 5], shown('available', null))];
    sound(...before, release([6, 7], shown('available', null)), claim('b', [8, 9], won(2)));
    sound(...before, claim('b', [8, 9], won(2)), release([10, 11], stale));
    wrong(...before, claim('b', [8, 9], won(2)), release([10, 11], shown('available', null)));
    wrong(...before, claim('b', [8, 9], taken('a')));
  });

  it('after a failure that is final does not free it', () => {
    const fail = (retryable: boolean, output: ReturnType<typeof shown>) =>
      does('a', 'fail', [4, 5], { token: 1, retryable }, output);
    sound(claim('a', [2, 3], won(1)), fail(true, shown('available', null)), claim('b', [8, 9], won(2)));
    sound(claim('a', [2, 3], won(1)), fail(false, shown('failed', 'a')), claim('b', [8, 9], taken('a')));
    wrong(claim('a', [2, 3], won(1)), fail(false, shown('failed', 'a')), claim('b', [8, 9], won(2)));
  });
});

describe('a task that waits for others', () => {
  it('becomes available by itself, once', () => {
    const waiting = does('boss', 'create', [0, 1], { ...creation, may_wait: true }, shown('waiting', null));
    const history = (...more: TaskOperation[]) => checkHistory([waiting, ...more], taskModel()).ok;
    expect(history(claim('a', [2, 3], taken(null)), claim('a', [4, 5], won(1)))).toBe(true);
    expect(history(get('a', [2, 3], 'available', null), claim('a', [4, 5], taken(null)))).toBe(false);
    expect(history(get('a', [2, 3], 'available', null), get('a', [4, 5], 'waiting', null))).toBe(false);
  });
});
