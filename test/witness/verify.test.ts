import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packBytes } from '../../src/data/codec.ts';
import { columnNames, columns, storedValues } from '../../src/witness/columns.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { type Entry, zeroHash } from '../../src/witness/entry.ts';
import { RowHasher } from '../../src/witness/hash.ts';
import type { Fault } from '../../src/witness/verify/fault.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { tempDir } from '../support/temp.ts';
import {
  actorMessage,
  actorMessages,
  actors,
  busMessage,
  epochMessage,
  journalMessage,
  never,
  taskRecord,
} from './messages.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let clean: string;
let copies = 0;

beforeAll(async () => {
  folder = await tempDir();
  clean = join(folder.path, 'clean.db');
  const witness = WitnessDatabase.open(clean);
  witness.appendBatch(
    actors,
    [epochMessage(1, zeroHash), ...actorMessages(2, 11), actorMessage(14), ...actorMessages(15, 20)],
    () => 'trimmed',
  );
  const bus = [
    busMessage(1, 'a', packBytes({ v: 1 })),
    busMessage(2, 'a', new Uint8Array(), { 'KV-Operation': 'DEL' }),
    busMessage(3, 'a', Buffer.from([0xc1])),
  ];
  witness.appendBatch('IF_bus/1', bus, never);
  witness.appendBatch(
    'IF_journal/1',
    [journalMessage(1, { event: 'note', component: 'mine', by: 'alpha', payload: null, trace_id: 't' })],
    never,
  );
  witness.appendBatch(
    'IF_actors/2',
    [epochMessage(2, witness.head(actors)?.head_hash ?? ''), ...actorMessages(2, 4)],
    never,
  );
  witness.close();
});
afterAll(() => folder.remove());

/** A copy of the clean file, changed by `tamper`; the table holds any value when it is `loose`. */
function tampered(tamper: (sqlite: Sqlite.Database) => void, loose = false): ReturnType<typeof verifyDatabase> {
  const copy = join(folder.path, `copy-${++copies}.db`);
  copyFileSync(clean, copy);
  const sqlite = new Sqlite(copy);
  if (loose) {
    sqlite.exec(`CREATE TABLE loose (${columns.map((column) => column.name).join(', ')});
      INSERT INTO loose SELECT ${columnNames} FROM entries; DROP TABLE entries; ALTER TABLE loose RENAME TO entries`);
  }
  tamper(sqlite);
  sqlite.close();
  return verifyDatabase(copy);
}

function faults(result: ReturnType<typeof verifyDatabase>, chain = actors): string[] {
  expect(result.ok).toBe(result.chains.every((each) => each.errors.length === 0));
  const errors: readonly Fault[] = result.chains.find((each) => each.chain === chain)?.errors ?? [];
  return errors.map((error) => `${error.code} ${error.seq}`);
}

const where = `chain = '${actors}' AND seq`;

describe('verification', () => {
  it('passes a clean file, and says what it holds', () => {
    const result = verifyDatabase(clean);
    expect(result.ok).toBe(true);
    expect(
      result.chains.map(({ chain, entries, first_seq, last_seq, gaps }) => [chain, entries, first_seq, last_seq, gaps]),
    ).toEqual([
      ['IF_actors/1', 19, 1, 20, 1],
      ['IF_actors/2', 4, 1, 4, 0],
      ['IF_bus/1', 3, 1, 3, 0],
      ['IF_journal/1', 1, 1, 1, 0],
    ]);
  });

  it('passes a copy of the rows, in any order and without indexes', () => {
    expect(tampered(() => {}, true)).toEqual(verifyDatabase(clean));
    const shuffled = tampered((sqlite) => {
      sqlite.exec(
        `CREATE TABLE other AS SELECT * FROM entries ORDER BY content_hash; DELETE FROM entries; INSERT INTO entries SELECT * FROM other; DROP TABLE other`,
      );
    });
    expect(shuffled).toEqual(verifyDatabase(clean));
  });

  const changes: Record<string, readonly string[]> = {
    chain: ["'IF_actors/3'", "'IF_bus/1'", "'x'"],
    seq: ['100', '-5', '0'],
    timestamp: ['timestamp + 1', '0', '-timestamp'],
    component: ["'IF.governor'", "''", "component || ' '", 'component || char(0)'],
    event: ["'FAIL'", 'lower(event)', "'gap'", "'UNREADABLE'"],
    swarm_id: ["'other'", 'NULL', "''", "swarm_id || '\n'"],
    kind: ["'blocker'", 'NULL', "''"],
    actor_id: ["'t-9'", 'NULL', "actor_id || 'x'"],
    n: ['n + 1', 'NULL', '-n', '9007199254740993'],
    trace_id: ["'other'", 'NULL', "''"],
    payload: [
      "payload || ' '",
      "'{}'",
      "''",
      "'null'",
      "replace(payload, 'ünï', 'uni')",
      "replace(payload, 'null', 'true')",
    ],
    tokens_in: ['tokens_in + 1', 'NULL', '0'],
    tokens_out: ['tokens_out - 1', 'NULL', '0'],
    cost_usd: ['cost_usd + 0.000001', 'NULL', '-cost_usd', '0'],
    model: ["'m-2'", 'NULL', "''"],
    prev_hash: ['upper(prev_hash)', "''", `'${'0'.repeat(64)}'`],
    content_hash: ['upper(content_hash)', "''", `'${'0'.repeat(64)}'`],
  };
  for (const column of columns) {
    it.each(changes[column.name] ?? [])(`finds ${column.name} of one entry changed to %s`, (value) => {
      const result = tampered((sqlite) => {
        expect(sqlite.prepare(`UPDATE entries SET ${column.name} = ${value} WHERE ${where} = 8`).run().changes).toBe(1);
      });
      expect(result.ok).toBe(false);
      const expected = column.name === 'chain' || column.name === 'seq' ? 'SEQ_MISSING 8' : ' 8';
      expect(faults(result).join()).toContain(expected);
    });
  }

  const others: Record<string, readonly string[]> = {
    INTEGER: ['CAST(@ AS REAL)', 'CAST(@ AS TEXT)', 'CAST(@ AS BLOB)'],
    REAL: ['CAST(@ AS TEXT)', 'CAST(@ * 4 AS INTEGER)', 'CAST(@ AS BLOB)'],
    TEXT: ['CAST(@ AS BLOB)', '1', '1.0'],
  };
  for (const column of columns) {
    it.each([...(others[column.type] ?? []), ...(column.nullable ? [] : ['NULL'])])(
      `finds the type of ${column.name} changed by %s`,
      (value) => {
        const result = tampered((sqlite) => {
          sqlite.exec(`UPDATE entries SET ${column.name} = ${value.replace('@', column.name)} WHERE ${where} = 8`);
        }, true);
        expect(result.ok).toBe(false);
        const codes = result.chains.flatMap((chain) => chain.errors.map((error) => error.code));
        expect(codes).toContain('FIELD_TYPE');
      },
    );
  }

  it('finds bytes that are not UTF-8 in the place of a replacement character', () => {
    const copy = join(folder.path, 'replacement.db');
    const witness = WitnessDatabase.open(copy);
    witness.appendBatch(actors, [actorMessage(1, taskRecord(1, { trace_id: 'a\ufffdb' }))], never);
    witness.close();
    expect(verifyDatabase(copy).ok).toBe(true);
    const sqlite = new Sqlite(copy);
    sqlite.exec("UPDATE entries SET trace_id = CAST(x'61ff62' AS TEXT)");
    sqlite.close();
    expect(faults(verifyDatabase(copy))).toEqual(['FIELD_TYPE 1']);
  });

  it('names a deleted row by its own number, wherever it was', () => {
    for (const seq of [1, 2, 9, 11, 19]) {
      expect(faults(tampered((sqlite) => sqlite.exec(`DELETE FROM entries WHERE ${where} = ${seq}`)))).toEqual([
        `SEQ_MISSING ${seq}`,
      ]);
    }
    const hole = tampered((sqlite) => sqlite.exec(`DELETE FROM entries WHERE ${where} BETWEEN 4 AND 6`));
    expect(faults(hole)).toEqual(['SEQ_MISSING 4', 'SEQ_MISSING 5', 'SEQ_MISSING 6']);
  });

  it('finds a deleted gap row, all of its numbers', () => {
    expect(faults(tampered((sqlite) => sqlite.exec(`DELETE FROM entries WHERE ${where} = 12`)))).toEqual([
      'SEQ_MISSING 12',
      'SEQ_MISSING 13',
    ]);
  });

  it('finds a row deleted from the end of an epoch that was followed by another', () => {
    const result = tampered((sqlite) => sqlite.exec(`DELETE FROM entries WHERE ${where} = 20`));
    expect(faults(result, 'IF_actors/2')).toEqual(['CHAIN_BROKEN 1']);
  });

  it('finds a whole epoch deleted', () => {
    const result = tampered((sqlite) => sqlite.exec(`DELETE FROM entries WHERE chain = '${actors}'`));
    expect(faults(result, 'IF_actors/2')).toEqual(['CHAIN_BROKEN 1']);
  });

  it('finds two rows that changed places', () => {
    const result = tampered((sqlite) => {
      sqlite.exec(
        `UPDATE entries SET seq = 100 WHERE ${where} = 5; UPDATE entries SET seq = 5 WHERE ${where} = 6; UPDATE entries SET seq = 6 WHERE ${where} = 100`,
      );
    });
    expect(faults(result)).toEqual(expect.arrayContaining(['HASH_MISMATCH 5', 'HASH_MISMATCH 6']));
  });

  it('finds the contents of two rows exchanged', () => {
    const rest = columns
      .slice(2)
      .map((column) => column.name)
      .join(', ');
    const result = tampered((sqlite) => {
      sqlite.exec(`CREATE TABLE two AS SELECT * FROM entries WHERE ${where} IN (5, 6); UPDATE two SET seq = 11 - seq;
        UPDATE entries SET (${rest}) = (SELECT ${rest} FROM two WHERE two.seq = entries.seq) WHERE ${where} IN (5, 6)`);
    });
    expect(faults(result)).toEqual(expect.arrayContaining(['HASH_MISMATCH 5', 'HASH_MISMATCH 6']));
  });

  it('finds a row that is there twice', () => {
    const result = tampered(
      (sqlite) => sqlite.exec(`INSERT INTO entries SELECT * FROM entries WHERE ${where} = 7`),
      true,
    );
    expect(faults(result)).toEqual(['SEQ_DUPLICATE 7']);
  });

  it('finds a row put inside a gap', () => {
    const result = tampered((sqlite) => {
      sqlite.exec(
        `INSERT INTO entries SELECT chain, 13, ${columns
          .slice(2)
          .map((column) => column.name)
          .join(', ')} FROM entries WHERE ${where} = 8`,
      );
    });
    expect(faults(result)).toEqual(['SEQ_DUPLICATE 13']);
  });

  it('finds a row that was changed together with its hash, by the row after it', () => {
    expect(faults(tampered((sqlite) => rewrite(sqlite, 8, { timestamp: 5 })))).toEqual(['CHAIN_BROKEN 9']);
  });

  it('finds a chain rewritten to its end whose columns do not say what its payloads say', () => {
    const result = tampered((sqlite) => {
      for (const seq of [8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20]) {
        rewrite(sqlite, seq, seq === 8 ? { swarm_id: 'other' } : {});
      }
    });
    expect(faults(result)).toEqual(['FIELD_TYPE 8']);
    // The next epoch was opened from the old head.
    expect(faults(result, 'IF_actors/2')).toEqual(['CHAIN_BROKEN 1']);
  });

  it('finds a forged gap', () => {
    const payload = '{"first_seq":12,"last_seq":14,"reason":"trimmed"}';
    expect(faults(tampered((sqlite) => rewrite(sqlite, 12, { payload })))).toEqual([
      'SEQ_DUPLICATE 14',
      'CHAIN_BROKEN 15',
    ]);
    const backwards = '{"first_seq":12,"last_seq":3,"reason":"trimmed"}';
    expect(faults(tampered((sqlite) => rewrite(sqlite, 12, { payload: backwards })))).toContain('FIELD_TYPE 12');
  });

  it('goes on after the first fault, and counts what it does not list', () => {
    const result = tampered((sqlite) =>
      sqlite.exec(`UPDATE entries SET timestamp = 0 WHERE ${where} IN (3, 9); DELETE FROM entries WHERE ${where} = 5`),
    );
    expect(faults(result)).toEqual(['HASH_MISMATCH 3', 'SEQ_MISSING 5', 'HASH_MISMATCH 9']);
    expect(
      faults(tampered((sqlite) => sqlite.exec(`UPDATE entries SET seq = 9007199254740991 WHERE ${where} = 20`))).length,
    ).toBeLessThan(200);
  });

  it('verifies what a log may hold: any text, large numbers, nothing at all', () => {
    const path = join(folder.path, 'odd.db');
    const witness = WitnessDatabase.open(path);
    const texts = [
      '',
      '\0',
      'a\0b',
      '\ufffd',
      '\ufeff',
      '🐝\u{10ffff}',
      '\'"\\\n',
      'x'.repeat(70_000),
      '\ufffe',
      '   ',
    ];
    const numbers = [0, -0, 1e-320, 1.7976931348623157e308, -9007199254740991, 0.1 + 0.2, 123456789012.5];
    const messages = texts.flatMap((text, at) => [
      actorMessage(at * 2 + 1, taskRecord(1, { trace_id: text, by: text, event: { id: text, type: text } })),
      actorMessage(
        at * 2 + 2,
        taskRecord(2, {
          event: {
            id: 'e',
            type: 'CHARGE',
            cost: { cost_usd: numbers[at] ?? null, tokens_in: numbers[at] ?? null, model: text },
          },
        }),
      ),
    ]);
    witness.appendBatch(actors, messages, never);
    expect(verifyDatabase(path)).toMatchObject({ ok: true, chains: [{ entries: texts.length * 2 }] });
    expect(witness.query({ trace_id: 'a\0b' }).entries[0]?.payload).toMatchObject({ by: 'a\0b' });
    witness.close();
    expect(verifyDatabase(path).ok).toBe(true);
  });
});

/** Changes a row and gives it the hash that it then must have, after the row before it. */
function rewrite(sqlite: Sqlite.Database, seq: number, fields: Partial<Entry>): void {
  const row = sqlite.prepare<[], Entry>(`SELECT * FROM entries WHERE ${where} = ${seq}`).get();
  const before = sqlite
    .prepare<[], Entry>(`SELECT * FROM entries WHERE ${where} < ${seq} ORDER BY seq DESC LIMIT 1`)
    .get();
  if (!row || !before) throw new Error(`there is no entry ${seq}`);
  const changed = { ...row, prev_hash: before.content_hash, ...fields };
  const values = storedValues(changed);
  const assignments = columns.map((column) => `${column.name} = ?`).join(', ');
  sqlite
    .prepare(`UPDATE entries SET ${assignments} WHERE ${where} = ${seq}`)
    .run(...values, new RowHasher().hash(values));
}
