/** The requests `approval.*`: their fields. Only operators may send them. */
import { z } from 'zod';
import { approvalStates } from '../../../machines/approval/context.ts';
import { type Operation, operation } from '../../../src/bus/operation.ts';
import { taskId as approvalId, cursor, limit, name, sentence } from '../../coordinator/fields.ts';
import type { Approvals } from './approvals.ts';

const listedStates = approvalStates.filter((state) => state !== 'absent');
const person = name.refine((text) => text.trim() !== '', { error: 'must be the name of the person who decides' });

export function approvalRequests(approvals: Approvals): Readonly<Record<string, Operation>> {
  return {
    list: operation(
      {
        state: z.enum(listedStates, { error: `must be one of ${listedStates.join(', ')}` }).optional(),
        limit: limit.optional(),
        cursor: cursor.optional(),
      },
      async ({ body }) => await approvals.list(body),
      'operator',
    ),
    get: operation({ approval_id: approvalId }, async ({ body }) => await approvals.get(body.approval_id), 'operator'),
    decide: operation(
      {
        approval_id: approvalId,
        decision: z.enum(['approve', 'reject'], { error: 'must be approve or reject' }),
        name: person,
        comment: sentence.optional(),
      },
      async ({ caller, body }) => await approvals.decide(caller, body),
      'operator',
    ),
  };
}
