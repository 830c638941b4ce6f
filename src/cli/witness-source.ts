/**
 * Where the commands of the witness read from: a database that is opened for reading only, and given back whatever
 * happens; the public keys that are trusted; and the checkpoints that it is held against.
 */
import { existsSync, readFileSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { FabricError } from '../errors.ts';
import { checkpointsFile, witnessPath } from '../witness/files.ts';
import { type Checkpoint, readCheckpoints } from '../witness/proofs/checkpoint-format.ts';
import { readTrustedKeys, type TrustedKeys, trustedKeysOf } from '../witness/proofs/trusted-keys.ts';
import { openReadOnly } from '../witness/read-only.ts';
import { given, type Options, textOf, timeOf } from './option-values.ts';
import type { CommandContext } from './program.ts';

/** What `--db` names, else the database of the data directory. */
export async function databasePath(context: CommandContext, options: Options): Promise<string> {
  return textOf(options, '--db') ?? witnessPath((await context.resolve()).config.data_dir);
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
    throw asUnavailable(path, error);
  } finally {
    close();
  }
}

/** What a file that is damaged, or is none, makes SQLite and the reader of its JSON throw; any other error is left as it is. */
export function asUnavailable(path: string, error: unknown): unknown {
  if (!(error instanceof Sqlite.SqliteError || error instanceof SyntaxError)) return error;
  return new FabricError(
    'UNAVAILABLE',
    `${path} cannot be used as a witness database (${error.message}); \`infrafabric witness verify --db ${path}\` says more`,
    undefined,
    { cause: error },
  );
}

/** @throws FabricError UNAVAILABLE when the file cannot be read */
export function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new FabricError('UNAVAILABLE', `${path} cannot be read: ${String(error)}`, undefined, { cause: error });
  }
}

/** Those of `--key`, else those of the data directory, if it has any. @throws FabricError UNAVAILABLE, INVALID_REQUEST */
export function trustedKeys(options: Options, dataDir: string): TrustedKeys | undefined {
  const file = textOf(options, '--key');
  return file === undefined ? trustedKeysOf(dataDir) : readTrustedKeys(file);
}

/** The same where there have to be some. @throws FabricError INVALID_REQUEST when there are none, UNAVAILABLE */
export function requireTrustedKeys(options: Options, dataDir: string): TrustedKeys {
  const keys = trustedKeys(options, dataDir);
  if (keys) return keys;
  throw new FabricError(
    'INVALID_REQUEST',
    `no public key is named and ${dataDir} has none: give the witness' public key with --key FILE; where it runs, \`infrafabric witness key --out FILE\` writes it`,
  );
}

/**
 * Those of `--checkpoint`; else, for the data directory's own database, those that are kept beside it, if there are any.
 * @throws FabricError UNAVAILABLE when the file cannot be read, INVALID_REQUEST when it holds something else
 */
export function keptCheckpoints(options: Options, dataDir: string): Checkpoint[] | undefined {
  const named = textOf(options, '--checkpoint');
  const own = checkpointsFile(dataDir);
  if (named === undefined && (textOf(options, '--db') !== undefined || !existsSync(own))) return undefined;
  return readCheckpoints(readBytes(named ?? own));
}
