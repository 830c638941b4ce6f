/** A disk of a few megabytes in memory, really mounted, which a test can fill up and make read-only. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  readonly path: string;
  /** Takes all the space that is left. */
  fill(): void;
  /** Gives back what `fill` took. */
  free(): void;
  /** Fails while a file is open for writing. */
  remount(mode: 'ro' | 'rw'): void;
  remove(): void;
}

/** Why disks cannot be mounted here; undefined when they can. */
export function mountRefusal(): string | undefined {
  try {
    mountSmallDisk(1).remove();
    return undefined;
  } catch (error) {
    return String((error as { stderr?: unknown }).stderr ?? error)
      .trim()
      .slice(0, 200);
  }
}

export function mountSmallDisk(mebibytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), 'infrafabric-disk-'));
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: 'pipe' });
  try {
    run('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0700`, 'infrafabric-test', path);
  } catch (error) {
    rmdirSync(path);
    throw error;
  }
  const filler = join(path, 'filler');
  return {
    path,
    fill() {
      const file = openSync(filler, 'a');
      try {
        for (;;) writeSync(file, Buffer.alloc(4_096));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(filler),
    remount: (mode) => void run('mount', '-o', `remount,${mode}`, path),
    remove() {
      run('umount', '-l', path);
      rmdirSync(path);
    },
  };
}
