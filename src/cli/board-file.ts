/**
 * Task boards as files: YAML (JSON is YAML, too) with a list of tasks, at the top or under `tasks`, each with the fields of
 * `task.create`. A board is read and checked as a whole; a finding names the line.
 */
import { readFile, stat } from 'node:fs/promises';
import { isMap, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { z } from 'zod';
import { newTaskFields } from '../../actors/coordinator/task-requests.ts';
import { checkIJson } from '../data/ijson.ts';
import { FabricError } from '../errors.ts';

const schema = z.strictObject(newTaskFields);
export type BoardTask = z.infer<typeof schema>;

const maxFileBytes = 16 * 1024 * 1024;
const maxFindings = 10;

/** @throws FabricError INVALID_REQUEST with everything that is wrong, one line per finding */
export async function readBoard(path: string): Promise<BoardTask[]> {
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
export function parseBoard(path: string, text: string): BoardTask[] {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    strict: true,
    uniqueKeys: true,
    lineCounter: lines,
    prettyErrors: false,
  });
  const findings: string[] = [];
  const note = (offset: number | undefined, what: string) => {
    findings.push(offset === undefined ? `${path}: ${what}` : `${path}:${lines.linePos(offset).line}: ${what}`);
  };
  for (const { pos, message } of [...document.errors, ...document.warnings]) note(pos[0], message);
  const tasks = findings.length > 0 ? [] : readTasks(document.contents, note);
  if (findings.length === 0 && tasks.length === 0)
    note(undefined, 'there are no tasks; write a list of them under `tasks:`');
  if (findings.length === 0) return tasks;
  const shown = findings.slice(0, maxFindings);
  const more = findings.length - shown.length;
  throw new FabricError(
    'INVALID_REQUEST',
    ['the board is not valid, nothing was created:', ...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('\n'),
    { findings: shown },
  );
}

type Note = (offset: number | undefined, what: string) => void;

function readTasks(contents: Node | null, note: Note): BoardTask[] {
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
  const firstLines = new Set<string>();
  return list.items.flatMap((item) => {
    const task = readTask(item, note);
    if (!task) return [];
    if (firstLines.has(task.task_id)) note(startOf(item), `task_id ${task.task_id} is there twice`);
    firstLines.add(task.task_id);
    return [task];
  });
}

function readTask(item: unknown, note: Note): BoardTask | undefined {
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
  if ((parsed.data.depends_on ?? []).length > 0) {
    note(
      offsetOf('depends_on'),
      `${parsed.data.task_id} has depends_on, which this version does not follow; leave it out, and create the task when those before it are completed`,
    );
    return undefined;
  }
  return parsed.data;
}

/** Where a node of the document begins. */
function startOf(node: unknown): number | undefined {
  const range = (node as { range?: readonly number[] | null } | null | undefined)?.range;
  return range?.[0];
}
