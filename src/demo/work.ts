/** What the workers of the demo do: measure one folder, or add up what others measured. Real files, nothing prepared. */
import type { Json } from '../../machines/record.ts';
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import type { OwnedTask, Task } from '../sdk/task.ts';
import { type FolderMeasure, measureFolder, type Summary, summarise } from './measure.ts';

/** Does a task of the demo's board. @throws FabricError INVALID_REQUEST for a task that is not one of it */
export async function work(client: FabricClient, task: OwnedTask): Promise<Json> {
  const { root, folder, measured } = task.metadata;
  if (task.task_type === 'measure' && typeof root === 'string' && typeof folder === 'string') {
    return await measureFolder(root, folder);
  }
  if (task.task_type === 'summarise' && Array.isArray(measured)) return await summary(client, measured.map(String));
  throw new FabricError('INVALID_REQUEST', `${task.task_id} is not a task of the demo: its type is ${task.task_type}`);
}

/** Reads the results as any client may; there are at most as many as the board has tasks. */
async function summary(client: FabricClient, taskIds: readonly string[]): Promise<Summary> {
  const tasks = await Promise.all(
    taskIds.map(async (task_id) => await client.request<Task>('task', 'get', { task_id })),
  );
  for (const { task_id, state } of tasks) {
    if (state !== 'completed')
      throw new FabricError('TASK_NOT_AVAILABLE', `${task_id} is ${state}, not completed; its result is missing`);
  }
  return summarise(tasks.map(({ result }) => result as FolderMeasure));
}
