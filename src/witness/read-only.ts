/**
 * Opens a witness database for reading without leaving a trace: no side file is created beside it, also on a read-only
 * medium, whether it was closed cleanly, is being written to, or was left behind by a crash.
 */
import { closeSync, copyFileSync, mkdtempSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import Sqlite from 'better-sqlite3';
import { FabricError } from '../errors.ts';

export interface ReadOnlyDatabase {
  readonly sqlite: Sqlite.Database;
  /** The file that is read: the one asked for, or a copy of it. */
  readonly path: string;
  close(): void;
}

/** How long a reader waits for a lock, in milliseconds. */
const busyTimeoutMs = 5_000;
const copyAttempts = 3;

/** @throws FabricError UNAVAILABLE when the file does not exist or cannot be opened. Damage shows when it is read. */
export function openReadOnly(path: string): ReadOnlyDatabase {
  const file = resolve(path);
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
    throw new FabricError('UNAVAILABLE', `there is no file ${file}; give the path of a witness database`);
  }
  try {
    const log = sizeOf(`${file}-wal`);
    if (log !== undefined && sizeOf(`${file}-shm`) !== undefined) return openShared(file);
    // In this mode SQLite would create a log to read even a file that needs none.
    if (log !== undefined || usesLog(file)) return openCopy(file);
    return openDirectly(file);
  } catch (error) {
    if (error instanceof FabricError) throw error;
    throw new FabricError('UNAVAILABLE', `${file} cannot be opened for reading: ${String(error)}`, undefined, {
      cause: error,
    });
  }
}

function openDirectly(file: string): ReadOnlyDatabase {
  const sqlite = new Sqlite(file, { readonly: true, fileMustExist: true, timeout: busyTimeoutMs });
  return { sqlite, path: file, close: () => sqlite.close() };
}

/** A log and its index are there already: read beside whoever writes. */
function openShared(file: string): ReadOnlyDatabase {
  const database = openDirectly(file);
  try {
    // The first read maps the index, which another user's file or a read-only medium may not allow.
    database.sqlite.prepare('SELECT count(*) FROM sqlite_schema').get();
    return database;
  } catch (error) {
    database.close();
    const code = error instanceof Sqlite.SqliteError ? error.code : '';
    if (/^SQLITE_(CANTOPEN|READONLY|IOERR|BUSY|PROTOCOL)/.test(code)) return openCopy(file);
    throw error;
  }
}

/** What a crash or a copy of a running witness leaves: reading it takes side files, which are made elsewhere. */
function openCopy(file: string): ReadOnlyDatabase {
  const folder = mkdtempSync(join(tmpdir(), 'witness-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const copy = join(folder, 'witness.db');
    copyStable(file, copy);
    const sqlite = new Sqlite(copy);
    const close = () => {
      sqlite.close();
      remove();
    };
    return { sqlite, path: copy, close };
  } catch (error) {
    remove();
    throw error;
  }
}

function copyStable(file: string, copy: string): void {
  for (let attempt = 1; attempt <= copyAttempts; attempt++) {
    const before = signature(file);
    copyFileSync(file, copy);
    if (sizeOf(`${file}-wal`) !== undefined) copyFileSync(`${file}-wal`, `${copy}-wal`);
    if (signature(file) === before) return;
  }
  throw new FabricError(
    'UNAVAILABLE',
    `${file} changes while it is copied for reading; try again when its witness is idle`,
  );
}

/** What changes when anyone writes to the database. */
function signature(file: string): string {
  return ['', '-wal']
    .map((suffix) => statSync(`${file}${suffix}`, { bigint: true, throwIfNoEntry: false }))
    .map((stat) => (stat ? `${stat.ino}:${stat.size}:${stat.mtimeNs}` : 'none'))
    .join(' ');
}

/** Whether the file's header asks for a write-ahead log (SQLite file format, offsets 18 and 19). */
function usesLog(file: string): boolean {
  const versions = Buffer.alloc(2);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, versions, 0, 2, 18);
  } finally {
    closeSync(descriptor);
  }
  return versions[0] === 2 || versions[1] === 2;
}

function sizeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.size;
}
