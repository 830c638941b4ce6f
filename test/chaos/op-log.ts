/** Reads back what the swarms of a chaos run wrote down: as a history for the checker, and as what was acknowledged. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Code, codes, isCode } from '../../machines/codes.ts';
import type { TaskOperation } from '../linearizability/task-operation.ts';

export interface Reply {
  readonly code?: string;
  readonly message?: string;
  readonly claimed?: boolean;
  readonly reason?: string;
  readonly owner?: string;
  readonly token?: number;
  readonly task?: { task_id: string; state: string; owner: string | null; n: number; revision: number };
}

/** One request as it left a process, and its reply, if one came. Times are of the monotonic clock. */
export interface Request {
  readonly by: string;
  readonly op: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly call: number;
  readonly return: number;
  readonly reply: Reply | undefined;
}

type Line =
  | { readonly call: number; by: string; op: string; at: number; body: Readonly<Record<string, unknown>> }
  | { readonly return: number; at: number; reply?: Reply; undelivered?: true };

/** All requests that may have had an effect. */
export function readRequests(dir: string): Request[] {
  return readdirSync(dir).flatMap((file) => readLog(readFileSync(join(dir, file), 'utf8')));
}

function readLog(text: string): Request[] {
  const requests = new Map<number, Request>();
  // The last line of a process that was killed may not be whole.
  for (const text_line of text.slice(0, text.lastIndexOf('\n')).split('\n')) {
    if (text_line === '') continue;
    const line = JSON.parse(text_line) as Line;
    if ('call' in line) {
      const { call: i, by, op, at, body } = line;
      requests.set(i, { by, op, body, call: at, return: Number.POSITIVE_INFINITY, reply: undefined });
    } else if (line.undelivered) {
      requests.delete(line.return);
    } else {
      const asked = requests.get(line.return)!;
      requests.set(line.return, { ...asked, return: line.at, reply: line.reply });
    }
  }
  return [...requests.values()];
}

/** Whether the request was answered with a record of the task: that of the change that was asked for, or a later one. */
export function isDone({ op, reply }: Request): boolean {
  return op !== 'get' && op !== 'heartbeat' && reply?.task !== undefined && reply.claimed !== false;
}

/** Whether it is open what the request did. */
export function isAmbiguous({ reply }: Request): boolean {
  return reply === undefined || (reply.code !== undefined && effectOf(reply.code) === 'unknown');
}

function effectOf(code: string): 'none' | 'unknown' {
  return isCode(code) ? codes[code as Code].effect : 'unknown';
}

/** As the checker wants them. A `next` that was answered is a claim of that task; one that was not is left out here. */
export function historyOf(requests: readonly Request[]): TaskOperation[] {
  return requests.flatMap((request) => {
    const { by, op, body, call, reply } = request;
    const task_id = op === 'next' ? reply?.task?.task_id : body['task_id'];
    if (typeof task_id !== 'string') return [];
    const open = isAmbiguous(request);
    const operation = {
      process: by,
      key: task_id,
      op: op === 'next' ? 'claim' : op,
      input: inputOf(op, body),
      output: open ? undefined : outputOf(op, reply!),
      call,
      return: open ? Number.POSITIVE_INFINITY : request.return,
    };
    return [operation as TaskOperation];
  });
}

function inputOf(op: string, body: Readonly<Record<string, unknown>>): unknown {
  const { token, result, retryable, lease_ms, max_attempts, retry_backoff_ms, depends_on } = body;
  if (op === 'create')
    return { lease_ms, max_attempts, may_wait: Array.isArray(depends_on), backs_off: Boolean(retry_backoff_ms) };
  if (op === 'complete') return { token: token ?? null, result: JSON.stringify(result ?? null) };
  if (op === 'fail') return { token, retryable: retryable ?? true };
  return token === undefined ? null : { token };
}

function outputOf(op: string, { code, claimed, reason, owner, token, task }: Reply): TaskOperation['output'] {
  if (code !== undefined) return { refused: code };
  if (op === 'claim' || op === 'next') {
    if (claimed && token !== undefined) return { claimed, token };
    return { claimed: false, reason: reason ?? '', owner: owner ?? null };
  }
  return { state: task?.state ?? '', owner: task?.owner ?? null };
}
