/**
 * `infrafabric task import BOARD.yaml`: creates the tasks of a board, each after those it depends on. The board is checked
 * whole before anything is created, on its own and against what exists; importing it again creates what is missing.
 */
import type { TaskView } from '../../../actors/coordinator/tasks/task-view.ts';
import type { FabricClient } from '../../bus/client.ts';
import { FabricError } from '../../errors.ts';
import { type Board, type BoardTask, invalidBoard, readBoard } from '../board-file.ts';
import { withFabric } from '../fabric-session.ts';
import { textOf } from '../option-values.ts';
import { exitCodes, type Output } from '../output.ts';
import type { CommandRun } from '../program.ts';

interface Outcome {
  task_id: string;
  /** `skipped` are tasks that were not asked for, because another was refused or was not answered. */
  outcome: 'created' | 'unchanged' | 'refused' | 'skipped';
  state: string | null;
  code: string | null;
  message: string | null;
}

/** Requests at a time. */
const atOnce = 32;
/** Of a board with more tasks, people are shown only those of which there is something to say. */
const mostShown = 50;
/** Refusals that are told one by one; the table has all. */
const mostTold = 10;

/** Exit code 1 when a task was refused, such as one that exists with other content: then no further one is created. */
export const importBoard: CommandRun = async (context, [path = ''], options) => {
  const { out } = context;
  const board = await readBoard(path);
  const importing = new Importing(board);
  let failure: unknown;
  await withFabric(context, async ({ client }) => await importing.run(client), {
    swarm: textOf(options, '--swarm'),
  }).catch((error: unknown) => {
    failure = error;
  });
  const outcomes = importing.outcomes();
  const count = (outcome: Outcome['outcome']) => outcomes.filter((one) => one.outcome === outcome).length;
  const counts = { created: count('created'), unchanged: count('unchanged'), refused: count('refused') };
  // What was not even begun is the error's to tell.
  if (failure !== undefined && counts.created + counts.refused === 0) throw failure;
  out.data({ ...counts, tasks: outcomes });
  tell(out, outcomes, counts);
  if (failure !== undefined) throw failure;
  return counts.refused === 0 ? exitCodes.done : exitCodes.no;
};

class Importing {
  readonly #board: Board;
  readonly #outcomes = new Map<string, Outcome>();
  #isStopped = false;

  constructor(board: Board) {
    this.#board = board;
  }

  /** @throws FabricError INVALID_REQUEST for a board that does not fit what exists; UNAVAILABLE, TIMEOUT */
  async run(client: FabricClient): Promise<void> {
    const { tasks, levels, outside } = this.#board;
    const known = new Set<string>();
    await inFlight([...tasks, ...outside], async ({ task_id }) => {
      if (await exists(client, task_id)) known.add(task_id);
    });
    const missing = outside.filter(({ task_id }) => !known.has(task_id));
    if (missing.length > 0) {
      throw invalidBoard(
        missing.map(
          ({ place, dependent, task_id }) =>
            `${place}: ${dependent} depends on ${task_id}, which is neither on the board nor in the fabric`,
        ),
      );
    }
    // To ask again for what exists changes nothing, and shows whether it is the same before anything is created.
    const existing = tasks.filter(({ task_id }) => known.has(task_id));
    for (const some of [existing, ...levels]) {
      await inFlight(
        some.filter(({ task_id }) => !this.#outcomes.has(task_id)),
        async (task) => await this.#create(client, task, known.has(task.task_id)),
      );
      // Those of one kind or level are asked for to the end, so that everything that is wrong with them is told at once.
      if (this.#isStopped) return;
    }
  }

  /** In the order of the board. */
  outcomes(): Outcome[] {
    return this.#board.tasks.map(
      ({ task_id }) =>
        this.#outcomes.get(task_id) ?? { task_id, outcome: 'skipped', state: null, code: null, message: null },
    );
  }

  async #create(client: FabricClient, task: BoardTask, existed: boolean): Promise<void> {
    const { task_id } = task;
    try {
      const { state } = await client.request<TaskView>('task', 'create', task);
      const outcome = existed ? 'unchanged' : 'created';
      this.#outcomes.set(task_id, { task_id, outcome, state, code: null, message: null });
    } catch (error) {
      // Without answers there is no point in going on.
      if (!(error instanceof FabricError) || error.code === 'UNAVAILABLE' || error.code === 'TIMEOUT') throw error;
      const { code } = error;
      const message = existed && code === 'TASK_EXISTS' ? differs(task_id) : error.message;
      this.#outcomes.set(task_id, { task_id, outcome: 'refused', state: null, code, message });
      this.#isStopped = true;
    }
  }
}

function tell(
  out: Output,
  outcomes: readonly Outcome[],
  { created, unchanged, refused }: Record<string, number>,
): void {
  const columns = ['task_id', 'outcome', 'state', 'code', 'message'] as const;
  const shown = outcomes.length > mostShown ? outcomes.filter(({ outcome }) => outcome === 'refused') : outcomes;
  if (shown.length > 0)
    out.table(
      columns.map((key) => ({ key, title: key.replace('_id', '') })),
      shown,
    );
  const skipped = outcomes.filter(({ outcome }) => outcome === 'skipped').length;
  out.note(
    [
      `${created} created`,
      ...(unchanged ? [`${unchanged} exist already`] : []),
      ...(refused ? [`${refused} refused`] : []),
      ...(skipped ? [`${skipped} not asked for`] : []),
    ].join(', '),
  );
  for (const { task_id, message } of outcomes.filter(({ outcome }) => outcome === 'refused').slice(0, mostTold))
    out.note(`${task_id}: ${message}`);
  if (skipped)
    out.note('importing the board again is safe: what exists stays as it is, and what is missing is created');
}

function differs(task_id: string): string {
  return `it exists with other content, see \`infrafabric task show ${task_id}\`; give the board's task another id, or that content`;
}

async function exists(client: FabricClient, task_id: string): Promise<boolean> {
  try {
    await client.request('task', 'get', { task_id });
    return true;
  } catch (error) {
    if (error instanceof FabricError && error.code === 'TASK_NOT_FOUND') return false;
    throw error;
  }
}

/** Works through the items, `atOnce` at the same time; after a failure it begins no more, lets the others end, and fails. */
async function inFlight<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const item = items[next++]!;
      try {
        await work(item);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
