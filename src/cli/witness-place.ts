/** Which witness database a command is about, whether it is the data directory's own, and which keys are trusted. */
import { accessSync, constants, existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type Sqlite from 'better-sqlite3';
import { FabricError } from '../errors.ts';
import { WitnessDatabase } from '../witness/database.ts';
import { readTrustedKeys, type TrustedKeys, trustedKeysOf } from '../witness/proofs/signing-key.ts';
import { openReadOnly } from '../witness/read-only.ts';
import { type Options, textOf } from './option-values.ts';
import type { CommandContext } from './program.ts';

export interface WitnessPlace {
  readonly data_dir: string;
  /** The database file. */
  readonly path: string;
  /** Where its data directory keeps the checkpoints that its key signs. */
  readonly checkpoints: string;
  /** Whether it is the data directory's own, to which its key belongs. */
  readonly isOwn: boolean;
}

/** What `--db` names, else the data directory's own. */
export async function witnessPlace(context: CommandContext, options: Options): Promise<WitnessPlace> {
  const { data_dir } = (await context.resolve()).config;
  const own = join(data_dir, 'witness.db');
  const path = textOf(options, '--db') ?? own;
  return { data_dir, path, checkpoints: join(data_dir, 'checkpoints.jsonl'), isOwn: realPath(path) === realPath(own) };
}

function realPath(path: string): string {
  return existsSync(path) ? realpathSync(path) : path;
}

/** Whether this process may write to the database. */
export function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    accessSync(dirname(path), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** @throws FabricError UNAVAILABLE when there is no such file or it is not a witness database */
export async function withWritable<Result>(
  path: string,
  use: (sqlite: Sqlite.Database) => Promise<Result> | Result,
): Promise<Result> {
  if (!existsSync(path)) throw noDatabase(path);
  const database = WitnessDatabase.open(path);
  try {
    return await use(database.sqlite);
  } catch (error) {
    throw asUnavailable(path, error);
  } finally {
    database.close();
  }
}

/** @throws FabricError UNAVAILABLE when it cannot be read */
export async function withReadOnly<Result>(
  path: string,
  use: (sqlite: Sqlite.Database) => Promise<Result> | Result,
): Promise<Result> {
  const { sqlite, close } = openReadOnly(path);
  try {
    return await use(sqlite);
  } catch (error) {
    throw asUnavailable(path, error);
  } finally {
    close();
  }
}

function noDatabase(path: string): FabricError {
  return new FabricError(
    'UNAVAILABLE',
    `there is no witness database ${path}; name one with --db FILE, or its data directory with --data-dir DIR`,
  );
}

function asUnavailable(path: string, error: unknown): unknown {
  // The database library's errors have no other mark that holds for all of them.
  if (!(error instanceof Error && error.name === 'SqliteError')) return error;
  return new FabricError(
    'UNAVAILABLE',
    `${path} cannot be used as a witness database (${error.message}); \`infrafabric witness verify --db ${path}\` says more`,
    undefined,
    { cause: error },
  );
}

/** The keys of `--key FILE`, else those of the data directory. @throws FabricError INVALID_REQUEST when there are none */
export async function requireTrustedKeys(context: CommandContext, options: Options): Promise<TrustedKeys> {
  const file = textOf(options, '--key');
  if (file !== undefined) return readTrustedKeys(file);
  const { data_dir } = (await context.resolve()).config;
  const keys = trustedKeysOf(data_dir);
  if (keys) return keys;
  throw new FabricError(
    'INVALID_REQUEST',
    `no public key is named and ${data_dir} has none: give the witness' public key with --key FILE; where it runs, \`infrafabric witness key --out FILE\` writes it`,
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
