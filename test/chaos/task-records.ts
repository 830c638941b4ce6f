/** What the witness has on record about the tasks of a chaos run, held against the rules that nothing may break. */
import { decide } from '../../machines/machine.ts';
import { type ActorRecord, type Snapshot, stateName } from '../../machines/record.ts';
import { ownedStates, type TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { isDone, type Request } from './op-log.ts';

export interface Row {
  readonly seq: number;
  readonly actor_id: string;
  readonly payload: string;
}

export interface TaskRecord extends ActorRecord {
  readonly seq: number;
  readonly state: string;
  readonly task: TaskContext;
}

/** `rows`: those of all tasks, in the order of the log. */
export function recordsOf(rows: readonly Row[]): TaskRecord[] {
  return rows.map(({ seq, payload }) => {
    const record = JSON.parse(payload) as ActorRecord;
    const { value, context } = record.snapshot;
    return { ...record, seq, state: stateName(value), task: context as TaskContext };
  });
}

export function byTask(records: readonly TaskRecord[]): Map<string, TaskRecord[]> {
  const histories = new Map<string, TaskRecord[]>();
  for (const record of records) {
    const same = histories.get(record.id);
    if (same) same.push(record);
    else histories.set(record.id, [record]);
  }
  return histories;
}

const isOwned = ({ state }: TaskRecord) => (ownedStates as readonly string[]).includes(state);

/** One task: its records are its machine's, it has one owner at a time, its tokens grow, it was completed once, last. */
export function findingsOfTask(history: readonly TaskRecord[]): string[] {
  const findings: string[] = [];
  let snapshot: Snapshot<TaskContext> = taskMachine.absent;
  let token = 0;
  for (const [i, record] of history.entries()) {
    const { id: _id, ...event } = record.event;
    const at = `${record.id}, record ${record.n} (${record.event.type})`;
    if (record.n !== i + 1) findings.push(`${at} is the ${i + 1}th that is there`);
    const verdict = decide(taskMachine, snapshot, event as never);
    if (!verdict.accepted) findings.push(`${at} would be refused: ${verdict.refusal.message}`);
    else if (JSON.stringify(sorted(verdict.snapshot)) !== JSON.stringify(sorted(record.snapshot)))
      findings.push(`${at} is not what its machine makes of the one before`);
    snapshot = record.snapshot as Snapshot<TaskContext>;
    const before = history[i - 1];
    if (before && isOwned(before) && isOwned(record) && before.task.owner !== record.task.owner)
      findings.push(`${at} goes from ${before.task.owner} to ${record.task.owner} without being free in between`);
    if (record.event.type !== 'CLAIM') continue;
    if ((record.task.token ?? 0) <= token) findings.push(`${at} has the token ${record.task.token} after ${token}`);
    token = record.task.token ?? token;
  }
  const completions = history.filter(({ event }) => event.type === 'COMPLETE').length;
  if (completions > 1) findings.push(`${history[0]?.id} was completed ${completions} times`);
  const last = history.at(-1)!;
  if (last.state !== 'completed')
    findings.push(`${last.id} is ${last.state} (${last.event.type}, owner ${last.task.owner})`);
  return findings;
}

/** A task is claimed after those it depends on are completed. */
export function findingsOfOrder(histories: ReadonlyMap<string, readonly TaskRecord[]>): string[] {
  const completedAt = (id: string) =>
    histories.get(id)?.find(({ state }) => state === 'completed')?.seq ?? Number.POSITIVE_INFINITY;
  return [...histories].flatMap(([id, history]) => {
    const claimedAt = history.find(({ event }) => event.type === 'CLAIM')?.seq;
    if (claimedAt === undefined) return [];
    const open = history[0]!.task.depends_on.filter((other) => completedAt(other) > claimedAt);
    return open.map((other) => `${id} was claimed before ${other} was completed`);
  });
}

/** Of the tasks of one key, no more than its limit are owned at a time. `records`: in the order of the log. */
export function findingsOfKeys(records: readonly TaskRecord[]): string[] {
  const owned = new Map<string, Set<string>>();
  return records.flatMap((record) => {
    const { concurrency_key: key, concurrency_limit: limit } = record.task;
    if (key == null) return [];
    const tasks = owned.get(key) ?? new Set();
    owned.set(key, tasks);
    if (isOwned(record)) tasks.add(record.id);
    else tasks.delete(record.id);
    if (tasks.size <= (limit ?? 1)) return [];
    return [
      `${tasks.size} tasks of ${key} are owned at ${record.seq}, the limit is ${limit}: ${[...tasks].join(', ')}`,
    ];
  });
}

/** A swarm came, or was found to be away, or to be back. */
export interface Presence {
  readonly swarm_id: string;
  readonly event: 'REGISTER' | 'ONLINE' | 'OFFLINE';
  readonly at: number;
}

/** A swarm may come back while its tasks are being taken from it; so much later none is, milliseconds. */
const takenWithinMs = 1_000;

/** No task is taken from a swarm that is there. `presence`: in the order of the log. */
export function findingsOfLosses(records: readonly TaskRecord[], presence: readonly Presence[]): string[] {
  return records.flatMap(({ id, event, at }) => {
    if (event.type !== 'OWNER_LOST') return [];
    const last = presence.findLast((one) => one.swarm_id === event['owner'] && one.at <= at);
    if (last === undefined || last.event === 'OFFLINE' || at - last.at < takenWithinMs) return [];
    return [`${id} was taken from ${event['owner']}, who was there for ${at - last.at} ms`];
  });
}

/** What a client was told is on record: the very record, and the claim or completion that it was told of. */
export function findingsOfAcknowledged(
  requests: readonly Request[],
  histories: ReadonlyMap<string, readonly TaskRecord[]>,
): string[] {
  return requests.filter(isDone).flatMap(({ by, op, body, reply }) => {
    const { task_id, n, revision } = reply!.task!;
    const history = histories.get(task_id) ?? [];
    const what = `${op} of ${task_id} by ${by}, acknowledged as record ${n} at ${revision},`;
    if (history[n - 1]?.seq !== revision) return [`${what} is not in the witness`];
    const has = (type: string, token: unknown) =>
      history.some(({ event, by: who, task }) => event.type === type && who === by && task.token === token);
    if (reply!.claimed && !has('CLAIM', reply!.token)) return [`${what} has no claim under its token`];
    if (op === 'complete' && !has('COMPLETE', body['token'])) return [`${what} has no completion under its token`];
    return [];
  });
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
