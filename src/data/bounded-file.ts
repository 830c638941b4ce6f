/** Reads a small file of text: a regular one, of a bounded size, in UTF-8. Nothing is skipped or guessed. */
import { readFile, stat } from 'node:fs/promises';
import { FabricError } from '../errors.ts';

export interface BoundedFileOptions {
  /** Bytes. */
  readonly maxBytes: number;
  /** Makes the error of what is wrong with the file; `problem` goes on after its name, as in `is not UTF-8 text`. */
  readonly refuse: (problem: string, cause?: unknown) => FabricError;
}

/** The text of a file; undefined when there is none. @throws what `refuse` makes */
export async function readBoundedFile(
  path: string,
  { maxBytes, refuse }: BoundedFileOptions,
): Promise<string | undefined> {
  try {
    const status = await stat(path);
    if (!status.isFile()) throw refuse('is not a regular file: name a YAML file');
    if (status.size > maxBytes) throw refuse(`has ${status.size} bytes, at most ${maxBytes} are allowed`);
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    if (error instanceof FabricError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') throw refuse('is not UTF-8 text: save it as UTF-8', error);
    throw refuse(`cannot be read (${code ?? String(error)}): make it readable or name another`, error);
  }
}
