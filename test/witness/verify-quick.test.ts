import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { columns, hashedColumns, type Stored } from '../../src/witness/columns.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { RowHasher } from '../../src/witness/hash.ts';
import { openReadOnly } from '../../src/witness/read-only.ts';
import { StoredRowHasher } from '../../src/witness/verify/encode.ts';
import { PageFile } from '../../src/witness/verify/pages.ts';
import { quickPass } from '../../src/witness/verify/quick.ts';
import type { RangeResult } from '../../src/witness/verify/range.ts';
import { leafParents, leavesOf, TableRows } from '../../src/witness/verify/table.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { tempDir } from '../support/temp.ts';
import { compileProgram } from './compiled.ts';
import { actorMessage, actorMessages, actors, epochMessage, journalMessage, never, taskRecord } from './messages.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let made = 0;
beforeAll(async () => {
  folder = await tempDir();
});
afterAll(() => folder.remove());

const newPath = () => join(folder.path, `${++made}.db`);

/** The chains that the quick pass answers for; undefined when it leaves the file to the careful one. */
function quick(path: string): Record<string, number> | undefined {
  const { sqlite, path: file, close } = openReadOnly(path);
  try {
    const parts = quickPass(file, sqlite, new Map(), () => {});
    return parts && Object.fromEntries(parts.map(({ chain, entries }) => [chain, entries]));
  } finally {
    close();
  }
}

describe('the quick pass', () => {
  it('answers for a clean file of any streams, gaps and epochs', () => {
    const path = newPath();
    const witness = WitnessDatabase.open(path);
    const zero = '0'.repeat(64);
    witness.appendBatch(
      actors,
      [epochMessage(1, zero), ...actorMessages(2, 500), ...actorMessages(510, 520)],
      () => 'trimmed',
    );
    witness.appendBatch('IF_journal/1', [journalMessage(1, { event: 'e', component: 'c', by: 'b' })], never);
    witness.appendBatch(
      'IF_actors/2',
      [epochMessage(2, witness.head(actors)?.head_hash ?? ''), ...actorMessages(2, 9)],
      never,
    );
    witness.close();
    expect(quick(path)).toEqual({ [actors]: 512, 'IF_journal/1': 1, 'IF_actors/2': 9 });
  });

  it('answers while the file is being written to, for all that was stored', () => {
    const path = newPath();
    const witness = WitnessDatabase.open(path);
    witness.appendBatch(actors, actorMessages(1, 300), never);
    expect(quick(path)).toEqual({ [actors]: 300 });
    witness.sqlite.pragma('wal_checkpoint(PASSIVE)');
    witness.appendBatch(actors, actorMessages(301, 310), never);
    expect(quick(path)).toEqual({ [actors]: 310 });
    // The log begins anew.
    witness.sqlite.pragma('wal_checkpoint(RESTART)');
    witness.appendBatch(actors, actorMessages(311, 330), never);
    expect(quick(path)).toEqual({ [actors]: 330 });
    witness.close();
  });

  it('reads what a crash left behind', () => {
    const [live, left] = [join(folder.path, 'live'), join(folder.path, 'left')];
    for (const place of [live, left]) mkdirSync(place);
    const witness = WitnessDatabase.open(join(live, 'witness.db'));
    witness.appendBatch(actors, actorMessages(1, 300), never);
    for (const name of ['witness.db', 'witness.db-wal']) copyFileSync(join(live, name), join(left, name));
    witness.close();
    expect(quick(join(left, 'witness.db'))).toEqual({ [actors]: 300 });
  });

  it('sees what was changed in the log of a running witness', () => {
    const path = newPath();
    const witness = WitnessDatabase.open(path);
    witness.appendBatch(actors, actorMessages(1, 300), never);
    witness.sqlite.pragma('wal_checkpoint(RESTART)');
    witness.sqlite.exec('UPDATE entries SET timestamp = timestamp + 1 WHERE seq = 77');
    expect(quick(path)).toBeUndefined();
    expect(verifyDatabase(path).chains[0]?.errors).toMatchObject([{ seq: 77, code: 'HASH_MISMATCH' }]);
    witness.close();
  });

  it('leaves another table, a lost gap, and rows out of order to the careful pass', () => {
    const path = newPath();
    const witness = WitnessDatabase.open(path);
    witness.appendBatch(actors, [...actorMessages(1, 5), actorMessage(9)], () => 'lost');
    witness.close();
    expect(quick(path)).toBeUndefined();
    const other = newPath();
    const sqlite = new Sqlite(other);
    sqlite.exec(`CREATE TABLE entries (${columns.map((column) => column.name).join(', ')})`);
    sqlite.close();
    expect(quick(other)).toBeUndefined();
    expect(verifyDatabase(other)).toEqual({ ok: true, chains: [] });
  });

  it('hashes rows from their stored bytes as they are hashed when they are written, however long they are', () => {
    const path = newPath();
    const text = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('', '\0', 'é'.repeat(5_000), 'x'.repeat(70_000), '🐝\ufffd'),
    );
    const number = fc.oneof(fc.double({ noNaN: true }), fc.integer(), fc.constantFrom(0, -0, 5, 2 ** 40, 1e300));
    const count = fc.oneof(
      fc.integer(),
      fc.constantFrom(0, 1, 127, 128, -129, 32_768, 2 ** 23, 2 ** 31, -(2 ** 31) - 1, 2 ** 46),
    );
    const records = fc.array(fc.record({ text, number, count }), { minLength: 200, maxLength: 200 });
    const [rows = []] = fc.sample(records, { numRuns: 1, seed: 5 });
    const witness = WitnessDatabase.open(path);
    witness.appendBatch(
      actors,
      rows.map((row, at) => {
        const cost = { cost_usd: row.number, tokens_in: row.count, tokens_out: -row.count, model: row.text };
        const record = taskRecord(1, {
          trace_id: row.text,
          by: row.text,
          n: at,
          event: { id: row.text, type: row.text, cost },
        });
        return actorMessage(at + 1, record);
      }),
      never,
    );
    witness.close();
    const sqlite = new Sqlite(path, { readonly: true });
    const stored = sqlite.prepare<[], Stored[]>('SELECT * FROM entries ORDER BY rowid').raw().safeIntegers().all();
    const root =
      sqlite.prepare<[], number>("SELECT rootpage FROM sqlite_schema WHERE name = 'entries'").pluck().get() ?? 0;
    sqlite.close();
    const [file, others] = [new PageFile(path, undefined), new PageFile(path, undefined)];
    const table = new TableRows(file, others);
    const [hasher, quickHasher] = [new RowHasher(), new StoredRowHasher()];
    let at = 0;
    const check = () => {
      const values = stored[at++] ?? [];
      expect(columns.map((_, column) => table.value(column))).toEqual(values);
      expect(Buffer.from(quickHasher.encode(table)).equals(Buffer.from(hasher.encode(values, hashedColumns)))).toBe(
        true,
      );
    };
    for (const parent of leafParents(file, root))
      for (const leaf of leavesOf(file, parent)) table.readLeaf(leaf, check);
    expect(at).toBe(rows.length);
    file.close();
    others.close();
    expect(verifyDatabase(path).ok).toBe(true);
  });

  it('on several cores says the same as on one', () => {
    const place = join(folder.path, 'compiled');
    mkdirSync(place);
    const program = compileProgram(new URL('./verify-program.ts', import.meta.url), place);
    const path = newPath();
    const witness = WitnessDatabase.open(path);
    const rows = 2_000;
    const long = 'x'.repeat(5_000);
    const messages = Array.from({ length: rows }, (_, at) =>
      actorMessage(at + 1, taskRecord(at + 1, { event: { id: long, type: 'NOTE' } })),
    );
    witness.appendBatch(actors, messages, never);
    witness.close();
    type Answer = Record<'threads' | 'one', RangeResult[] | null>;
    const run = () => JSON.parse(execFileSync(process.execPath, [program, path], { encoding: 'utf8' })) as Answer;
    const { threads, one } = run();
    const [whole] = one ?? [];
    expect(whole).toMatchObject({ last_row_id: rows, parts: [{ entries: rows, first_seq: 1, last_seq: rows }] });
    expect(threads).toHaveLength(2);
    expect(threads?.map((range) => range.parts[0]?.entries ?? 0).reduce((a, b) => a + b)).toBe(rows);
    const [first, second] = (threads ?? []).map((range) => range.parts[0]);
    expect(second).toMatchObject({ first_seq: (first?.last_seq ?? 0) + 1, first_previous: first?.head_hash });
    expect(second?.head_hash).toBe(whole?.parts[0]?.head_hash);
    const sqlite = new Sqlite(path);
    sqlite.exec(`UPDATE entries SET timestamp = timestamp + 1 WHERE seq = ${rows - 1}`);
    sqlite.close();
    expect(run()).toEqual({ threads: null, one: null });
  });
});
