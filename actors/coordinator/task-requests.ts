/** The requests `task.*`: their fields, and who may send them. */
import { z } from 'zod';
import { taskStates } from '../../machines/task/context.ts';
import { type Operation, operation } from '../../src/bus/operation.ts';
import { FabricError } from '../../src/errors.ts';
import {
  cost,
  cursor,
  fromZero,
  json,
  jsonObject,
  leaseMs,
  limit,
  name,
  names,
  positive,
  priority,
  sentence,
  taskId,
  time,
  token,
  usd,
} from './fields.ts';
import type { ActorLists } from './lists.ts';
import type { TaskOperations } from './task-operations.ts';

const listedStates = taskStates.filter((state) => state !== 'absent');

/** The fields of a new task. */
export const newTaskFields = {
  task_id: taskId,
  task_type: name,
  requires: names.optional(),
  depends_on: z.array(taskId).optional(),
  priority: priority.optional(),
  max_attempts: positive('a number of attempts from 1', 1_000).optional(),
  lease_ms: leaseMs.optional(),
  retry_backoff_ms: fromZero('milliseconds from 0', 86_400_000).optional(),
  not_before: time.optional(),
  cost_estimate: usd.optional(),
  metadata: jsonObject.optional(),
};

export function taskRequests(tasks: TaskOperations, lists: ActorLists): Readonly<Record<string, Operation>> {
  return {
    create: operation(newTaskFields, async ({ caller, body }) => {
      // A task that waited for something that nothing ever announces would wait for ever.
      if (body.depends_on && body.depends_on.length > 0) {
        throw new FabricError(
          'INVALID_REQUEST',
          'depends_on: this version of the fabric does not follow dependencies; create the task when those before it are completed',
        );
      }
      return await tasks.create(caller, body);
    }),
    get: operation({ task_id: taskId }, async ({ body }) => await tasks.get(body.task_id)),
    list: operation(
      {
        state: z.enum(listedStates, { error: `must be one of ${listedStates.join(', ')}` }).optional(),
        owner: name.optional(),
        limit: limit.optional(),
        cursor: cursor.optional(),
      },
      async ({ body }) => await lists.tasks(body),
    ),
    claim: operation({ task_id: taskId }, async ({ caller, body }) => await tasks.claim(caller, body.task_id)),
    start: operation(
      { task_id: taskId, token },
      async ({ caller, body }) => await tasks.start(caller, body.task_id, body.token),
    ),
    release: operation(
      { task_id: taskId, token },
      async ({ caller, body }) => await tasks.release(caller, body.task_id, body.token),
    ),
    complete: operation(
      { task_id: taskId, token: token.optional(), result: json.optional(), cost: cost.optional() },
      async ({ caller, body: { task_id, cost: given, ...completion } }) =>
        await tasks.complete(caller, task_id, { ...completion, ...(given ? { cost: { ...given } as never } : {}) }),
    ),
    fail: operation(
      { task_id: taskId, token, error: json, retryable: z.boolean().optional() },
      async ({ caller, body: { task_id, ...failure } }) => await tasks.fail(caller, task_id, failure),
    ),
    cancel: operation(
      { task_id: taskId, reason: sentence.optional() },
      async ({ caller, body }) => await tasks.cancel(caller, body.task_id, body.reason ?? null),
    ),
  };
}
