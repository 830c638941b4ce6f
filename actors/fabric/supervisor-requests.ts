/** The requests `supervisor.*`, for operators. Every supervisor gets each request and answers for its own services. */
import { type Operation, operation } from '../../src/bus/operation.ts';
import { name } from '../coordinator/fields.ts';
import type { Supervisor } from '../supervisor/supervisor.ts';

export function supervisorRequests(supervisor: Supervisor): Readonly<Record<string, Operation>> {
  return {
    restart: operation(
      { service: name },
      async ({ body }) => ({ restarted: await supervisor.restart(body.service) }),
      'operator',
    ),
    status: operation({}, async () => ({ services: supervisor.status() }), 'operator'),
  };
}
