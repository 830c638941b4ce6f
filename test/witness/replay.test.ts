import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { taskMachine } from '../../machines/task/machine.ts';
import { issueCheckpoint } from '../../src/witness/proofs/checkpoint.ts';
import { openSigningKey, trustedKeysOf } from '../../src/witness/proofs/signing-key.ts';
import { prune } from '../../src/witness/prune/prune.ts';
import { openReadOnly } from '../../src/witness/read-only.ts';
import { type FullReplay, type ReplayLimit, replayActor, replayAll } from '../../src/witness/replay/replay.ts';
import { block, claim, complete, create, fail, start, t0, unblock } from '../machines/task-events.ts';
import { tempDir } from '../support/temp.ts';
import { startedAt } from './messages.ts';
import { HistoryWriter, wholeLife } from './replay-history.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let path: string;
let history: HistoryWriter;
beforeEach(async () => {
  folder = await tempDir();
  path = join(folder.path, 'witness.db');
  history = new HistoryWriter(path);
});
afterEach(async () => {
  history.close();
  await folder.remove();
});

/** Stores what was written and replays it. */
function replay(actor: string, limit?: ReplayLimit): ReturnType<typeof replayActor> {
  history.store('trimmed');
  const [kind = '', id = ''] = actor.split(':');
  const { sqlite, close } = openReadOnly(path);
  try {
    return replayActor(sqlite, { kind, id }, limit);
  } finally {
    close();
  }
}

function replayEveryone(): FullReplay {
  history.store('trimmed');
  const { sqlite, close } = openReadOnly(path);
  try {
    return replayAll(sqlite);
  } finally {
    close();
  }
}

const acquire = (holder: string, at: number) => ({ type: 'ACQUIRE', at, holder, token: 1, limit: 2 }) as const;
const releasePlace = (holder: string, at: number) => ({ type: 'RELEASE', at, holder }) as const;

describe('the replay of an actor', () => {
  it('decides every transition again and says what each changed', () => {
    for (const event of wholeLife) history.act('task:t', event);
    const { actor, ok, from_n, transitions, state, context } = replay('task:t');
    expect({ actor, ok, from_n, state }).toEqual({ actor: 'task:t', ok: true, from_n: 1, state: 'completed' });
    expect(context).toMatchObject({ owner: 'beta', result: { ok: true }, metadata: {} });
    expect(transitions.map(({ n, event, state: to, ok: fits }) => [n, event, to, fits])).toEqual([
      [1, 'CREATE', 'available', true],
      [2, 'CLAIM', 'claimed', true],
      [3, 'COMPLETE', 'completed', true],
    ]);
    expect(transitions[1]).toMatchObject({ at: t0 + 1, chain: 'IF_actors/1', seq: 3, version: taskMachine.version });
    expect(transitions[1]?.changes).toContainEqual({ field: 'owner', from: null, to: 'beta' });
    expect(transitions[1]?.changes.map(({ field }) => field)).not.toContain('task_type');
    expect(transitions[0]?.changes).toContainEqual({ field: 'task_type', from: '', to: 'review' });
  });

  it('keeps the actors of one id and different kinds apart', () => {
    history.act('task:same', create());
    history.act('semaphore:same', acquire('x', t0));
    history.act('task:same', claim());
    history.act('semaphore:same', releasePlace('x', t0 + 1));
    expect(replay('task:same')).toMatchObject({ ok: true, state: 'claimed' });
    expect(replay('semaphore:same')).toMatchObject({ ok: true, state: 'free' });
    expect(replayEveryone()).toMatchObject({ ok: true, actors: 2, transitions: 4 });
  });

  it('goes back to any transition, that included', () => {
    for (const event of wholeLife) history.act('task:t', event);
    expect(replay('task:t', { n: 1 })).toMatchObject({ state: 'available', context: { owner: null } });
    const second = replay('task:t', { n: 2 });
    expect(second).toMatchObject({ state: 'claimed', context: { owner: 'beta', result: null } });
    expect(second.transitions).toHaveLength(2);
    expect(() => replay('task:t', { n: 4 })).toThrow('it has no transition 4; it has 1 to 3');
  });

  it('goes back to any time, that included', () => {
    for (const event of wholeLife) history.act('task:t', event);
    expect(replay('task:t', { at: t0 + 1 })).toMatchObject({ ok: true, state: 'claimed' });
    expect(replay('task:t', { at: t0 + 10 })).toMatchObject({ ok: true, state: 'completed' });
    expect(replay('task:t', { at: t0 - 1 })).toMatchObject({ ok: true, state: 'absent', transitions: [] });
  });

  it('says no to an actor that it has no entry of, and to a kind that has no machine', () => {
    expect(() => replay('task:nobody')).toThrow(expect.objectContaining({ code: 'TASK_NOT_FOUND' }));
    expect(() => replay('swarm:nobody')).toThrow(expect.objectContaining({ code: 'SWARM_NOT_FOUND' }));
    expect(() => replay('semaphore:nobody')).toThrow(expect.objectContaining({ code: 'TARGET_NOT_FOUND' }));
    expect(() => replay('epoch:1')).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });

  it('takes entries in the order of the stream, whatever the clock of the cluster says', () => {
    const records = wholeLife.map((event) => ({ record: history.act('task:t', event, {}), event }));
    expect(records).toHaveLength(3);
    history.put(history.make('task:u', create()), t0 + 500);
    history.put(history.make('task:u', claim()), t0 + 400);
    history.put(history.make('task:u', complete()), t0 + 450);
    expect(replay('task:u')).toMatchObject({ ok: true, state: 'completed' });
    expect(replayEveryone()).toMatchObject({ ok: true, divergences: [] });
  });

  it('replays an id that was used again after what had it was archived', () => {
    for (const event of wholeLife) history.act('task:t', event);
    history.forget('task:t');
    history.act('task:t', create());
    history.act('task:t', claim());
    const { ok, transitions, state } = replay('task:t');
    expect({ ok, state, ns: transitions.map(({ n }) => n) }).toEqual({
      ok: true,
      state: 'claimed',
      ns: [1, 2, 3, 1, 2],
    });
    expect(transitions[3]?.note).toContain('begins anew');
    expect(replay('task:t', { n: 3 }).state).toBe('completed');
    expect(replay('task:t', { n: 2 }).transitions).toHaveLength(5);
  });

  it('does not take an actor that lives on for one that was archived', () => {
    history.act('task:t', create());
    history.act('task:t', claim());
    history.forget('task:t');
    history.act('task:t', create());
    const { ok, transitions } = replay('task:t');
    expect(ok).toBe(false);
    expect(transitions[2]).toMatchObject({ ok: false, fault: 'RECORD_MISSING' });
    expect(transitions[2]?.error).toContain('had not ended at transition 2');
  });

  it('begins with what is there when earlier transitions were trimmed', () => {
    history.leaveOut(history.make('task:t', create()));
    history.act('task:t', claim());
    history.act('task:t', complete());
    const { ok, from_n, transitions, state } = replay('task:t');
    expect({ ok, from_n, state }).toEqual({ ok: true, from_n: 2, state: 'completed' });
    expect(transitions[0]?.note).toContain('transitions 1 to 1 are not in this database');
  });

  it('goes on behind a gap of the chain, and names what is missing where there is none', () => {
    history.act('task:t', create());
    history.leaveOut(history.make('task:t', claim()));
    history.act('task:t', start());
    history.act('task:t', complete());
    const { ok, transitions } = replay('task:t');
    expect(ok).toBe(true);
    expect(transitions[1]?.note).toBe('transition 2 is in a gap of the chain, or pruned; the replay goes on here');

    history.act('task:u', create());
    history.make('task:u', claim());
    history.act('task:u', start());
    const missing = replay('task:u');
    expect(missing.transitions[1]).toMatchObject({
      n: 3,
      ok: false,
      fault: 'RECORD_MISSING',
      error: 'transition 2 is missing',
    });
    history.make('task:v', create());
    history.act('task:v', claim());
    expect(replayEveryone().divergences.map(({ actor, n }) => `${actor} ${n}`)).toEqual(['task:u 3']);
  });
});

describe('the replay across epochs', () => {
  it('follows an actor that was restored, with its lease and token of the new epoch', () => {
    history.act('task:t', create());
    history.act('task:t', claim());
    history.nextEpoch();
    history.restore('task:t', t0 + 1_000);
    history.act('task:t', complete({ at: t0 + 2_000 }));
    const { ok, transitions, state } = replay('task:t');
    expect(transitions.map(({ error }) => error)).toEqual([undefined, undefined, undefined, undefined]);
    expect({ ok, state }).toEqual({ ok: true, state: 'completed' });
    expect(transitions[2]).toMatchObject({ n: 3, event: 'RESTORED', chain: 'IF_actors/2', state: 'claimed' });
    expect(transitions[2]?.changes.map(({ field }) => field)).toContain('lease_expires_at');
    expect(replayEveryone()).toMatchObject({ ok: true, actors: 1, transitions: 4, not_replayed: { epoch: 2 } });
  });

  it('restores what has ended, and begins anew what a new epoch was opened without', () => {
    for (const event of wholeLife) history.act('task:ended', event);
    history.act('task:left', create());
    history.nextEpoch();
    history.restore('task:ended', t0 + 100);
    history.forget('task:left');
    history.act('task:left', create());
    expect(replay('task:ended')).toMatchObject({ ok: true, state: 'completed' });
    const left = replay('task:left');
    expect(left).toMatchObject({ ok: true, state: 'available' });
    expect(left.transitions[1]?.note).toContain('epoch 2 was opened without it');
  });

  it.each([
    ['another entry', { seq: 1 }],
    ['another content', { content_hash: 'f'.repeat(64) }],
    ['another chain', { chain: 'IF_actors/7' }],
    ['another epoch', { epoch: 3 }],
  ])('refuses a restore that names %s', (_, fields) => {
    history.act('task:t', create());
    history.nextEpoch();
    history.restore('task:t', t0 + 1_000, fields);
    const { ok, transitions } = replay('task:t');
    expect(ok).toBe(false);
    expect(transitions[1]).toMatchObject({ n: 2, ok: false, fault: 'RECORD_MISSING' });
    expect(transitions[1]?.error).toContain('restored');
  });

  it('refuses what goes on in a new epoch without having been restored', () => {
    history.act('task:t', create());
    history.nextEpoch();
    history.act('task:t', claim());
    expect(replay('task:t').transitions[1]).toMatchObject({ ok: false, fault: 'RECORD_MISSING' });
  });

  it('orders epochs by their numbers, not their names', () => {
    history.act('task:t', create());
    for (let epoch = 2; epoch <= 11; epoch++) {
      history.nextEpoch();
      history.restore('task:t', t0 + epoch);
    }
    const { ok, transitions } = replay('task:t');
    expect({ ok, last: transitions.at(-1)?.chain }).toEqual({ ok: true, last: 'IF_actors/11' });
  });
});

describe('the replay behind what was pruned', () => {
  it('goes on from the last entry that was kept of an actor', async () => {
    history.act('task:lives', create());
    history.act('task:lives', claim());
    history.act('task:between', create());
    for (const event of wholeLife) history.act('task:gone', event);
    history.store();
    const key = await openSigningKey(folder.path);
    issueCheckpoint(history.sqlite, key, startedAt + 20);
    history.act('task:between', claim());
    history.store();
    const trusted = trustedKeysOf(folder.path)!;
    const options = { before: startedAt + 8, now: startedAt + 900_000_000, key, trusted, archive_after_ms: 0 };
    expect(prune(history.sqlite, options)).toMatchObject([{ chain: 'IF_actors/1', pruned_through: 7 }]);

    const lives = replay('task:lives');
    expect(lives).toMatchObject({ ok: true, from_n: 2, state: 'claimed', context: { owner: 'beta' } });
    expect(lives.transitions).toMatchObject([{ n: 2, note: expect.stringContaining('the replay begins here') }]);
    history.act('task:lives', complete());
    expect(replay('task:lives')).toMatchObject({ ok: true, from_n: 2, state: 'completed' });
    expect(replay('task:lives').transitions).toHaveLength(2);
    expect(replay('task:between')).toMatchObject({ ok: true, state: 'claimed' });
    expect(replayEveryone()).toMatchObject({ ok: true, divergences: [] });
  });
});

describe('the replay of all actors', () => {
  it('counts actors and transitions, and names kinds that have no machine', () => {
    for (let task = 0; task < 50; task++) for (const event of wholeLife) history.act(`task:t-${task}`, event);
    history.act('task:other', create());
    history.act('task:other', claim());
    history.act('task:other', block());
    history.act('task:other', unblock());
    history.act('task:other', fail({ at: t0 + 60, error: { why: 'ünïcödé 🐝', nested: [null, 1e21, -0] } }));
    history.act('semaphore:db', acquire('t-1', t0));
    expect(replayEveryone()).toEqual({
      ok: true,
      actors: 52,
      transitions: 156,
      divergences: [],
      more_divergences: 0,
      not_replayed: { epoch: 1 },
    });
  });

  it('is content with a witness that has nothing yet', () => {
    history.close();
    const empty = join(folder.path, 'empty.db');
    HistoryWriter.empty(empty);
    const { sqlite, close } = openReadOnly(empty);
    expect(replayAll(sqlite)).toMatchObject({ ok: true, actors: 0, transitions: 0, not_replayed: {} });
    close();
  });
});
