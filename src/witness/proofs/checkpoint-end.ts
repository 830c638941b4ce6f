/**
 * The end of a file of checkpoints: the last one there, and where the next goes. Read from the end backwards, whatever the
 * file's size; what a crash cut off behind the last whole line counts as not written.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { FabricError } from '../../errors.ts';
import { codeOf } from '../../identity/key-files.ts';
import { type Checkpoint, checkpointFormat, readCheckpoints } from './checkpoint-format.ts';

/** How much is read at a time. */
const blockBytes = 65_536;
/** What every line begins with. */
const beginning = `{"format":"${checkpointFormat}"`;

export interface FileEnd {
  readonly last: Checkpoint | undefined;
  /** Where the next line goes: what a crash cut off behind it is dropped. */
  readonly end: number;
  /** Whether what is there ends with a line break, or is nothing. */
  readonly endsLine: boolean;
}

/**
 * The last checkpoint of a file; undefined when there is no file, or no checkpoint in it yet.
 * @throws FabricError UNAVAILABLE when it cannot be read, INVALID_REQUEST when it holds something else.
 */
export function lastCheckpoint(file: string): Checkpoint | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    return readEnd(descriptor).last;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    if (error instanceof FabricError) throw error;
    throw new FabricError('UNAVAILABLE', `${file} cannot be read: ${String(error)}`, { file }, { cause: error });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** @throws FabricError INVALID_REQUEST when the file holds something else, an error of the system when it cannot be read */
export function readEnd(descriptor: number): FileEnd {
  const { size } = fstatSync(descriptor);
  for (let length = Math.min(blockBytes, size); length > 0; length = Math.min(length * 2, size)) {
    const bytes = Buffer.alloc(length);
    readSync(descriptor, bytes, 0, length, size - length);
    const lineEnd = bytes.lastIndexOf(10) + 1;
    const lineStart = lineEnd < 2 ? 0 : bytes.lastIndexOf(10, lineEnd - 2) + 1;
    if (length < size && lineStart === 0) continue;
    const found = endOf(bytes, lineStart, lineEnd, size - length);
    if (found) return found;
    if (length < size) continue;
    const text = bytes.toString();
    // The first line of all was cut off.
    if (lineEnd === 0 && text.startsWith(beginning) && !isWhole(text)) break;
    return { last: readCheckpoints(bytes).at(-1), end: size, endsLine: lineEnd === size };
  }
  return { last: undefined, end: 0, endsLine: true };
}

/** When the last whole line is a checkpoint: it, and where it ends. */
function endOf(bytes: Buffer, lineStart: number, lineEnd: number, offset: number): FileEnd | undefined {
  const behind = bytes.subarray(lineEnd).toString();
  if (lineEnd === 0 || isWhole(behind)) return undefined;
  const line = bytes.subarray(lineStart, lineEnd);
  if (!isWhole(line.toString())) return undefined;
  return { last: readCheckpoints(line).at(-1), end: offset + lineEnd, endsLine: true };
}

function isWhole(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
