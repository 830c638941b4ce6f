/**
 * The id of a witness, which names its consumers: kept in its database, together with the file that it was given to. A
 * copy of the file is another witness, and gets an id of its own.
 */
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { hostname } from 'node:os';
import type Sqlite from 'better-sqlite3';
import { hasTable } from '../../src/witness/contents.ts';

/** The id that the database holds, 8 hex digits; undefined when no witness has opened it. */
export function readWitnessId(sqlite: Sqlite.Database): string | undefined {
  return hasTable(sqlite, 'meta') ? metaOf(sqlite, 'witness_id') : undefined;
}

/** The id of the witness of this file, made when it has none. @throws SqliteError when it cannot be stored */
export function ensureWitnessId(sqlite: Sqlite.Database, path: string): string {
  const { dev, ino } = statSync(path, { bigint: true });
  const file = `${hostname()}:${dev}:${ino}`;
  return sqlite
    .transaction(() => {
      sqlite.exec('CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT');
      const known = metaOf(sqlite, 'witness_id');
      if (known !== undefined && metaOf(sqlite, 'witness_file') === file) return known;
      const id = randomBytes(4).toString('hex');
      const put = sqlite.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
      put.run('witness_id', id);
      put.run('witness_file', file);
      return id;
    })
    .immediate();
}

function metaOf(sqlite: Sqlite.Database, key: string): string | undefined {
  return sqlite.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?').get(key)?.value;
}
