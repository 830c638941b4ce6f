/** Credentials from a file that a user names. */
import { readFile } from 'node:fs/promises';
import { FabricError } from '../errors.ts';

/** @throws FabricError INVALID_REQUEST when no file is named or it cannot be read */
export async function readCredentialsFile(path: string | undefined): Promise<string> {
  if (path === undefined)
    throw new FabricError(
      'INVALID_REQUEST',
      'an existing cluster needs credentials: name a creds file with --creds FILE',
    );
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new FabricError(
      'INVALID_REQUEST',
      `the credentials file ${path} cannot be read: ${(error as Error).message}`,
      undefined,
      { cause: error },
    );
  }
}
