/** The request `task.push`: a task that exists, or a new one, into the mailbox of a swarm. */
import { z } from 'zod';
import { type Operation, operation } from '../../../src/bus/operation.ts';
import { FabricError } from '../../../src/errors.ts';
import { swarmId, taskId } from '../fields.ts';
import { newTaskFields } from '../tasks/task-requests.ts';
import type { Mailboxes } from './mailboxes.ts';

export function pushRequests(mailboxes: Mailboxes): { readonly push: Operation } {
  return {
    push: operation(
      { to: swarmId, task_id: taskId.optional(), task: z.strictObject(newTaskFields).optional() },
      async ({ caller, body: { to, task_id, task } }) => {
        if (task_id !== undefined && task === undefined) return await mailboxes.push(caller, { to, what: { task_id } });
        if (task !== undefined && task_id === undefined) return await mailboxes.push(caller, { to, what: { task } });
        throw new FabricError(
          'INVALID_REQUEST',
          `task_id, task: ${task ? 'both were sent' : 'neither was sent'}; name a task by task_id, or send a new one as task`,
          { field: 'task' },
        );
      },
    ),
  };
}
