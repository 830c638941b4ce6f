/** What a replay finds in a witness that someone altered, also by someone who makes the hashes anew. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ActorRecord } from '../../machines/record.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { columns } from '../../src/witness/columns.ts';
import type { Entry } from '../../src/witness/entry.ts';
import { openReadOnly } from '../../src/witness/read-only.ts';
import { type ActorReplay, replayActor, replayAll } from '../../src/witness/replay/replay.ts';
import { claim, complete, create, fail, start } from '../machines/task-events.ts';
import { tempDir } from '../support/temp.ts';
import { type Alteration, alter, HistoryWriter, inPayload } from './replay-history.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let clean: string;
let copies = 0;
beforeAll(async () => {
  folder = await tempDir();
  clean = join(folder.path, 'clean.db');
  const history = new HistoryWriter(clean);
  history.act('task:a', create());
  history.act('task:a', claim());
  history.act('task:a', start());
  history.act('task:a', complete());
  history.act('task:b', create());
  history.act('task:b', claim());
  history.act('task:b', fail());
  history.close();
});
afterAll(() => folder.remove());

/** The entry of a transition of `task:a`. */
const seqOf = (n: number) => n + 1;

function altered(...alterations: Alteration[]): string {
  const copy = join(folder.path, `copy-${++copies}.db`);
  copyFileSync(clean, copy);
  for (const alteration of alterations) alter(copy, alteration);
  return copy;
}

function replay(path: string, id = 'a'): ActorReplay {
  const { sqlite, close } = openReadOnly(path);
  try {
    return replayActor(sqlite, { kind: 'task', id });
  } finally {
    close();
  }
}

function divergences(path: string): string[] {
  const { sqlite, close } = openReadOnly(path);
  try {
    return replayAll(sqlite).divergences.map(({ actor, n }) => `${actor} ${n}`);
  } finally {
    close();
  }
}

const inContext = (fields: Record<string, unknown>) =>
  inPayload((record) => ({
    ...record,
    snapshot: { ...record.snapshot, context: { ...(record.snapshot.context as object), ...fields } },
  }));
const inEvent = (fields: Record<string, unknown>) =>
  inPayload((record) => ({ ...record, event: { ...record.event, ...fields } }));
const inSnapshot = (fields: Record<string, unknown>) =>
  inPayload((record) => ({ ...record, snapshot: { ...record.snapshot, ...fields } }));

describe('a record that was altered', () => {
  it.each<[string, (entry: Entry) => Partial<Entry>, string]>([
    ['another owner', inContext({ owner: 'gamma' }), 'context.owner is "gamma" and replays as "beta"'],
    ['a field more', inContext({ more: 1 }), 'context.more is 1 and replays as -'],
    ['a number as a text', inContext({ priority: '0' }), 'context.priority is "0" and replays as 0'],
    ['another state', inSnapshot({ value: 'in_progress' }), 'value is "in_progress" and replays as "claimed"'],
    ['another status', inSnapshot({ status: 'done' }), 'status is "done" and replays as "active"'],
    ['another claimant', inEvent({ owner: 'gamma' }), 'context.owner is "beta" and replays as "gamma"'],
    ['another event', inEvent({ type: 'START' }), 'refuses START in state available'],
    ['an event that there is not', inEvent({ type: 'STEAL' }), 'knows no event "STEAL"'],
    ['facts that refuse it', inEvent({ swarm: { circuit: 'open' } }), 'CLAIM in state available'],
    ['an event of another form', inEvent({ swarm: null }), 'the machine cannot take CLAIM in state available'],
  ])('is named where it is: %s', (_, alteration, message) => {
    const { ok, transitions } = replay(altered({ seq: seqOf(2), alter: alteration }));
    expect(ok).toBe(false);
    expect(transitions.filter((transition) => !transition.ok).map(({ n }) => n)).toEqual([2]);
    expect(transitions[1]).toMatchObject({ fault: 'RECORD_ALTERED' });
    const { version } = taskMachine;
    expect(transitions[1]?.error).toMatch(
      new RegExp(`^record altered: it says that version ${version} of the task machine made it, but `),
    );
    expect(transitions[1]?.error).toContain(message);
  });

  it('leaves the transitions after it as they are', () => {
    const { transitions, state } = replay(altered({ seq: seqOf(2), alter: inContext({ owner: 'gamma' }) }));
    expect(transitions[2]).toMatchObject({ ok: true, note: 'follows what the transition before should have led to' });
    expect(transitions[3]).toMatchObject({ ok: true });
    expect(state).toBe('completed');
  });

  it('is each found, when all that follow were altered with it', () => {
    const everywhere = [2, 3, 4].map((n) => ({ seq: seqOf(n), alter: inContext({ metadata: { paid: true } }) }));
    const { transitions } = replay(altered(...everywhere));
    expect(transitions.map(({ ok }) => ok)).toEqual([true, false, true, true]);
    const forged = { seq: seqOf(4), alter: inContext({ result: 'mine' }) };
    expect(divergences(altered(...everywhere, forged))).toEqual(['task:a 2', 'task:a 4']);
  });

  it('is told by its hash where the machine would not know', () => {
    const path = altered({ seq: seqOf(3), alter: () => ({ swarm_id: 'gamma' }), isRehashed: false });
    const { transitions } = replay(path);
    expect(transitions[2]).toMatchObject({
      fault: 'RECORD_ALTERED',
      error: 'record altered: its content_hash is not that of its fields',
    });
    expect(transitions[3]?.ok).toBe(true);
  });

  it.each(
    columns.map(({ name, type }) => [name, type] as const).filter(([name]) => name !== 'chain' && name !== 'seq'),
  )('is found whichever column was changed: %s', (name, type) => {
    const other = type === 'TEXT' ? (entry: Entry) => ({ [name]: `${entry[name]}x` }) : () => ({ [name]: 99 });
    const found = divergences(altered({ seq: seqOf(3), alter: other, isRehashed: false }));
    expect(found.length).toBeGreaterThan(0);
    // What says whose it is or which transition is missed where it was.
    const moved = { actor_id: ['task:a 4', 'task:ax 3'], kind: ['task:a 4'], n: ['task:a 99'] }[name as string];
    expect(found).toEqual(moved ?? ['task:a 3']);
  });

  it('is found when its columns name another actor, with hashes made anew', () => {
    expect(divergences(altered({ seq: seqOf(4), alter: () => ({ actor_id: 'b' }) }))).toEqual(['task:b 4']);
    expect(replay(altered({ seq: seqOf(3), alter: () => ({ actor_id: 'b' }) })).transitions[2]).toMatchObject({
      n: 4,
      fault: 'RECORD_MISSING',
      error: 'transition 3 is missing',
    });
  });

  it('is found when it is not a record any more', () => {
    for (const payload of ['', 'null', '[]', '{"n":2}', '{', '"x"', `{"v":1,"kind":"task","id":"a","n":2}`]) {
      const { transitions } = replay(altered({ seq: seqOf(2), alter: () => ({ payload }) }));
      expect(transitions.filter(({ ok }) => !ok)).toMatchObject([{ n: 2, fault: 'UNREADABLE' }]);
      expect(transitions[2]?.note).toContain('the entry before holds no record');
    }
  });

  it('is found when it was removed, doubled or put elsewhere', () => {
    const remove = (seq: number) => ({ sql: `DELETE FROM entries WHERE seq = ${seq}` });
    expect(divergences(altered(remove(seqOf(1))))).toEqual(['task:a 2']);
    expect(divergences(altered(remove(seqOf(3))))).toEqual(['task:a 4']);
    const swap = 'UPDATE entries SET seq = CASE seq WHEN 3 THEN 40 WHEN 4 THEN 30 ELSE seq END';
    expect(divergences(altered({ sql: swap })).length).toBeGreaterThan(0);
    const again = `INSERT INTO entries SELECT ${columns.map(({ name }) => (name === 'seq' ? '50' : name)).join(', ')} FROM entries WHERE seq = 4`;
    expect(divergences(altered({ sql: again }))).toEqual(['task:a 3']);
  });
});

describe('a record of another version of the machine', () => {
  const version = (v: number, fields: Partial<ActorRecord> = {}) =>
    inPayload((record) => ({ ...record, ...fields, v }));

  it('is fine where this version leads to the same, and that is said', () => {
    const { ok, transitions } = replay(altered({ seq: seqOf(2), alter: version(7) }));
    expect(ok).toBe(true);
    expect(transitions[1]?.note).toBe(
      `recorded by version 7 of the task machine; version ${taskMachine.version} leads to the same`,
    );
  });

  it('is not called altered where it leads elsewhere', () => {
    const both = (entry: Entry) => version(7)({ ...entry, ...inContext({ owner: 'gamma' })(entry) });
    const { ok, transitions } = replay(altered({ seq: seqOf(2), alter: both }));
    expect(ok).toBe(false);
    expect(transitions[1]).toMatchObject({ fault: 'MACHINE_CHANGED', version: 7 });
    expect(transitions[1]?.error).toMatch(
      new RegExp(
        `^recorded by version 7 of the task machine, this program has version ${taskMachine.version}: not replayable`,
      ),
    );
    expect(transitions[1]?.error).not.toContain('altered');
    expect(transitions[2]?.ok).toBe(true);
  });

  it('is called altered where its hash does not fit', () => {
    const { transitions } = replay(altered({ seq: seqOf(2), alter: version(7), isRehashed: false }));
    expect(transitions[1]).toMatchObject({ fault: 'RECORD_ALTERED' });
  });
});

describe('whatever a payload holds', () => {
  it('is no record when it is nested deeper than anything that is recorded', () => {
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    const alteration = ({ payload }: Entry) => ({
      payload: payload.replace('"metadata":{}', `"metadata":{"x":${deep}}`),
    });
    const { transitions } = replay(altered({ seq: seqOf(2), alter: alteration }));
    expect(transitions[1]).toMatchObject({ ok: false, fault: 'UNREADABLE' });
  });

  it('a gap that says nothing excuses nothing', () => {
    const gap = (payload: string) => ({
      sql: `DELETE FROM entries WHERE seq = 3; INSERT INTO entries (chain, seq, timestamp, component, event, payload, prev_hash, content_hash)
        VALUES ('IF_actors/1', 3, 1, 'IF.witness', 'gap', '${payload}', '', '')`,
    });
    const removed = { sql: 'DELETE FROM entries WHERE seq = 4' };
    const one = '{"first_seq":3,"last_seq":3,"reason":"trimmed"}';
    expect(divergences(altered(gap(one), removed))).toEqual(['task:a 4']);
    for (const payload of [
      'null',
      '{',
      '[]',
      '{"first_seq":3,"last_seq":3,"reason":"lost"}',
      '{"first_seq":3,"last_seq":"3","reason":"trimmed"}',
    ])
      expect(divergences(altered(gap(payload)))).toEqual(['task:a 3']);
    expect(divergences(altered(gap('{"first_seq":3,"last_seq":3,"reason":"trimmed"}')))).toEqual([]);
  });

  it('the replay ends with an answer', () => {
    const base = replay(clean).transitions.length;
    fc.assert(
      fc.property(
        fc.constantFrom('snapshot', 'event', 'v', 'n', 'at', 'kind'),
        fc.jsonValue(),
        fc.integer({ min: 1, max: base }),
        (field, value, n) => {
          const path = altered({ seq: seqOf(n), alter: inPayload((record) => ({ ...record, [field]: value })) });
          expect(replay(path).transitions).toHaveLength(base);
        },
      ),
      { numRuns: 60 },
    );
  });
});
