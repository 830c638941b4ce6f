/** The demo's task board: one task per folder of a real directory, and one that adds the results up when all are done. */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { isId } from '../../machines/address.ts';
import { planFolders } from './measure.ts';

/** A task as it is handed to `task.create`. */
export type BoardTask =
  | { task_id: string; task_type: 'measure'; priority: number; metadata: { root: string; folder: string } }
  | { task_id: string; task_type: 'summarise'; priority: number; depends_on: string[]; metadata: { root: string } };

/** The id of the task that waits for all others. */
export const summariseTaskId = 'summarise';

/**
 * The tasks for a directory, in the order of `planFolders`, the summary last.
 * @throws FabricError INVALID_REQUEST when the root cannot be listed.
 */
export async function boardFor(root: string, limit?: number): Promise<BoardTask[]> {
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
