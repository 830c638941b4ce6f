/**
 * What the workers of the demo compute about a real directory: sizes of files, the longest file, the longest function.
 * The same tree gives the same result, in plain JSON. Links are not followed, files are read as a stream, and what cannot
 * be read is counted, not guessed.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, realpath } from 'node:fs/promises';
import { extname, isAbsolute, join, resolve, sep } from 'node:path';
import { FabricError } from '../errors.ts';
import { type FunctionEstimate, isSource, longestFunction, maxSourceBytes } from './longest-function.ts';

/** Measures of the files directly in one folder (a type, not an interface, so that it is also `Json`). Paths are relative to the root, with `/`. */
export type FolderMeasure = {
  folder: string;
  /** Regular files that could be read: text and binary. */
  files: number;
  text_files: number;
  /** Files with a zero byte in the first 8,000: counted in bytes only. */
  binary_files: number;
  unreadable_files: number;
  /** Of text files; a last line without a line break counts. */
  lines: number;
  bytes: number;
  longest_file: { path: string; lines: number } | null;
  longest_function: ({ path: string } & FunctionEstimate) | null;
};

interface FileMeasure {
  binary: boolean;
  lines: number;
  bytes: number;
  longest: FunctionEstimate | undefined;
}

const lineBreak = 0x0a;
const binarySniff = 8_000;
const skippedFolders = new Set(['node_modules', 'dist']);
/** Folders that are looked into at most, so that a huge tree cannot hold the demo up. */
const maxVisited = 10_000;

/**
 * Measures the files directly in `folder`, which is relative to `root` (`.` is the root itself).
 * @throws FabricError INVALID_REQUEST when the folder is not one inside the root, or cannot be listed.
 */
export async function measureFolder(root: string, folder: string): Promise<FolderMeasure> {
  const path = await inside(root, folder);
  const names = await listed(path, folder);
  const result: FolderMeasure = {
    folder,
    files: 0,
    text_files: 0,
    binary_files: 0,
    unreadable_files: 0,
    lines: 0,
    bytes: 0,
    longest_file: null,
    longest_function: null,
  };
  for (const name of names) {
    const measure = await measureFile(join(path, name));
    if (measure === undefined) result.unreadable_files++;
    else add(result, folder === '.' ? name : `${folder}/${name}`, measure);
  }
  return result;
}

/** Adds one file. Files come in the order of their names, and the first of several longest ones is kept. */
function add(result: FolderMeasure, path: string, { binary, bytes, lines, longest }: FileMeasure): void {
  result.files++;
  result.bytes += bytes;
  result.lines += lines;
  if (binary) result.binary_files++;
  else result.text_files++;
  if (lines > (result.longest_file?.lines ?? 0)) result.longest_file = { path, lines };
  if (longest && longest.lines_estimate > (result.longest_function?.lines_estimate ?? 0))
    result.longest_function = { path, ...longest };
}

async function inside(root: string, folder: string): Promise<string> {
  const refuse = (problem: string): FabricError =>
    new FabricError('INVALID_REQUEST', `cannot measure the folder ${JSON.stringify(folder)}: ${problem}`, { folder });
  if (isAbsolute(folder) || folder.includes('\0') || folder.split(/[/\\]/).includes('..'))
    throw refuse('name one relative to the root, without ".."');
  try {
    const base = await realpath(root);
    const path = await realpath(resolve(base, folder));
    if (path !== base && !path.startsWith(base.endsWith(sep) ? base : base + sep))
      throw refuse('it leads out of the root');
    return path;
  } catch (error) {
    if (error instanceof FabricError) throw error;
    throw refuse(`${(error as NodeJS.ErrnoException).code ?? String(error)}; name an existing folder`);
  }
}

/** Names of the regular files, in the order of their characters. */
async function listed(path: string, folder: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isFile() ? [entry.name] : [])).sort(byText);
  } catch (error) {
    throw unlisted(folder, error);
  }
}

/** Undefined when the file cannot be read, or is no regular file any more. A named pipe is never waited for. */
async function measureFile(path: string): Promise<FileMeasure | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const status = await handle.stat();
    return status.isFile() ? await measureStream(handle, extname(path).slice(1)) : undefined;
  } catch (error) {
    // Only refusals of the system count as unreadable; a fault of this code is not hidden.
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    return undefined;
  } finally {
    await handle?.close();
  }
}

async function measureStream(handle: FileHandle, extension: string): Promise<FileMeasure> {
  let source: Buffer[] | undefined = isSource(extension) ? [] : undefined;
  let [bytes, breaks, binary, last] = [0, 0, false, lineBreak];
  for await (const chunk of handle.createReadStream({
    autoClose: false,
    highWaterMark: 65_536,
  }) as AsyncIterable<Buffer>) {
    if (bytes < binarySniff) binary ||= chunk.subarray(0, binarySniff - bytes).includes(0);
    bytes += chunk.length;
    last = chunk.at(-1) ?? last;
    if (binary || bytes > maxSourceBytes) source = undefined;
    source?.push(chunk);
    for (let at = chunk.indexOf(lineBreak); !binary && at !== -1; at = chunk.indexOf(lineBreak, at + 1)) breaks++;
  }
  if (binary) return { binary, lines: 0, bytes, longest: undefined };
  const longest = source && longestFunction(Buffer.concat(source).toString('utf8'), extension);
  return { binary, lines: breaks + (last === lineBreak ? 0 : 1), bytes, longest };
}

/**
 * The folders to measure, relative to the root, sorted: the root and, nearest first, at most `limit` in all that hold a
 * file. Hidden folders, node_modules, dist and links are passed over, so are folders that cannot be read.
 * @throws FabricError INVALID_REQUEST when the root cannot be listed.
 */
export async function planFolders(root: string, limit = 200): Promise<string[]> {
  const planned: string[] = [];
  let level = ['.'];
  let visited = 0;
  while (level.length > 0) {
    const next: string[] = [];
    for (const folder of level) {
      if (planned.length >= limit || visited++ >= maxVisited) return planned.sort(byText);
      const entries = await readdir(join(root, folder), { withFileTypes: true }).catch((error: unknown) => {
        if (folder === '.') throw unlisted(folder, error);
        return [];
      });
      if (folder === '.' || entries.some((entry) => entry.isFile())) planned.push(folder);
      const names = entries.flatMap((entry) => (entry.isDirectory() && !isSkipped(entry.name) ? [entry.name] : []));
      next.push(...names.map((name) => (folder === '.' ? name : `${folder}/${name}`)));
    }
    level = next.sort(byText);
  }
  return planned.sort(byText);
}

/** Besides folders that nobody wrote by hand: names that are not UTF-8, which text cannot name. */
function isSkipped(name: string): boolean {
  return name.startsWith('.') || skippedFolders.has(name) || name.includes('\ufffd');
}

function unlisted(folder: string, error: unknown): FabricError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  return new FabricError(
    'INVALID_REQUEST',
    `cannot list the folder ${JSON.stringify(folder)}: ${code}; name a folder that can be read`,
    { folder },
  );
}

type Totals = Pick<FolderMeasure, 'files' | 'text_files' | 'binary_files' | 'unreadable_files' | 'lines' | 'bytes'>;

/** What all folders add up to. Longest lists hold the longest of each folder, not of each file. */
export type Summary = Totals & {
  folders: number;
  largest_folders: { folder: string; lines: number; bytes: number }[];
  longest_files: NonNullable<FolderMeasure['longest_file']>[];
  longest_functions: NonNullable<FolderMeasure['longest_function']>[];
};

/** Totals and lists of the `top` largest, whatever the order of the results; ties are listed by path. */
export function summarise(results: readonly FolderMeasure[], top = 5): Summary {
  const total = (field: keyof Totals): number => results.reduce((sum, result) => sum + result[field], 0);
  const files = results.flatMap(({ longest_file }) => longest_file ?? []);
  const functions = results.flatMap(({ longest_function }) => longest_function ?? []);
  const folders = results.map(({ folder, lines, bytes }) => ({ folder, lines, bytes }));
  return {
    folders: results.length,
    files: total('files'),
    text_files: total('text_files'),
    binary_files: total('binary_files'),
    unreadable_files: total('unreadable_files'),
    lines: total('lines'),
    bytes: total('bytes'),
    largest_folders: folders
      .sort((a, b) => b.lines - a.lines || b.bytes - a.bytes || byText(a.folder, b.folder))
      .slice(0, top),
    longest_files: files.sort((a, b) => b.lines - a.lines || byText(a.path, b.path)).slice(0, top),
    longest_functions: functions
      .sort((a, b) => b.lines_estimate - a.lines_estimate || byText(a.path, b.path))
      .slice(0, top),
  };
}

/** By UTF-16 code units: the same on every machine, whatever its locale. */
function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
