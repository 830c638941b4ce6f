/**
 * A task as one object that does one thing at a time: created once, owned by at most one swarm under a token greater than
 * all before, ended once. A lease may end the ownership by itself, but not before its time, which starts with the call
 * that began or renewed it at the earliest; what else ends it is in the history. Blockers are not part of the model.
 */
import type { Model } from './history.ts';
import type { ClaimOutput, Refused, Shown, TaskOperation } from './task-operation.ts';

type Phase = 'absent' | 'waiting' | 'available' | 'owned' | 'completed' | 'failed' | 'cancelled';

export interface TaskModelState {
  readonly phase: Phase;
  readonly lease_ms: number;
  readonly max_attempts: number;
  readonly backs_off: boolean;
  readonly attempt: number;
  /** Who owns it; in a final state, who owned it at the end. */
  readonly owner: string | null;
  /** The token of that ownership; null where nobody was told it yet. */
  readonly token: number | null;
  /** No token that was given out is greater. */
  readonly highest: number;
  readonly started: boolean;
  /** Before this time the lease has not run out. */
  readonly leased_until: number;
  /** The result of a completion. */
  readonly result: string | null;
  /** The last operation, if it ended an ownership without completing the task: it may be asked for again. */
  readonly given_back: string | null;
}

const absent: TaskModelState = {
  phase: 'absent',
  lease_ms: 0,
  max_attempts: 0,
  backs_off: false,
  attempt: 0,
  owner: null,
  token: null,
  highest: 0,
  started: false,
  leased_until: 0,
  result: null,
  given_back: null,
};

export interface TaskModelOptions {
  /** By how much the clock of the leases may run ahead of that of the history during one lease, milliseconds. Default 5. */
  readonly skewMs?: number;
}

/** Answers that say nothing of the task: the caller itself, or the fabric, was in no state to do it. */
const ofOthers: ReadonlySet<string> = new Set([
  'SWARM_NOT_FOUND',
  'SWARM_OFFLINE',
  'CIRCUIT_OPEN',
  'BUDGET_EXHAUSTED',
  'CAPABILITY_MISSING',
  'CAPACITY_EXCEEDED',
  'RATE_LIMITED',
  'CONFLICT',
]);

export function taskModel({ skewMs = 5 }: TaskModelOptions = {}): Model<TaskModelState, TaskOperation> {
  return {
    initial: absent,
    step(task, operation) {
      const { output } = operation;
      if (output !== undefined && 'refused' in output) return refuses(task, operation, output) ? task : undefined;
      const next = accepted(task, operation, skewMs);
      if (next === undefined || output === undefined || !('state' in output)) return next;
      // A task that only waits for its time may have become available in the same moment.
      const seen =
        output.state === 'available' && next.phase === 'waiting' ? { ...next, phase: 'available' as const } : next;
      return isShown(seen, output) ? seen : undefined;
    },
    drift(task, until) {
      if (task.phase === 'waiting') return [{ ...task, phase: 'available', given_back: null }];
      if (task.phase !== 'owned' || until < task.leased_until) return [];
      return [attemptOver(task)];
    },
    identity: (task) => JSON.stringify(task),
  };
}

/** The state after an operation that was not refused; undefined when it would have been. */
function accepted(task: TaskModelState, operation: TaskOperation, skewMs: number): TaskModelState | undefined {
  const { process: by, op } = operation;
  if (op === 'create') return created(task, operation);
  if (task.phase === 'absent') return undefined;
  if (op === 'get') return task;
  if (op === 'claim') return claimed(task, operation, skewMs);
  if (op === 'cancel') return cancelled(task);
  const { token } = operation.input;
  const asked = `${op} ${by} ${token}`;
  if ((op === 'release' || op === 'fail') && task.given_back === asked) return task;
  const held = holding(task, by, token);
  if (!held) return undefined;
  const renewed = Math.max(held.leased_until, operation.call + held.lease_ms - skewMs);
  if (op === 'complete' && held.phase === 'completed') return operation.input.result === held.result ? held : undefined;
  if (held.phase !== 'owned') return undefined;
  switch (op) {
    case 'start':
      return held.started ? held : { ...held, started: true, leased_until: renewed };
    case 'heartbeat':
      return { ...held, leased_until: renewed };
    case 'lose':
      return attemptOver(held);
    case 'release':
      return { ...disowned(held), attempt: held.attempt - 1, given_back: asked };
    case 'complete':
      return { ...held, phase: 'completed', result: operation.input.result, leased_until: 0 };
    case 'fail':
      if (operation.input.retryable && held.attempt < held.max_attempts)
        return { ...attemptOver(held), given_back: asked };
      return { ...held, phase: 'failed', leased_until: 0, given_back: asked };
  }
}

function created(
  task: TaskModelState,
  { input, output }: TaskOperation & { readonly op: 'create' },
): TaskModelState | undefined {
  // The same again is answered with the task as it is.
  if (task.phase !== 'absent') return task;
  const { may_wait, ...content } = input;
  if (output !== undefined && 'state' in output && output.state === 'waiting' && !may_wait) return undefined;
  return { ...absent, ...content, phase: may_wait ? 'waiting' : 'available' };
}

function claimed(
  task: TaskModelState,
  { process: by, output, call }: TaskOperation & { readonly op: 'claim' },
  skewMs: number,
): TaskModelState | undefined {
  const answer = output as ClaimOutput | undefined;
  const isFree = task.phase === 'available';
  const isOwn = task.phase === 'owned' && task.owner === by;
  if (answer && !answer.claimed) {
    if (ofOthers.has(answer.reason)) return task;
    if (isFree || isOwn || answer.reason !== 'TASK_NOT_AVAILABLE') return undefined;
    return answer.owner === null || answer.owner === task.owner ? task : undefined;
  }
  // The present owner is told its token again.
  if (isOwn) return answer ? holding(task, by, answer.token) : task;
  if (!isFree || (answer && answer.token <= task.highest)) return undefined;
  return {
    ...task,
    phase: 'owned',
    owner: by,
    token: answer?.token ?? null,
    highest: answer?.token ?? task.highest + 1,
    attempt: task.attempt + 1,
    started: false,
    leased_until: call + task.lease_ms - skewMs,
    given_back: null,
  };
}

function cancelled(task: TaskModelState): TaskModelState | undefined {
  if (task.phase === 'cancelled') return task;
  if (task.phase === 'completed' || task.phase === 'failed') return undefined;
  return { ...task, phase: 'cancelled', leased_until: 0, given_back: null };
}

/** The task, if this is its owner under its token; what was not known of the token is known then. */
function holding(task: TaskModelState, by: string, token: number | null): TaskModelState | undefined {
  if (task.owner !== by) return undefined;
  if (token === null || token === task.token) return task;
  if (task.token !== null || token < task.highest) return undefined;
  return { ...task, token, highest: token };
}

/** Whether an operation may be refused with this code in this state. */
function refuses(task: TaskModelState, operation: TaskOperation, { refused }: Refused): boolean {
  const { process: by, op } = operation;
  if (ofOthers.has(refused)) return true;
  if (refused === 'TASK_NOT_FOUND') return task.phase === 'absent';
  if (task.phase === 'absent') return false;
  if (op === 'create') return refused === 'TASK_EXISTS';
  if (op === 'cancel') return refused === 'UNAUTHORIZED' || cancelled(task) === undefined;
  if (op === 'get' || op === 'claim') return false;
  const { token } = operation.input;
  const held = holding(task, by, token);
  const isEnded = task.phase !== 'owned';
  if (refused === 'TASK_NOT_AVAILABLE') return held !== undefined && isEnded;
  if (refused !== 'STALE_TOKEN' && refused !== 'NOT_OWNER') return false;
  // While the token is not known to anyone, a caller's may be an old one.
  return held === undefined || (task.token === null && token !== null);
}

function isShown(task: TaskModelState, { state, owner }: Shown): boolean {
  const phase = state === 'claimed' || state === 'in_progress' ? 'owned' : state;
  if (phase !== task.phase || owner !== task.owner) return false;
  return phase !== 'owned' || task.started === (state === 'in_progress');
}

function attemptOver(task: TaskModelState): TaskModelState {
  const free = disowned(task);
  if (task.attempt >= task.max_attempts) return { ...free, phase: 'failed' };
  return task.backs_off ? { ...free, phase: 'waiting' } : free;
}

function disowned(task: TaskModelState): TaskModelState {
  return { ...task, phase: 'available', owner: null, token: null, started: false, leased_until: 0, given_back: null };
}
