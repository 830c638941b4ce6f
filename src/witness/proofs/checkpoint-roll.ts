/**
 * Begins a new file of checkpoints where the present one is full: that one stays beside it under the time of its last
 * checkpoint. Whoever reads the file finds the old one or the new one at any moment, also after a crash in between.
 */
import { closeSync, fsyncSync, linkSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { codeOf } from '../../identity/key-files.ts';

/** The name of a full file; `issued_at` of its last checkpoint, or the first free number after it. */
export const rolledName = /^checkpoints-\d{1,16}\.jsonl$/;

/**
 * @param issuedAt of the last checkpoint in the file
 * @param text makes the first line of the new one, given the name of the old one
 */
export function rollFile(file: string, issuedAt: number, text: (previous: string) => string): void {
  const previous = keepAside(file, Math.max(0, issuedAt));
  const draft = join(dirname(file), `.${basename(file)}.new`);
  rmSync(draft, { force: true });
  try {
    writeFileSync(draft, text(previous), { mode: 0o600, flag: 'wx', flush: true });
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  syncDirectory(dirname(file));
}

/** A second name for the file: a rename would leave none under the first for a moment. */
function keepAside(file: string, issuedAt: number): string {
  for (let number = issuedAt; ; number++) {
    const name = `checkpoints-${number}.jsonl`;
    const path = join(dirname(file), name);
    try {
      linkSync(file, path);
      return name;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      // A crash came after this: the name is taken by the file itself.
      if (statSync(path).ino === statSync(file).ino) return name;
    }
  }
}

function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
