/** Which witness database a command is about, and whether it is the data directory's own, in which its key may write. */
import { accessSync, constants, existsSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import type Sqlite from 'better-sqlite3';
import { FabricError } from '../errors.ts';
import { WitnessDatabase } from '../witness/database.ts';
import { checkpointsFile, witnessPath } from '../witness/files.ts';
import { type Options, textOf } from './option-values.ts';
import type { CommandContext } from './program.ts';
import { asUnavailable } from './witness-source.ts';

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
  const own = witnessPath(data_dir);
  const path = textOf(options, '--db') ?? own;
  return { data_dir, path, checkpoints: checkpointsFile(data_dir), isOwn: realPath(path) === realPath(own) };
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

function noDatabase(path: string): FabricError {
  return new FabricError(
    'UNAVAILABLE',
    `there is no witness database ${path}; name one with --db FILE, or its data directory with --data-dir DIR`,
  );
}
