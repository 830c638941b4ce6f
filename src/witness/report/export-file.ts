/**
 * A file that is written once: it is there whole or not at all, and never takes the place of another. Until it is whole it
 * has a name of its own beside its place; mode 0600, since it may hold all that a fabric knows.
 */
import { randomUUID } from 'node:crypto';
import { type FileHandle, link, lstat, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FabricError } from '../../errors.ts';
import { codeOf } from '../../identity/key-files.ts';

/** How file systems without links refuse one. */
const noLinks: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * Writes the chunks to a new file.
 * @throws FabricError CONFLICT when there is a file already, INVALID_REQUEST when the folder cannot be written to; what
 *   `chunks` throws, and the reason of `signal`. The file is not there then.
 */
export async function writeNewFile(path: string, chunks: Iterable<string>, signal?: AbortSignal): Promise<void> {
  if (await lstat(path).catch(() => undefined)) throw taken(path);
  const draft = join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`);
  let file: FileHandle | undefined;
  try {
    file = await opened(draft, path);
    for (const chunk of chunks) {
      signal?.throwIfAborted();
      await file.writeFile(chunk);
    }
    await file.sync();
    await linked(draft, path);
  } finally {
    await file?.close();
    await rm(draft, { force: true });
  }
}

async function opened(draft: string, path: string): Promise<FileHandle> {
  try {
    return await open(draft, 'wx', 0o600);
  } catch (error) {
    throw new FabricError(
      'INVALID_REQUEST',
      `${path} cannot be created: ${error instanceof Error ? error.message : String(error)}; name a file in a folder that exists and can be written to`,
      undefined,
      { cause: error },
    );
  }
}

async function linked(draft: string, path: string): Promise<void> {
  try {
    // A link, unlike a rename, fails when the name was taken meanwhile.
    await link(draft, path);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw taken(path);
    if (!noLinks.has(codeOf(error) ?? '')) throw error;
    // Where files have one name only, an empty file takes the name first.
    const place = await open(path, 'wx', 0o600).catch((reason: unknown) => {
      throw codeOf(reason) === 'EEXIST' ? taken(path) : reason;
    });
    await place.close();
    await rename(draft, path);
  }
}

function taken(path: string): FabricError {
  return new FabricError('CONFLICT', `${path} exists and is not overwritten; name a new file, or remove it first`);
}
