/**
 * One `up` per data directory: a lock file with the process that holds it. A lock whose process is gone is taken over; a
 * process id alone proves nothing, so its start time is compared as well.
 */
import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readProcess } from '../cluster/process-table.ts';
import { FabricError } from '../errors.ts';

interface Holder {
  readonly pid: number;
  readonly start_time: string;
}

export interface DataDirLock {
  release(): Promise<void>;
}

/** @throws FabricError CONFLICT naming the process that holds the directory */
export async function lockDataDir(dataDir: string): Promise<DataDirLock> {
  const path = join(dataDir, 'fabric.lock');
  const me = await readProcess(process.pid);
  const mine = join(dataDir, `.fabric.lock.${process.pid}.${randomUUID()}`);
  await writeFile(mine, JSON.stringify({ pid: process.pid, start_time: me?.start_time ?? '' } satisfies Holder), {
    mode: 0o600,
  });
  try {
    // Linking fails when the name exists, and the content is there from the first moment.
    for (;;) {
      if (await tryLink(mine, path)) break;
      const holder = await readHolder(path);
      if (holder && (await isAlive(holder))) {
        throw new FabricError(
          'CONFLICT',
          `the data directory ${dataDir} is in use by process ${holder.pid}; stop that \`infrafabric up\`, or choose another --data-dir`,
          { pid: holder.pid },
        );
      }
      await removeStale(path, holder);
    }
  } finally {
    await rm(mine, { force: true });
  }
  return { release: async () => await rm(path, { force: true }) };
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    const holder = JSON.parse(await readFile(path, 'utf8')) as Partial<Holder>;
    return typeof holder.pid === 'number' && typeof holder.start_time === 'string' ? (holder as Holder) : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive({ pid, start_time }: Holder): Promise<boolean> {
  return (await readProcess(pid))?.start_time === start_time;
}

/** Moves the stale lock away before deleting it, so that a fresh one that took its place meanwhile is put back. */
async function removeStale(path: string, seen: Holder | undefined): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  const moved = await readHolder(aside);
  if (moved && (moved.pid !== seen?.pid || moved.start_time !== seen.start_time))
    await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
}
