/**
 * Whether every index leads to exactly the rows of the table, under the values that they have: a query shows what its index
 * leads to, so whoever could alter an index could hide an entry without touching it.
 */
import type Sqlite from 'better-sqlite3';

/** What the rows themselves show, and what is named there. */
const ofRows = /^(NULL|non-\w+|numeric|text) value in |^CHECK constraint failed/i;
const index = /\bindex (\w+)$/;

/** What is wrong with the indexes, or with how table and indexes lie in the file; each index once. */
export function indexFaults(sqlite: Sqlite.Database): string[] {
  const found = new Map<string, string[]>();
  for (const line of integrityOf(sqlite)) {
    if (line === 'ok' || ofRows.test(line)) continue;
    const name = index.exec(line)?.[1] ?? '';
    found.set(name, [...(found.get(name) ?? []), line]);
  }
  return [...found].map(([name, [first, ...others]]) => {
    const more = others.length === 0 ? '' : `, and ${others.length} more like it`;
    return name === ''
      ? `the file is damaged (${first}${more})`
      : `the index ${name} does not fit the entries (${first}${more}); rebuild it with REINDEX`;
  });
}

function integrityOf(sqlite: Sqlite.Database): string[] {
  try {
    return sqlite.prepare<[], string>('PRAGMA integrity_check(entries)').pluck().all();
  } catch (error) {
    return [String(error)];
  }
}
