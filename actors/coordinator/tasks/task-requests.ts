/** The requests `task.*`: their fields, and who may send them. */
import { z } from 'zod';
import { taskStates } from '../../../machines/task/context.ts';
import { type Operation, operation } from '../../../src/bus/operation.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import {
  cost,
  cursor,
  fromZero,
  json,
  jsonObject,
  key,
  leaseMs,
  limit,
  name,
  names,
  positive,
  priority,
  sentence,
  taskId,
  taskIds,
  time,
  token,
  usd,
} from '../fields.ts';
import type { ActorLists, Page } from '../lists.ts';
import type { TaskOperations } from './task-operations.ts';
import { type TaskView, taskView } from './task-view.ts';

const owned = { task_id: taskId, token };
const page = { limit: limit.optional(), cursor: cursor.optional() };
const listedStates = taskStates.filter((state) => state !== 'absent');

/** The fields of a new task. */
export const newTaskFields = {
  task_id: taskId,
  task_type: name,
  requires: names.optional(),
  depends_on: taskIds.optional(),
  on_dependency_failure: z.enum(['fail', 'wait'], { error: 'must be fail or wait' }).optional(),
  priority: priority.optional(),
  max_attempts: positive('a number of attempts from 1', 1_000).optional(),
  lease_ms: leaseMs.optional(),
  retry_backoff_ms: fromZero('milliseconds from 0', 86_400_000).optional(),
  not_before: time.optional(),
  cost_estimate: usd.optional(),
  metadata: jsonObject.optional(),
  concurrency_key: key.optional(),
  concurrency_limit: positive('a number of tasks from 1 to 1,000', 1_000).optional(),
  singleton_key: key.optional(),
  assign: z.boolean({ error: 'must be true or false' }).optional(),
};

/** A parked caller is alive for so long without saying so, milliseconds. */
const longestWaitMs = 60_000;

/** What the requests `task.*` are answered by. */
export interface TaskServices {
  readonly tasks: TaskOperations;
  readonly lists: ActorLists;
  readonly leases: {
    heartbeat(by: string, task_id: string, token: number): Promise<TaskView>;
    /** When the lease ends, renewals included. */
    deadlineOf(stored: StoredRecord): Promise<number | null>;
  };
  readonly next: {
    next(by: string, wish: { wait_ms: number; task_types: readonly string[] | undefined }): Promise<unknown>;
  };
  readonly explain: (wish: { task_id: string } & Page) => Promise<unknown>;
}

export function taskRequests(services: TaskServices): Readonly<Record<string, Operation>> {
  const { tasks, lists, leases, next, explain } = services;
  return {
    create: operation(newTaskFields, async ({ caller, body }) => await tasks.create(caller, body)),
    get: operation({ task_id: taskId }, async ({ body }) => {
      const stored = await tasks.get(body.task_id);
      return { ...taskView(stored), lease_expires_at: await leases.deadlineOf(stored) };
    }),
    list: operation(
      {
        state: z.enum(listedStates, { error: `must be one of ${listedStates.join(', ')}` }).optional(),
        owner: name.optional(),
        ...page,
      },
      async ({ body }) => await lists.tasks(body),
    ),
    claim: operation({ task_id: taskId }, async ({ caller, body }) => await tasks.claim(caller, body.task_id)),
    next: operation(
      {
        wait_ms: fromZero(`milliseconds from 0 to ${longestWaitMs}`, longestWaitMs).optional(),
        task_types: names.optional(),
      },
      async ({ caller, body: { wait_ms = 0, task_types } }) => await next.next(caller, { wait_ms, task_types }),
      { parks: true },
    ),
    start: operation(owned, async ({ caller, body }) => await tasks.start(caller, body.task_id, body.token)),
    heartbeat: operation(owned, async ({ caller, body }) => await leases.heartbeat(caller, body.task_id, body.token)),
    release: operation(owned, async ({ caller, body }) => await tasks.release(caller, body.task_id, body.token)),
    complete: operation(
      { task_id: taskId, token: token.optional(), result: json.optional(), cost: cost.optional() },
      async ({ caller, body: { task_id, cost: given, ...completion } }) =>
        await tasks.complete(caller, task_id, { ...completion, ...(given ? { cost: { ...given } as never } : {}) }),
    ),
    fail: operation(
      { ...owned, error: json, retryable: z.boolean().optional() },
      async ({ caller, body: { task_id, ...failure } }) => await tasks.fail(caller, task_id, failure),
    ),
    cancel: operation(
      { task_id: taskId, reason: sentence.optional() },
      async ({ caller, body }) => await tasks.cancel(caller, body.task_id, body.reason ?? null),
    ),
    explain: operation({ task_id: taskId, ...page }, async ({ body }) => await explain(body)),
  };
}
