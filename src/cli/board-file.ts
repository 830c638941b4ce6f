/**
 * Task boards as files: YAML (JSON is YAML, too) with a list of tasks, at the top or under `tasks`, each with the fields of
 * `task.create`, in any order. A board is read and checked as a whole; a finding names the line.
 */
import { readFile, stat } from 'node:fs/promises';
import { isMap, isSeq, type Node } from 'yaml';
import { z } from 'zod';
import { newTaskFields } from '../../actors/coordinator/tasks/task-requests.ts';
import { contentOf, invalidContent } from '../../machines/task/content.ts';
import type { CreateTask } from '../../machines/task/events.ts';
import { checkIJson } from '../data/ijson.ts';
import { parseYaml } from '../data/yaml-document.ts';
import { FabricError } from '../errors.ts';
import { orderBoard } from './board-order.ts';

const schema = z.strictObject(newTaskFields);
export type BoardTask = z.infer<typeof schema>;

/** A task that the board does not have, although others on it depend on it. */
export interface OutsideDependency {
  readonly task_id: string;
  /** Where the first of those is, for findings: file, line and id. */
  readonly place: string;
  readonly dependent: string;
}

export interface Board {
  /** As they stand in the file. */
  readonly tasks: readonly BoardTask[];
  /** The same, each level after those that it depends on. */
  readonly levels: readonly (readonly BoardTask[])[];
  readonly outside: readonly OutsideDependency[];
}

const maxFileBytes = 16 * 1024 * 1024;
const maxFindings = 10;
/** So many tasks of a cycle are named. */
const maxNamed = 10;

/** @throws FabricError INVALID_REQUEST with everything that is wrong, one line per finding */
export async function readBoard(path: string): Promise<Board> {
  return parseBoard(path, await readText(path));
}

async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) throw new Error(`it has ${size} bytes, at most ${maxFileBytes} are read; split the board`);
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FabricError('INVALID_REQUEST', `the board ${path} cannot be read: ${why}`, undefined, { cause: error });
  }
}

/** @throws FabricError INVALID_REQUEST */
export function parseBoard(path: string, text: string): Board {
  const { document, findings: faults, lineAt } = parseYaml(text);
  const findings: string[] = [];
  const placeOf = (offset: number | undefined) => (offset === undefined ? path : `${path}:${lineAt(offset)}`);
  const note = (offset: number | undefined, what: string) => {
    findings.push(`${placeOf(offset)}: ${what}`);
  };
  for (const { offset, message } of faults) note(offset, message);
  const read = findings.length > 0 ? [] : readTasks(document.contents, note);
  if (findings.length === 0 && read.length === 0)
    note(undefined, 'there are no tasks; write a list of them under `tasks:`');
  const levels = findings.length > 0 ? [] : inOrder(read, note);
  if (findings.length > 0) throw invalidBoard(findings);
  return { tasks: read.map(({ task }) => task), levels, outside: outsideOf(read, placeOf) };
}

/** Of a board of which nothing was created; the findings begin with file and line. */
export function invalidBoard(findings: readonly string[]): FabricError {
  const shown = findings.slice(0, maxFindings);
  const more = findings.length - shown.length;
  return new FabricError(
    'INVALID_REQUEST',
    ['the board is not valid, nothing was created:', ...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('\n'),
    { findings: shown },
  );
}

/** Levels of tasks; notes every way round in which tasks wait for each other. */
function inOrder(read: readonly ReadTask[], note: Note): BoardTask[][] {
  const { levels, cycles } = orderBoard(read.map(({ task, ...where }) => ({ ...where, ...task, task })));
  for (const cycle of cycles) {
    const { task_id, dependsAt } = cycle[0]!;
    note(
      dependsAt,
      cycle.length === 1
        ? `${task_id} depends on itself; leave it out of its depends_on`
        : `${shownCycle(cycle)} depend on each other; take one of the dependencies out`,
    );
  }
  return levels.map((level) => level.map(({ task }) => task));
}

/** `a -> b -> a`, where a depends on b. */
function shownCycle(cycle: readonly BoardTask[]): string {
  const ids = cycle.map(({ task_id }) => task_id);
  const more = ids.length - maxNamed;
  const shown = more > 1 ? [...ids.slice(0, maxNamed - 1), `(${more} more)`, ids.at(-1)!] : ids;
  return [...shown, ids[0]].join(' -> ');
}

function outsideOf(read: readonly ReadTask[], placeOf: (offset: number | undefined) => string): OutsideDependency[] {
  const inside = new Set(read.map(({ task }) => task.task_id));
  const outside = new Map<string, OutsideDependency>();
  for (const { task, dependsAt } of read)
    for (const task_id of task.depends_on ?? []) {
      if (inside.has(task_id) || outside.has(task_id)) continue;
      outside.set(task_id, { task_id, place: placeOf(dependsAt), dependent: task.task_id });
    }
  return [...outside.values()];
}

type Note = (offset: number | undefined, what: string) => void;

interface ReadTask {
  readonly task: BoardTask;
  /** Where its `depends_on` is in the text, or else the task. */
  readonly dependsAt: number | undefined;
}

function readTasks(contents: Node | null, note: Note): ReadTask[] {
  const list = isMap(contents) ? contents.get('tasks', true) : contents;
  if (isMap(contents)) {
    for (const { key } of contents.items) {
      if (String(key) !== 'tasks')
        note(startOf(key), `unknown key ${JSON.stringify(String(key).slice(0, 64))}; a board has the key tasks`);
    }
  }
  if (!isSeq(list)) {
    note(startOf(contents), 'a board is a list of tasks, or has one under `tasks:`');
    return [];
  }
  const seen = new Set<string>();
  return list.items.flatMap((item) => {
    const read = readTask(item, note);
    if (!read) return [];
    const { task_id } = read.task;
    if (seen.has(task_id)) note(startOf(item), `task_id ${task_id} is there twice`);
    seen.add(task_id);
    return [read];
  });
}

function readTask(item: unknown, note: Note): ReadTask | undefined {
  if (!isMap(item)) {
    note(startOf(item), 'a task is a mapping of its fields, such as `task_id: review-1`');
    return undefined;
  }
  const offsetOf = (field: unknown) =>
    startOf(item.items.find(({ key }) => String(key) === field)?.key) ?? startOf(item);
  let value: unknown;
  try {
    value = checkIJson(item.toJSON(), 'the task');
  } catch (error) {
    note(startOf(item), error instanceof Error ? error.message : String(error));
    return undefined;
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const unknown = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
      if (unknown === undefined) note(offsetOf(issue.path[0]), `${issue.path.map(String).join('.')}: ${issue.message}`);
      else note(offsetOf(unknown), `unknown field ${JSON.stringify(unknown.slice(0, 64))}`);
    }
    return undefined;
  }
  const task = parsed.data;
  const invalid = invalidContent(contentOf(creationOf(task)));
  if (invalid) {
    note(offsetOf(invalid.field), `${invalid.field}: is ${JSON.stringify(invalid.value)}; allowed: ${invalid.allowed}`);
    return undefined;
  }
  return { task, dependsAt: offsetOf('depends_on') };
}

/** The board's task as the event that creates it, of which only the content counts. */
function creationOf(task: BoardTask): CreateTask {
  const given = Object.entries(task).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(given), type: 'CREATE', at: 0, by: '', trace_id: '', open_dependencies: [] } as never;
}

/** Where a node of the document begins. */
function startOf(node: unknown): number | undefined {
  const range = (node as { range?: readonly number[] | null } | null | undefined)?.range;
  return range?.[0];
}
