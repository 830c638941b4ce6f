/**
 * How secrets reach the disk: folders of mode 0700, files of mode 0600, and a file is there whole or not at all. Any
 * number of processes may open one data directory at the same time; the first to create a file wins, all others read it.
 */
import { randomUUID } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes a folder that only its owner can enter, also when it exists with a wider mode. */
export async function privateDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700);
}

/** The text of a file; undefined when there is none. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * The text of the file at `path`, created from `make` if there is none. Of several processes that create it at once, one
 * wins and all get its text; `created` says whether this call did.
 */
export async function createOnce(
  path: string,
  make: () => string | Promise<string>,
): Promise<{ text: string; created: boolean }> {
  const present = await readIfPresent(path);
  if (present !== undefined) return { text: present, created: false };
  const text = await make();
  const draft = await writeDraft(path, text);
  try {
    // A link, unlike a rename, fails when the name is taken.
    await link(draft, path);
    return { text, created: true };
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    return { text: await readFile(path, 'utf8'), created: false };
  } finally {
    await rm(draft, { force: true });
  }
}

/** Writes a file so that readers see the old text or the new one, never a part. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const draft = await writeDraft(path, text);
  try {
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

async function writeDraft(path: string, text: string): Promise<string> {
  const draft = `${path}.${randomUUID()}.tmp`;
  const file = await open(draft, 'wx', 0o600).catch(async (error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw error;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    return open(draft, 'wx', 0o600);
  });
  try {
    await file.writeFile(text);
    await file.sync();
  } catch (error) {
    // As on a full disk: it is worth nothing in part.
    await rm(draft, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return draft;
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
