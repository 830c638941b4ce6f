/**
 * In which order the tasks of a board can be created: level by level, each task after those it depends on. Takes time in
 * proportion to the board, and no more of the stack for a long chain than for a short one.
 */

export interface OrderedTask {
  readonly task_id: string;
  readonly depends_on?: readonly string[] | undefined;
}

export interface BoardOrder<Task> {
  /** The tasks of each level depend only on tasks of the levels before, and on such as are not on the board. */
  readonly levels: Task[][];
  /** Tasks that can never come first, each list the way round: the second depends on the first, and so on. */
  readonly cycles: Task[][];
}

/** The ids of the tasks are distinct. That a task depends on itself is a cycle of one. */
export function orderBoard<Task extends OrderedTask>(tasks: readonly Task[]): BoardOrder<Task> {
  const positions = new Map(tasks.map(({ task_id }, i) => [task_id, i]));
  const before = tasks.map(({ depends_on = [] }) =>
    [...new Set(depends_on)].map((id) => positions.get(id)).filter((position) => position !== undefined),
  );
  const after: number[][] = tasks.map(() => []);
  for (const [i, dependencies] of before.entries()) for (const dependency of dependencies) after[dependency]!.push(i);

  const open = before.map(({ length }) => length);
  const levels: Task[][] = [];
  let level = [...tasks.keys()].filter((i) => open[i] === 0);
  while (level.length > 0) {
    levels.push(level.map((i) => tasks[i]!));
    const next = level.flatMap((i) =>
      after[i]!.filter((dependent) => {
        open[dependent] = open[dependent]! - 1;
        return open[dependent] === 0;
      }),
    );
    level = next.sort((a, b) => a - b);
  }
  return { levels, cycles: cyclesAmong(open, before).map((cycle) => cycle.map((i) => tasks[i]!)) };
}

/** Of the tasks that are left, each depends on another that is left: whoever follows them comes round. */
function cyclesAmong(open: readonly number[], before: readonly (readonly number[])[]): number[][] {
  const isLeft = (i: number) => open[i]! > 0;
  const walkOf = new Map<number, number>();
  const cycles: number[][] = [];
  for (const start of open.keys()) {
    const path: number[] = [];
    let at = isLeft(start) ? start : undefined;
    for (; at !== undefined && !walkOf.has(at); at = before[at]!.find(isLeft)) {
      walkOf.set(at, start);
      path.push(at);
    }
    // An earlier walk came by here, and it found what there is.
    if (at === undefined || walkOf.get(at) !== start || path.length === 0) continue;
    cycles.push(fromFirst(path.slice(path.indexOf(at))));
  }
  return cycles;
}

/** The cycle from the task that comes first on the board. */
function fromFirst(cycle: readonly number[]): number[] {
  const first = cycle.reduce((least, i) => Math.min(least, i));
  const turn = cycle.indexOf(first);
  return [...cycle.slice(turn), ...cycle.slice(0, turn)];
}
