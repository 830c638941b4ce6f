/**
 * The demo's task board: one task per folder of a real directory, one that adds their results up when all are done, and
 * one that measures everything again to compare.
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { isId } from '../../machines/address.ts';
import { planFolders } from './measure.ts';

/** A task as it is handed to `task.create`. */
export type BoardTask =
  | { task_id: string; task_type: 'measure'; priority: number; metadata: { root: string; folder: string } }
  | { task_id: string; task_type: 'summarise'; priority: number; depends_on: string[]; metadata: { root: string } }
  | {
      task_id: string;
      task_type: 'recheck';
      priority: number;
      depends_on: string[];
      lease_ms: number;
      /** How many folders are planned at most, and how long it goes on at least, milliseconds. */
      metadata: { root: string; folders: number; for_ms: number };
    };

/** The id of the task that waits for all measures, and of that which waits for it. */
export const summariseTaskId = 'summarise';
export const recheckTaskId = 'recheck';

/** Short, so that nobody waits long for what a killed worker held; and long enough to be caught at it. */
export const recheckLeaseMs = 2_000;
const recheckForMs = 1_000;

/**
 * The tasks for a directory, each behind those that it depends on.
 * @throws FabricError INVALID_REQUEST when the root cannot be listed.
 */
export async function boardFor(root: string, limit = 200): Promise<BoardTask[]> {
  const absolute = resolve(root);
  const measures = (await planFolders(absolute, limit)).map(
    (folder) =>
      ({
        task_id: measureTaskId(folder),
        task_type: 'measure',
        priority: 1,
        metadata: { root: absolute, folder },
      }) as const,
  );
  const depends_on = measures.map(({ task_id }) => task_id);
  return [
    ...measures,
    { task_id: summariseTaskId, task_type: 'summarise', priority: 1, depends_on, metadata: { root: absolute } },
    {
      task_id: recheckTaskId,
      task_type: 'recheck',
      priority: 1,
      depends_on: [summariseTaskId],
      lease_ms: recheckLeaseMs,
      metadata: { root: absolute, folders: limit, for_ms: recheckForMs },
    },
  ];
}

/**
 * A valid and unique task id for a folder. `src/cli` is `measure.src.cli`: reversible, for no segment of such a path holds
 * a dot. Any other path is told by its hash, under a first segment of its own, followed by what is legible of it.
 */
export function measureTaskId(folder: string): string {
  if (folder === '.') return 'measure';
  const plain = `measure.${folder.replaceAll('/', '.')}`;
  if (/^[A-Za-z0-9_/-]+$/.test(folder) && isId(plain)) return plain;
  const hash = createHash('sha256').update(folder).digest('hex').slice(0, 32);
  const legible = folder.replace(/[^A-Za-z0-9_-]+/g, '_').slice(-40);
  return `measure-path.${hash}.${legible}`;
}
