import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { columnNames, columns } from '../../src/witness/columns.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { zeroHash } from '../../src/witness/entry.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessage, actorMessages, actors, epochMessage, taskRecord } from './messages.ts';

/** The entry that is changed, which has a value in every column; two more of the same shape lie around it. */
const victim = 8;
const last = 20;

let folder: Awaited<ReturnType<typeof tempDir>>;
let clean: string;
let copies = 0;

beforeAll(async () => {
  folder = await tempDir();
  clean = join(folder.path, 'clean.db');
  const witness = WitnessDatabase.open(clean);
  witness.appendBatch(
    actors,
    [
      epochMessage(1, zeroHash),
      ...actorMessages(2, 11),
      actorMessage(14),
      ...actorMessages(15, last - 1),
      actorMessage(last, taskRecord(last, { trace_id: 'ünï\0cödé "\\\n' })),
    ],
    () => 'trimmed',
  );
  witness.close();
});
afterAll(() => folder.remove());

/** What is found after `sql`, as codes and places; any value fits into a column when the table is `loose`. */
function found(sql: string, loose = false): string[] {
  const copy = join(folder.path, `copy-${++copies}.db`);
  copyFileSync(clean, copy);
  const sqlite = new Sqlite(copy);
  if (loose) {
    sqlite.exec(`CREATE TABLE loose (${columnNames}); INSERT INTO loose SELECT ${columnNames} FROM entries;
      DROP TABLE entries; ALTER TABLE loose RENAME TO entries`);
  }
  sqlite.exec(sql);
  sqlite.close();
  const result = verifyDatabase(copy);
  const faults = result.chains.flatMap(({ chain, errors }) =>
    errors.map(({ code, seq }) => `${code} ${seq}${chain === actors ? '' : ` of ${chain}`}`),
  );
  expect(result.ok).toBe(faults.length === 0);
  return faults;
}

const set = (column: string, value: string, seq = victim) =>
  `UPDATE entries SET ${column} = ${value} WHERE seq = ${seq}`;

/** Values next to the one that is there, of the same type or none. */
const texts = (name: string) => [
  `${name} || ' '`,
  `' ' || ${name}`,
  `${name} || char(0)`,
  `${name} || char(8203)`,
  `substr(${name}, 2)`,
  `substr(${name}, 1, length(${name}) - 1)`,
  `upper(${name}) || lower(${name})`,
  `${name} || ${name}`,
  "''",
];
const numbers = (name: string) => [`${name} + 1`, `${name} - 1`, `-${name}`, `${name} * 10`, `${name} + 4294967296`];
const special: Partial<Record<string, readonly string[]>> = {
  cost_usd: ['cost_usd + 0.000001', 'cost_usd - 1e-12', '-cost_usd', '0.0', '1e308', '1.0'],
};

function neighbours({ name, type, nullable }: (typeof columns)[number]): readonly string[] {
  const near = special[name] ?? (type === 'TEXT' ? texts(name) : numbers(name));
  return nullable ? [...near, 'NULL'] : near;
}

/** What an entry whose one column has another value is found as. */
const codesOf: Partial<Record<string, readonly string[]>> = {
  prev_hash: [`CHAIN_BROKEN ${victim}`, `HASH_MISMATCH ${victim}`],
};

describe('one column of one entry changed to a value next to it', () => {
  const others = columns.filter(({ name }) => name !== 'chain' && name !== 'seq');
  const cases = others.flatMap((column) => neighbours(column).map((value) => [column.name, value] as const));
  it.each(cases)('is found in its place: %s = %s', (name, value) => {
    expect(found(set(name, value))).toEqual(codesOf[name] ?? [`HASH_MISMATCH ${victim}`]);
  });

  it("of the table's every row is found in every row", () => {
    const rows = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20];
    for (const row of rows) expect(found(set('timestamp', 'timestamp + 1', row))).toEqual([`HASH_MISMATCH ${row}`]);
  });

  it.each(["'IF_actors/2'", "'IF_bus/1'", "'if_actors/1'", "''"])(
    'is found where it is and where it was: chain = %s',
    (value) => {
      const faults = found(set('chain', value));
      expect(faults).toContain(`SEQ_MISSING ${victim}`);
      expect(faults.filter((fault) => fault.endsWith(` of ${value.slice(1, -1)}`)).length).toBeGreaterThan(0);
    },
  );

  it.each([
    ['0', ['FIELD_TYPE 1', 'SEQ_MISSING 8']],
    ['-8', ['FIELD_TYPE 1', 'SEQ_MISSING 8']],
    ['13', ['SEQ_MISSING 8', 'SEQ_DUPLICATE 13']],
    ['21', ['SEQ_MISSING 8', 'CHAIN_BROKEN 21', 'HASH_MISMATCH 21']],
  ])('is found where it is and where it was: seq = %s', (value, faults) => {
    expect(found(set('seq', value))).toEqual(faults);
  });
});

describe('one column of one entry changed to another type', () => {
  const casts = { INTEGER: ['REAL', 'TEXT', 'BLOB'], REAL: ['TEXT', 'BLOB'], TEXT: ['BLOB'] } as const;
  const cases = columns.flatMap(({ name, type, nullable }) => [
    ...casts[type].map((other) => [name, `CAST(${name} AS ${other})`] as const),
    ...(type === 'TEXT'
      ? ([
          [name, '1'],
          [name, '1.5'],
        ] as const)
      : []),
    ...(type === 'REAL' ? ([[name, `CAST(${name} * 4 AS INTEGER)`]] as const) : []),
    ...(nullable ? [] : ([[name, 'NULL']] as const)),
  ]);
  it.each(cases)('is found in its place: %s = %s', (name, value) => {
    const faults = found(set(name, value), true);
    if (name === 'chain') expect(faults).toContain(`SEQ_MISSING ${victim}`);
    else if (name === 'seq') expect(faults).toEqual([`FIELD_TYPE ${victim}`, `SEQ_MISSING ${victim}`]);
    else expect(faults).toContain(`FIELD_TYPE ${victim}`);
    expect(faults.every((fault) => / (8|9)\b/.test(fault) || name === 'chain')).toBe(true);
  });
});

const rest = columns
  .slice(2)
  .map((column) => column.name)
  .join(', ');

describe('rows', () => {
  it('that changed places are found in both', () => {
    const swap = (a: number, b: number) =>
      `UPDATE entries SET seq = 100 WHERE seq = ${a}; UPDATE entries SET seq = ${a} WHERE seq = ${b}; UPDATE entries SET seq = ${b} WHERE seq = 100`;
    for (const [a, b] of [
      [5, 6],
      [3, 17],
      [10, 11],
    ] as const) {
      const faults = found(swap(a, b));
      expect(faults).toEqual(
        expect.arrayContaining([`HASH_MISMATCH ${a}`, `HASH_MISMATCH ${b}`, `CHAIN_BROKEN ${a}`, `CHAIN_BROKEN ${b}`]),
      );
    }
  });

  it('that were removed are named, each by its number', () => {
    for (const gone of [[1], [2], [8], [11], [19], [4, 5, 6], [2, 9, 16]]) {
      expect(found(`DELETE FROM entries WHERE seq IN (${gone.join()})`)).toEqual(
        gone.map((seq) => `SEQ_MISSING ${seq}`),
      );
    }
    expect(found('DELETE FROM entries WHERE seq = 12')).toEqual(['SEQ_MISSING 12', 'SEQ_MISSING 13']);
  });

  it('that are there twice are found', () => {
    for (const seq of [1, 8, 20]) {
      expect(found(`INSERT INTO entries SELECT * FROM entries WHERE seq = ${seq}`, true)).toEqual([
        `SEQ_DUPLICATE ${seq}`,
      ]);
    }
  });

  it('that were put in are found', () => {
    expect(found(`INSERT INTO entries SELECT chain, 13, ${rest} FROM entries WHERE seq = 8`)).toEqual([
      'SEQ_DUPLICATE 13',
    ]);
    const end = found(`INSERT INTO entries SELECT chain, 21, ${rest} FROM entries WHERE seq = 20`);
    expect(end).toEqual(['CHAIN_BROKEN 21', 'HASH_MISMATCH 21']);
  });

  it('of a fork are found', () => {
    const other = join(folder.path, 'other.db');
    const witness = WitnessDatabase.open(other);
    const fork = actorMessages(11, 11).map((message) => ({ ...message, time_ms: message.time_ms + 1 }));
    witness.appendBatch(
      actors,
      [epochMessage(1, zeroHash), ...actorMessages(2, 10), ...fork, ...actorMessages(14, last)],
      () => 'trimmed',
    );
    witness.close();
    // The other branch's end in the place of this one's.
    expect(
      found(
        `ATTACH '${other}' AS other; DELETE FROM entries WHERE seq > 14; INSERT INTO entries SELECT * FROM other.entries WHERE seq > 14`,
      ),
    ).toEqual(['CHAIN_BROKEN 15']);
    // Both branches at once.
    const both = found(
      `ATTACH '${other}' AS other; INSERT INTO entries SELECT * FROM other.entries WHERE seq > 10`,
      true,
    );
    for (const seq of [11, 14, 20]) expect(both).toContain(`SEQ_DUPLICATE ${seq}`);
  });

  it('with several faults are all found', () => {
    const faults = found(
      `${set('timestamp', '0', 3)}; DELETE FROM entries WHERE seq = 6; ${set('model', "'m'", 8)}; ${set('payload', "payload || ' '", 20)}`,
    );
    expect(faults).toEqual(['HASH_MISMATCH 3', 'SEQ_MISSING 6', 'HASH_MISMATCH 8', 'HASH_MISMATCH 20']);
  });
});
