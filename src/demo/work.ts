/**
 * What the workers of the demo do: measure one folder, add up what others measured, or measure everything again. Real
 * files, nothing prepared.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Json } from '../../machines/record.ts';
import { FabricError } from '../errors.ts';
import type { OwnedTask } from '../sdk/task.ts';
import { type FolderMeasure, measureFolder, planFolders, type Summary, summarise } from './measure.ts';

/** What measuring everything again came to. A type, so that it is also `Json`. */
export type Recheck = { passes: number; same: boolean };

/** Does a task of the demo's board. @throws FabricError INVALID_REQUEST for a task that is not one of it */
export async function work(task: OwnedTask, { signal }: { readonly signal: AbortSignal }): Promise<Json> {
  const { root, folder, for_ms, folders } = task.metadata;
  const results = Object.values(task.dependency_results);
  if (typeof root === 'string') {
    if (task.task_type === 'measure' && typeof folder === 'string') return await measureFolder(root, folder);
    if (task.task_type === 'summarise') return summarise(results as FolderMeasure[]);
    if (task.task_type === 'recheck' && typeof for_ms === 'number' && typeof folders === 'number')
      return await recheck({ root, folders, forMs: for_ms, signal }, results[0] as Summary);
  }
  throw new FabricError('INVALID_REQUEST', `${task.task_id} is not a task of the demo: its type is ${task.task_type}`);
}

/** Measures the whole directory again and again for this long, at least once, and compares each time. */
async function recheck(
  options: { readonly root: string; readonly folders: number; readonly forMs: number; readonly signal: AbortSignal },
  summary: Summary,
): Promise<Recheck> {
  const { root, folders, forMs, signal } = options;
  const begun = performance.now();
  let [passes, same] = [0, true];
  do {
    const measures: FolderMeasure[] = [];
    for (const folder of await planFolders(root, folders)) {
      signal.throwIfAborted();
      measures.push(await measureFolder(root, folder));
    }
    // As it came over the wire.
    same &&= isDeepStrictEqual(JSON.parse(JSON.stringify(summarise(measures))), JSON.parse(JSON.stringify(summary)));
    passes++;
  } while (performance.now() - begun < forMs);
  return { passes, same };
}
