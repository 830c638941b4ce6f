/**
 * All rows of a possibly damaged database, one at a time: as they lie in the table, or sorted. The table itself is read,
 * never an index, so that no row can hide. Where pages cannot be read, the damage is reported and reading goes on behind it.
 */
import type Sqlite from 'better-sqlite3';
import { columnNames, columns, type Stored } from '../columns.ts';

export type Item =
  | { readonly row: readonly Stored[] }
  /** Rows at this place cannot be read. */
  | { readonly damage: string };

const batchRows = 2_000;

/** Damaged places after which the rest of a file is given up. */
const maxDamages = 1_000;

/**
 * Rows in the order of the table, which is that in which they were written; those that are added meanwhile too. Between
 * batches no lock is held, so that a long verification never keeps a witness from starting.
 */
export function* rowsAsStored(sqlite: Sqlite.Database): Generator<Item> {
  const scan = sqlite
    .prepare<[number, number], unknown>(
      `SELECT ${columnNames}, rowid FROM entries NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT ?`,
    )
    .raw()
    .safeIntegers();
  let from = Number.MIN_SAFE_INTEGER;
  for (let damages = 0; damages < maxDamages; ) {
    let rows = 0;
    try {
      for (const found of scan.iterate(from, batchRows)) {
        const row = found as Stored[];
        from = Number(row[columns.length]) + 1;
        rows += 1;
        yield { row: exact(sqlite, row) };
      }
      if (rows < batchRows) return;
      continue;
    } catch (error) {
      yield { damage: String(error) };
    }
    damages += 1;
    const next = nextReadable(sqlite, Math.max(from, 1));
    if (next === undefined) return;
    // Sought by exactly this number: a smaller one may lead into the damaged page again.
    from = next;
  }
  yield { damage: `more than ${maxDamages} places are damaged; the rest was not read` };
}

/** Rows in order of chain and number, however they lie in the table. */
export function* rowsSorted(sqlite: Sqlite.Database): Generator<Item> {
  const scan = sqlite
    .prepare(`SELECT ${columnNames}, rowid FROM entries NOT INDEXED ORDER BY chain, seq, rowid`)
    .raw()
    .safeIntegers();
  try {
    for (const row of scan.iterate()) yield { row: exact(sqlite, row as Stored[]) };
  } catch (error) {
    yield { damage: String(error) };
  }
}

/**
 * The row with its row id at the end, as it came. Bytes that are not UTF-8 arrive as replacement characters; a text that
 * holds such is compared with what is stored, and if it differs, the bytes take its place.
 */
function exact(sqlite: Sqlite.Database, row: Stored[]): readonly Stored[] {
  for (let index = 0; index < columns.length; index++) {
    const value = row[index];
    if (typeof value !== 'string' || !value.includes('\ufffd')) continue;
    const name = columns[index]?.name;
    const stored = sqlite
      .prepare(`SELECT CAST(${name} AS BLOB) FROM entries NOT INDEXED WHERE rowid = ?`)
      .pluck()
      .get(row[columns.length]);
    if (stored instanceof Uint8Array && !Buffer.from(value).equals(stored)) row[index] = stored;
  }
  return row;
}

/** The first row id from `from` on that can be read; undefined when there is none. */
function nextReadable(sqlite: Sqlite.Database, from: number): number | undefined {
  const seek = sqlite.prepare<[number], { id: number }>(
    `SELECT rowid AS id, ${columnNames} FROM entries NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT 1`,
  );
  const probe = (id: number): number | 'end' | 'damaged' => {
    try {
      return seek.get(id)?.id ?? 'end';
    } catch {
      return 'damaged';
    }
  };
  let step = 1;
  while (probe(from + step) === 'damaged') {
    step *= 2;
    if (from + step > Number.MAX_SAFE_INTEGER) return undefined;
  }
  let damaged = from + Math.floor(step / 2);
  let readable = from + step;
  while (readable - damaged > 1) {
    const middle = damaged + Math.floor((readable - damaged) / 2);
    if (probe(middle) === 'damaged') damaged = middle;
    else readable = middle;
  }
  const found = probe(readable);
  return typeof found === 'number' ? found : undefined;
}
