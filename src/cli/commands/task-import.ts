/**
 * `infrafabric task import BOARD.yaml`: creates the tasks of a board. The board is checked whole before anything is
 * created, and importing it again creates what is missing.
 */
import type { TaskView } from '../../../actors/coordinator/task-view.ts';
import type { FabricClient } from '../../bus/client.ts';
import { FabricError } from '../../errors.ts';
import { type BoardTask, readBoard } from '../board-file.ts';
import { withFabric } from '../fabric-session.ts';
import { textOf } from '../option-values.ts';
import { exitCodes } from '../output.ts';
import type { CommandRun } from '../program.ts';

interface Outcome {
  task_id: string;
  outcome: 'created' | 'unchanged' | 'refused';
  state: string | null;
  code: string | null;
  message: string | null;
}

/** Requests at a time. */
const atOnce = 32;

/** Exit code 1 when a task was refused, such as one that exists with other content. */
export const importBoard: CommandRun = async (context, [path = ''], options) => {
  const { out } = context;
  const tasks = await readBoard(path);
  const outcomes = await withFabric(context, async ({ client }) => await createAll(client, tasks), {
    swarm: textOf(options, '--swarm'),
  });
  const count = (outcome: Outcome['outcome']) => outcomes.filter((one) => one.outcome === outcome).length;
  const [created, unchanged, refused] = [count('created'), count('unchanged'), count('refused')];
  out.data({ created, unchanged, refused, tasks: outcomes });
  const columns = ['task_id', 'outcome', 'state', 'code', 'message'] as const;
  out.table(
    columns.map((key) => ({ key, title: key.replace('_id', '') })),
    outcomes,
  );
  out.note(`${created} created, ${unchanged} unchanged, ${refused} refused`);
  return refused === 0 ? exitCodes.done : exitCodes.no;
};

async function createAll(client: FabricClient, tasks: readonly BoardTask[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let next = 0; next < tasks.length; next += atOnce) {
    outcomes.push(
      ...(await Promise.all(tasks.slice(next, next + atOnce).map(async (task) => await createOne(client, task)))),
    );
  }
  return outcomes;
}

async function createOne(client: FabricClient, task: BoardTask): Promise<Outcome> {
  const { task_id } = task;
  try {
    const before = await client.request<TaskView>('task', 'get', { task_id }).catch(unlessUnknown);
    const { state } = await client.request<TaskView>('task', 'create', task);
    return { task_id, outcome: before ? 'unchanged' : 'created', state, code: null, message: null };
  } catch (error) {
    // What is refused for one task does not hold back the others; without answers there is no point in going on.
    if (!(error instanceof FabricError) || error.code === 'UNAVAILABLE' || error.code === 'TIMEOUT') throw error;
    return { task_id, outcome: 'refused', state: null, code: error.code, message: error.message };
  }
}

function unlessUnknown(error: unknown): undefined {
  if (error instanceof FabricError && error.code === 'TASK_NOT_FOUND') return undefined;
  throw error;
}
