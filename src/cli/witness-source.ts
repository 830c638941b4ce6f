/**
 * Where the commands of the witness read from: a database that is opened for reading only, and given back whatever
 * happens; the public keys that are trusted; and the checkpoints that it is held against.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { FabricError } from '../errors.ts';
import { type Checkpoint, readCheckpoints } from '../witness/proofs/checkpoint-format.ts';
import { readTrustedKeys, type TrustedKeys, trustedKeysOf } from '../witness/proofs/trusted-keys.ts';
import { openReadOnly } from '../witness/read-only.ts';
import { given, type Options, textOf, timeOf } from './option-values.ts';
import type { CommandContext } from './program.ts';

/** What `--db` names, else the database of the data directory. */
export async function databasePath(context: CommandContext, options: Options): Promise<string> {
  return textOf(options, '--db') ?? join((await context.resolve()).config.data_dir, 'witness.db');
}

/** The filters that a command was given; those that have a value. @throws FabricError INVALID_REQUEST */
export function filtersOf(options: Options): Record<string, unknown> {
  return given({
    since: timeOf(options, '--since'),
    until: timeOf(options, '--until'),
    swarm_id: textOf(options, '--swarm'),
    event: textOf(options, '--event'),
    component: textOf(options, '--component'),
    trace_id: textOf(options, '--trace'),
    kind: textOf(options, '--kind'),
    id: textOf(options, '--id'),
  });
}

/** @throws FabricError UNAVAILABLE when the file cannot be read as a witness database; what `read` throws */
export async function reading<Result>(
  path: string,
  read: (sqlite: Sqlite.Database) => Result | Promise<Result>,
): Promise<Result> {
  const { sqlite, close } = openReadOnly(path);
  try {
    return await read(sqlite);
  } catch (error) {
    if (!(error instanceof Sqlite.SqliteError || error instanceof SyntaxError)) throw error;
    throw new FabricError(
      'UNAVAILABLE',
      `${path} cannot be read as a witness database (${error.message}); \`infrafabric witness verify --db ${path}\` says more`,
      undefined,
      { cause: error },
    );
  } finally {
    close();
  }
}

/** Those of `--key`, else those of the data directory, if it has any. @throws FabricError UNAVAILABLE, INVALID_REQUEST */
export function trustedKeys(options: Options, dataDir: string): TrustedKeys | undefined {
  const file = textOf(options, '--key');
  return file === undefined ? trustedKeysOf(dataDir) : readTrustedKeys(file);
}

/**
 * Those of `--checkpoint`; else, for the data directory's own database, those that are kept beside it, if there are any.
 * @throws FabricError UNAVAILABLE when the file cannot be read, INVALID_REQUEST when it holds something else
 */
export function keptCheckpoints(options: Options, dataDir: string): Checkpoint[] | undefined {
  const named = textOf(options, '--checkpoint');
  const own = join(dataDir, 'checkpoints.jsonl');
  if (named === undefined && (textOf(options, '--db') !== undefined || !existsSync(own))) return undefined;
  const file = named ?? own;
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new FabricError(
      'UNAVAILABLE',
      `the checkpoints ${file} cannot be read (${String(error)}); name the file with --checkpoint FILE`,
      undefined,
      { cause: error },
    );
  }
  return readCheckpoints(bytes);
}
