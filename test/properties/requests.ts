/** A command as the request that it stands for at this moment: whose, with which token, and what the task's machine is asked. */
import { operatorId } from '../../machines/address.ts';
import type { BlockerContext } from '../../machines/blocker/context.ts';
import type { Json } from '../../machines/record.ts';
import { stateName } from '../../machines/record.ts';
import { ownedStates, type TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { tokenOf } from '../../machines/token.ts';
import type { Command, Target, TokenChoice } from './commands.ts';
import type { CoordinatorProcess } from './coordinator-process.ts';
import type { SharedLog } from './shared-log.ts';

export interface Request {
  readonly does: Command['do'];
  readonly label: string;
  readonly by: string;
  readonly task_id: string | undefined;
  /** What the task's machine decides about; undefined where more than that decides. */
  readonly event?: { readonly type: string; readonly [field: string]: unknown };
  /** In the record of whatever this request changes, and in no other. */
  readonly mark?: string;
  /** Whether its answer may take time to pass. */
  readonly parks?: boolean;
  run(process: CoordinatorProcess): Promise<unknown>;
}

export interface Present {
  readonly shared: SharedLog;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** A mark that no other request has. */
  readonly mark: string;
}

/** Undefined where the command is none of a client, or there is nothing that it could be about. */
export function requestOf(command: Command, present: Present): Request | undefined {
  switch (command.do) {
    case 'create': {
      const { task_id, by, content } = command;
      return creation(task_id, by, content, present);
    }
    case 'claim':
      return withTarget(command.task, present, (task_id) => claim(command.by, task_id));
    case 'next':
      return nextTask(command.by, command.wait_ms);
    case 'start':
    case 'release':
    case 'complete':
    case 'fail':
    case 'block':
    case 'renew':
    case 'cancel':
    case 'resolve':
      return withTarget(command.task, present, (task_id) => ofTask(command, task_id, present));
    default:
      return undefined;
  }
}

export function creation(
  task_id: string,
  by: string,
  { depends_on, delay_ms, concurrency_key, ...content }: Extract<Command, { do: 'create' }>['content'],
  { shared, now }: Pick<Present, 'shared' | 'now'>,
): Request {
  const known = depends_on.filter((id) => id !== task_id && taskOf(shared, id));
  const task = {
    task_id,
    task_type: 'build',
    depends_on: known,
    not_before: delay_ms === null ? null : now + delay_ms,
    concurrency_key,
    ...(concurrency_key === 'gpu' ? { concurrency_limit: 2 } : {}),
    lease_ms: 1_000,
    ...content,
  };
  return {
    does: 'create',
    label: `create ${JSON.stringify(task)}`,
    by,
    task_id,
    run: async (process) => await process.tasks.create(by, task),
  };
}

export function claim(by: string, task_id: string): Request {
  return {
    does: 'claim',
    label: `claim ${task_id}`,
    by,
    task_id,
    run: async (process) => await process.tasks.claim(by, task_id),
  };
}

export function nextTask(by: string, wait_ms: number): Request {
  return {
    does: 'next',
    label: `next waiting ${wait_ms} ms`,
    by,
    task_id: undefined,
    parks: wait_ms > 0,
    run: async ({ next }) => await next.next(by, { wait_ms }),
  };
}

type OfTask = Extract<
  Command,
  { do: 'start' | 'release' | 'complete' | 'fail' | 'block' | 'renew' | 'cancel' | 'resolve' }
>;

function ofTask(command: OfTask, task_id: string, { shared, mark }: Present): Request | undefined {
  const context = taskOf(shared, task_id);
  const by = callerOf(command.by, context);
  const token = 'token' in command ? tokenFor(command.token, context) : undefined;
  const label = `${command.do} ${task_id}${token === undefined ? '' : ` token ${token}`}`;
  const request = { does: command.do, label, by, task_id };
  const shown = token ?? 0;
  switch (command.do) {
    case 'start':
      return {
        ...request,
        event: { type: 'START', by, token: shown },
        run: async ({ tasks }) => await tasks.start(by, task_id, shown),
      };
    case 'release':
      return {
        ...request,
        event: { type: 'RELEASE', by, token: shown },
        run: async ({ tasks }) => await tasks.release(by, task_id, shown),
      };
    case 'complete': {
      const result: Json = { mark };
      const cost = command.cost_usd === null ? undefined : { cost_usd: command.cost_usd };
      return {
        ...request,
        mark,
        event: { type: 'COMPLETE', by, result, ...(token === undefined ? {} : { token }) },
        run: async ({ tasks }) => await tasks.complete(by, task_id, { token, result, cost }),
      };
    }
    case 'fail': {
      const failure = { token: shown, error: { message: mark }, retryable: command.retryable };
      return {
        ...request,
        mark,
        event: { type: 'FAIL', by, ...failure },
        run: async ({ tasks }) => await tasks.fail(by, task_id, failure),
      };
    }
    case 'cancel':
      return {
        ...request,
        mark,
        event: { type: 'CANCEL', by, reason: mark },
        run: async ({ tasks }) => await tasks.cancel(by, task_id, mark),
      };
    case 'block': {
      const report = { type: 'stuck', description: mark, severity: 'low' as const, required_capabilities: [] };
      return {
        ...request,
        mark,
        event: { type: 'BLOCK', by, token: shown, blocker_id: '' },
        run: async ({ blockers }) => await blockers.report(by, { ...report, task_id, token: shown }),
      };
    }
    case 'resolve': {
      const blocker_id = context?.blocker_id ?? lastBlockerOf(shared, task_id);
      if (blocker_id == null) return undefined;
      return {
        ...request,
        task_id: undefined,
        mark,
        run: async ({ blockers }) => await blockers.resolve(by, blocker_id, mark),
      };
    }
    case 'renew':
      return {
        ...request,
        // Who may renew a lease is who may report a blocker: whoever holds the task under one.
        event: { type: 'BLOCK', by, token: shown, blocker_id: '' },
        run: async ({ leases }) => await leases.heartbeat(by, task_id, shown),
      };
  }
}

/** The task that is meant; undefined where there is none at all. */
export function chosen({ among, n }: Target, shared: SharedLog): string | undefined {
  const tasks = shared.heads.filter(({ record }) => record.kind === taskMachine.kind);
  const fitting = tasks.filter(({ record }) => {
    const state = stateName(record.snapshot.value);
    if (among === 'owned') return (ownedStates as readonly string[]).includes(state);
    return among === 'available' ? state === among : among === 'any' || record.snapshot.status === 'active';
  });
  const from = fitting.length > 0 ? fitting : tasks;
  return from[n % from.length]?.record.id;
}

function withTarget(
  target: Target,
  { shared }: Present,
  make: (task_id: string) => Request | undefined,
): Request | undefined {
  const task_id = chosen(target, shared);
  return task_id === undefined ? undefined : make(task_id);
}

export function taskOf(shared: SharedLog, task_id: string): TaskContext | undefined {
  return shared.lastOf({ kind: taskMachine.kind, id: task_id })?.record.snapshot.context as TaskContext | undefined;
}

/** The owner, or who owned it last. */
function callerOf(by: OfTask['by'], context: TaskContext | undefined): string {
  if (by === 'operator') return operatorId;
  if (by === 'creator') return context?.created_by ?? 'alpha';
  if (by !== 'owner') return by;
  const past = Object.entries(context?.past_owners ?? {}).sort(([, a], [, b]) => b - a);
  return context?.owner ?? past[0]?.[0] ?? 'alpha';
}

export function tokenFor(choice: TokenChoice, context: TaskContext | undefined): number | undefined {
  const last = tokenOf(1, context?.ownerships ?? 0);
  if (choice === 'none') return undefined;
  if (choice === 'old') return last - 1;
  return choice === 'next' ? last + 1 : (context?.token ?? last);
}

function lastBlockerOf(shared: SharedLog, task_id: string): string | undefined {
  return shared.heads.findLast(
    ({ record }) => record.kind === 'blocker' && (record.snapshot.context as BlockerContext).task_id === task_id,
  )?.record.id;
}
