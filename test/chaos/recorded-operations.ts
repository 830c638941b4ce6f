/**
 * What no request tells of, and the records do: which task a request for any task was given when its answer was lost, and
 * when a task was taken from an owner that was believed to be away. For the history both are operations without answers.
 */
import type { TaskOperation } from '../linearizability/task-operation.ts';
import { isAmbiguous, type Request } from './op-log.ts';
import type { TaskRecord } from './task-records.ts';

/** By how much the clock of the records may differ from that of the requests during a run, milliseconds. */
const skewMs = 20;

/** `offset`: what makes a time of the clock of the records one of the clock of the requests. */
export function unansweredClaims(
  requests: readonly Request[],
  records: readonly TaskRecord[],
  offset: number,
): { operations: TaskOperation[]; findings: string[] } {
  const bySwarm = new Map<string, Request[]>();
  for (const request of requests) {
    if (request.op !== 'claim' && request.op !== 'next') continue;
    const same = bySwarm.get(request.by);
    if (same) same.push(request);
    else bySwarm.set(request.by, [request]);
  }
  const operations: TaskOperation[] = [];
  const findings: string[] = [];
  for (const { id, task, event, at } of records) {
    if (event.type !== 'CLAIM') continue;
    const owner = task.owner!;
    // What was asked for after the claim did not cause it, even if it was told the token.
    const before = (bySwarm.get(owner) ?? []).filter(({ call }) => call <= at + offset + skewMs);
    const isTold = ({ reply }: Request) => reply?.token === task.token && reply?.task?.task_id === id;
    const isOfTask = (request: Request) => isAmbiguous(request) && request.body['task_id'] === id;
    if (before.some((request) => isTold(request) || isOfTask(request))) continue;
    if (before.some((request) => request.op === 'next' && isAmbiguous(request))) {
      const when = { call: at + offset - skewMs, return: Number.POSITIVE_INFINITY };
      operations.push({ process: owner, key: id, op: 'claim', input: null, output: undefined, ...when });
    } else findings.push(`${id} was claimed for ${owner}, who had not asked for it`);
  }
  return { operations, findings };
}

/** `offset` as of `unansweredClaims`; `histories` by task. */
export function losses(histories: Iterable<readonly TaskRecord[]>, offset: number): TaskOperation[] {
  return [...histories].flatMap((history) =>
    history.flatMap(({ id, event, at }, i): TaskOperation[] => {
      const { owner, token } = history[i - 1]?.task ?? {};
      if (event.type !== 'OWNER_LOST' || owner == null || token == null) return [];
      const when = { call: at + offset - skewMs, return: Number.POSITIVE_INFINITY };
      return [{ process: owner, key: id, op: 'lose', input: { token }, output: undefined, ...when }];
    }),
  );
}
