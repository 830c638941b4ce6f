/**
 * Tells what keeps a database from being written (no space, no rights, a failing or damaged disk), which may pass, from
 * faults that do not, such as a file that is no database.
 */
import Sqlite from 'better-sqlite3';

/** Result codes of SQLite that are about the file, and what each says to people. */
const troubles: ReadonlyArray<readonly [RegExp, string]> = [
  [/^SQLITE_FULL/, 'no space is left for the witness database'],
  [/^SQLITE_READONLY/, 'the witness database can only be read'],
  [/^SQLITE_CANTOPEN/, 'the witness database cannot be opened'],
  [/^SQLITE_IOERR/, 'the disk of the witness database fails'],
  [/^SQLITE_CORRUPT/, 'the witness database is damaged'],
  [/^SQLITE_(BUSY|LOCKED|PROTOCOL)/, 'another process keeps the witness database locked'],
  [/^SQLITE_(PERM|AUTH|NOLFS|NOMEM)/, 'the system does not let the witness database be written'],
];

const fileErrors: ReadonlySet<string> = new Set(['ENOSPC', 'EROFS', 'EACCES', 'EPERM', 'EIO', 'EDQUOT', 'EMFILE']);

/** What keeps the database from being written; undefined for any other error. */
export function storageTrouble(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as { code?: unknown };
    if (typeof code !== 'string') continue;
    const said = `${code}: ${cause.message}`;
    if (cause instanceof Sqlite.SqliteError) {
      const trouble = troubles.find(([pattern]) => pattern.test(code));
      return trouble && `${trouble[1]} (${said})`;
    }
    if (fileErrors.has(code)) return `the folder of the witness database cannot be written (${said})`;
  }
  return undefined;
}
