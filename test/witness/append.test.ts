import { statSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { requireChain } from '../../src/witness/chain-name.ts';
import { storedValues } from '../../src/witness/columns.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { entryOf, gapEntry, zeroHash } from '../../src/witness/entry.ts';
import { RowHasher } from '../../src/witness/hash.ts';
import { costIndex } from '../../src/witness/schema.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessage, actorMessages, actors, epochMessage, never, startedAt } from './messages.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let path: string;
let witness: WitnessDatabase;

beforeEach(async () => {
  folder = await tempDir();
  path = join(folder.path, 'witness.db');
  witness = WitnessDatabase.open(path);
});
afterEach(async () => {
  witness.close();
  await folder.remove();
});

describe('appending', () => {
  it('stores each message once, whatever is delivered again and in which order', () => {
    expect(witness.appendBatch(actors, actorMessages(1, 5), never)).toMatchObject({
      appended: 5,
      duplicates: 0,
      last_seq: 5,
      gaps: 0,
    });
    const mixed = [actorMessage(7), actorMessage(3), actorMessage(6), actorMessage(7), actorMessage(8)];
    const result = witness.appendBatch(actors, mixed, never);
    expect(result).toMatchObject({ appended: 3, duplicates: 2, last_seq: 8 });
    expect(witness.appendBatch(actors, mixed, never)).toEqual({ ...result, appended: 0, duplicates: 5 });
    expect(witness.head(actors)).toEqual({ last_seq: 8, head_hash: result.head_hash });
    expect(verifyDatabase(path)).toMatchObject({
      ok: true,
      chains: [{ entries: 8, first_seq: 1, last_seq: 8, head_hash: result.head_hash }],
    });
  });

  it('gives the same chain for any split into batches', () => {
    witness.appendBatch(actors, actorMessages(1, 20), never);
    const other = WitnessDatabase.open(join(folder.path, 'other.db'));
    for (let seq = 1; seq <= 20; seq++) other.appendBatch(actors, [actorMessage(seq)], never);
    expect(other.head(actors)).toEqual(witness.head(actors));
    other.close();
  });

  it('stores the rows that the published rule makes of the messages, with their types', () => {
    const messages = [...actorMessages(1, 12), { ...actorMessage(13), body: new Uint8Array([0xc1]) }, actorMessage(16)];
    witness.appendBatch(actors, messages, () => 'trimmed');
    const hasher = new RowHasher();
    let prev_hash = zeroHash;
    const rows = messages.flatMap((message) => {
      const gap = message.seq === 16 ? [gapEntry(requireChain(actors), 14, 15, 'trimmed', message.time_ms)] : [];
      return [...gap, entryOf(actors, message)].map((entry) => {
        const values = storedValues({ ...entry, prev_hash });
        prev_hash = hasher.hash(values);
        return [...values, prev_hash];
      });
    });
    const stored = witness.sqlite.prepare('SELECT * FROM entries ORDER BY seq').raw().safeIntegers().all();
    expect(stored).toEqual(rows);
  });

  it('answers an empty batch with the head', () => {
    expect(witness.appendBatch(actors, [], never)).toEqual({
      appended: 0,
      duplicates: 0,
      gaps: 0,
      last_seq: 0,
      head_hash: zeroHash,
    });
  });

  it('records missing numbers as one gap row at the first of them', () => {
    const asked: number[][] = [];
    const result = witness.appendBatch(actors, [actorMessage(1), actorMessage(5), actorMessage(7)], (first, last) => {
      asked.push([first, last]);
      return 'trimmed';
    });
    expect(asked).toEqual([
      [2, 4],
      [6, 6],
    ]);
    expect(result).toMatchObject({ appended: 3, gaps: 2, last_seq: 7 });
    const gap = witness.query({ event: 'gap' }).entries[0];
    expect(gap).toMatchObject({
      seq: 2,
      component: 'IF.witness',
      kind: null,
      timestamp: startedAt + 5,
      payload: { first_seq: 2, last_seq: 4, reason: 'trimmed' },
    });
    expect(verifyDatabase(path)).toMatchObject({
      ok: true,
      chains: [{ gaps: 2, first_seq: 1, last_seq: 7, entries: 5 }],
    });
  });

  it('lets a lost gap fail the verification, at its first number', () => {
    witness.appendBatch(actors, [actorMessage(3)], () => 'lost');
    expect(verifyDatabase(path)).toMatchObject({
      ok: false,
      chains: [{ gaps: 1, errors: [{ seq: 1, code: 'SEQ_MISSING' }] }],
    });
  });

  it('stops before a gap of which nothing is known yet, and goes on when it is filled', () => {
    const first = witness.appendBatch(actors, [actorMessage(1), actorMessage(4)], () => undefined);
    expect(first).toMatchObject({ appended: 1, last_seq: 1, waiting_for: { first_seq: 2, last_seq: 3 } });
    expect(witness.appendBatch(actors, actorMessages(2, 4), never)).toMatchObject({ appended: 3, last_seq: 4 });
    expect(verifyDatabase(path).ok).toBe(true);
  });

  it('stores nothing of a batch that fails', () => {
    const failing = () => {
      throw new Error('asked');
    };
    expect(() => witness.appendBatch(actors, [actorMessage(1), actorMessage(3)], failing)).toThrow(
      expect.objectContaining({ code: 'UNAVAILABLE' }),
    );
    expect(witness.head(actors)).toBeUndefined();
  });

  it.each(['IF_actors', 'IF_actors/0', 'IF_actors/01', 'if_actors/1', 'IF_timers/1', '', "IF_actors/1'"])(
    'refuses %j as a chain',
    (chain) => {
      expect(() => witness.appendBatch(chain, [], never)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
    },
  );

  it('refuses numbers that no stream gives', () => {
    for (const wrong of [{ seq: 0 }, { seq: 1.5 }, { time_ms: Number.NaN }]) {
      expect(() => witness.appendBatch(actors, [{ ...actorMessage(1), ...wrong }], never)).toThrow(
        expect.objectContaining({ code: 'INVALID_REQUEST' }),
      );
    }
  });
});

describe('epochs', () => {
  it('link the first entry of an epoch to the last of the one before', () => {
    witness.appendBatch(actors, [epochMessage(1, zeroHash), ...actorMessages(2, 5)], never);
    const before = witness.latestEpoch('IF_actors');
    if (!before) throw new Error('no epoch');
    expect(before).toMatchObject({ epoch: 1, chain: 'IF_actors/1', last_seq: 5 });
    witness.appendBatch('IF_actors/2', [epochMessage(2, before.head_hash), ...actorMessages(2, 3)], never);
    expect(witness.latestEpoch('IF_actors')).toMatchObject({ epoch: 2, last_seq: 3 });
    expect(witness.latestEpoch('IF_bus')).toBeUndefined();
    expect(witness.chains()).toEqual(['IF_actors/1', 'IF_actors/2']);
    const result = verifyDatabase(path);
    expect(result.ok).toBe(true);
    expect(result.chains.map((chain) => chain.chain)).toEqual(['IF_actors/1', 'IF_actors/2']);
  });

  it('are refused when they do not follow the head that the witness has', () => {
    witness.appendBatch(actors, [epochMessage(1, zeroHash)], never);
    const wrong = () => witness.appendBatch('IF_actors/2', [epochMessage(2, 'ab'.repeat(32))], never);
    expect(wrong).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
    expect(() => witness.appendBatch('IF_actors/2', [actorMessage(1)], never)).toThrow(/not an epoch record/);
    expect(() => witness.appendBatch('IF_actors/3', [epochMessage(2, zeroHash)], never)).toThrow(/is in epoch 2/);
    expect(witness.chains()).toEqual([actors]);
  });

  it('close the epoch before', () => {
    witness.appendBatch(actors, [epochMessage(1, zeroHash)], never);
    const head = witness.head(actors)?.head_hash ?? '';
    witness.appendBatch('IF_actors/2', [epochMessage(2, head)], never);
    expect(() => witness.appendBatch(actors, [actorMessage(2)], never)).toThrow(/is closed/);
    expect(witness.appendBatch(actors, [actorMessage(1)], never).duplicates).toBe(1);
  });

  it('may be the first that a witness sees, but its verification names the missing one', () => {
    witness.appendBatch('IF_actors/2', [epochMessage(2, 'ab'.repeat(32)), actorMessage(2)], never);
    expect(verifyDatabase(path)).toMatchObject({ ok: false, chains: [{ errors: [{ seq: 1, code: 'CHAIN_BROKEN' }] }] });
  });
});

describe('the file', () => {
  it('is readable and writable by its owner only, side files too', () => {
    witness.appendBatch(actors, actorMessages(1, 3), never);
    for (const suffix of ['', '-wal', '-shm']) expect(statSync(`${path}${suffix}`).mode & 0o777).toBe(0o600);
  });

  it('keeps what was stored when it is opened again', () => {
    const { head_hash } = witness.appendBatch(actors, actorMessages(1, 3), never);
    witness.close();
    witness = WitnessDatabase.open(path);
    expect(witness.head(actors)).toEqual({ last_seq: 3, head_hash });
  });

  it('gets the index of costs when it was made without it', () => {
    witness.appendBatch(actors, actorMessages(1, 8), never);
    witness.sqlite.exec(`DROP INDEX ${costIndex.name}`);
    witness.close();
    witness = WitnessDatabase.open(path);
    const select = `SELECT ${costIndex.columns} FROM entries INDEXED BY ${costIndex.name} WHERE ${costIndex.where}`;
    expect(witness.sqlite.prepare(select).all()).toHaveLength(2);
    const [step] = witness.sqlite.prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${select}`).all();
    expect(step?.detail).toContain('USING COVERING INDEX');
  });

  it('is refused, and left alone, when it is not a witness database', () => {
    const foreign = join(folder.path, 'foreign.db');
    const sqlite = new Sqlite(foreign);
    sqlite.exec('CREATE TABLE mine (a)');
    expect(() => WitnessDatabase.open(foreign)).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
    expect(sqlite.pragma('journal_mode', { simple: true })).toBe('delete');
    sqlite.close();
    expect(() => WitnessDatabase.open(join(folder.path, 'no', 'such', 'folder.db'))).toThrow(/cannot be opened/);
  });
});
