/** The requests `blocker.*`: their fields, and who may send them. */
import { z } from 'zod';
import { blockerStates, severities } from '../../../machines/blocker/context.ts';
import { type Operation, operation } from '../../../src/bus/operation.ts';
import { taskId as blockerId, cursor, limit, name, names, sentence, taskId, token } from '../fields.ts';
import type { BlockerOperations } from './blocker-operations.ts';
import type { BlockerView } from './blocker-view.ts';

/** What lists blockers, page by page, ordered by id. */
export interface BlockerLists {
  blockers(filter: {
    state?: string | undefined;
    limit?: number | undefined;
    cursor?: string | undefined;
  }): Promise<{ blockers: BlockerView[]; cursor: string | null }>;
}

const listedStates = blockerStates.filter((state) => state !== 'absent');

export function blockerRequests(blockers: BlockerOperations, lists: BlockerLists): Readonly<Record<string, Operation>> {
  return {
    report: operation(
      {
        task_id: taskId.optional(),
        token: token.optional(),
        type: name,
        description: sentence,
        severity: z.enum(severities, { error: `must be one of ${severities.join(', ')}` }),
        required_capabilities: names,
      },
      async ({ caller, body }) => await blockers.report(caller, body),
    ),
    resolve: operation(
      { blocker_id: blockerId, resolution: sentence },
      async ({ caller, body }) => await blockers.resolve(caller, body.blocker_id, body.resolution),
    ),
    join: operation(
      { blocker_id: blockerId },
      async ({ caller, body }) => await blockers.join(caller, body.blocker_id),
    ),
    decline: operation(
      { blocker_id: blockerId, reason: sentence.optional() },
      async ({ caller, body }) => await blockers.decline(caller, body.blocker_id, body.reason),
    ),
    get: operation({ blocker_id: blockerId }, async ({ body }) => await blockers.get(body.blocker_id)),
    list: operation(
      {
        state: z.enum(listedStates, { error: `must be one of ${listedStates.join(', ')}` }).optional(),
        limit: limit.optional(),
        cursor: cursor.optional(),
      },
      async ({ body }) => await lists.blockers(body),
    ),
  };
}
