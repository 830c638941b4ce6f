/** Whether every index can be read and leads to all rows: a query shows only what its index leads to. */
import type Sqlite from 'better-sqlite3';
import { indexes, keyIndex } from './schema.ts';

/** What is wrong with the indexes of a table of `rows` rows up to `lastRowId`. An index that is not there is no fault. */
export function indexFaults(sqlite: Sqlite.Database, rows: number, lastRowId: bigint): string[] {
  const list = sqlite.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'index'").pluck().all();
  const known = [keyIndex, ...Object.values(indexes).map((index) => index.name)];
  return known.filter((name) => list.includes(name)).flatMap((name) => indexFault(sqlite, name, rows, lastRowId) ?? []);
}

function indexFault(sqlite: Sqlite.Database, name: string, rows: number, lastRowId: bigint): string | undefined {
  try {
    // Rows may have been added meanwhile. For count(*), SQLite would take the smallest index whatever is asked.
    const sql = `SELECT (SELECT total(1) FROM entries INDEXED BY ${name}) - (SELECT count(*) FROM entries NOT INDEXED WHERE rowid > ?)`;
    const found = sqlite.prepare<[bigint], number>(sql).pluck().get(lastRowId);
    return found === rows
      ? undefined
      : `the index ${name} leads to ${found} of ${rows} entries; rebuild it with REINDEX`;
  } catch (error) {
    return `the index ${name} cannot be read (${String(error)}); rebuild it with REINDEX`;
  }
}
