/** The requests `swarm.*`: their fields, and who may send them. */

import { type Operation, operation } from '../../../src/bus/operation.ts';
import { FabricError } from '../../../src/errors.ts';
import { cursor, jsonObject, limit, name, names, positive, swarmId, usd } from '../fields.ts';
import type { ActorLists } from '../lists.ts';
import type { SwarmOperations } from './swarm-operations.ts';

export interface SwarmEffects {
  /** The swarm can be sent to from now on. */
  registered(swarmId: string): Promise<void>;
  /** The swarm's tasks are nobody's from now on. */
  unregistered(swarmId: string): Promise<void>;
}

export function swarmRequests(
  swarms: SwarmOperations,
  lists: ActorLists,
  effects: SwarmEffects,
): Readonly<Record<string, Operation>> {
  const self = { swarm_id: swarmId.optional() };
  return {
    register: operation(
      {
        ...self,
        capabilities: names,
        cost_per_hour: usd,
        model: name.optional(),
        max_concurrent_tasks: positive('a number of tasks from 1', 1_000_000).optional(),
        metadata: jsonObject.optional(),
      },
      async ({ caller, body: { swarm_id, ...registration } }) => {
        ownOnly(caller, swarm_id);
        const swarm = await swarms.register(caller, registration);
        await effects.registered(caller);
        return swarm;
      },
    ),
    heartbeat: operation(self, async ({ caller, body }) => {
      ownOnly(caller, body.swarm_id);
      return await swarms.heartbeat(caller);
    }),
    unregister: operation(self, async ({ caller, body }) => {
      ownOnly(caller, body.swarm_id);
      const swarm = await swarms.unregister(caller);
      await effects.unregistered(caller);
      return swarm;
    }),
    get: operation(self, async ({ caller, body }) => await swarms.get(body.swarm_id ?? caller)),
    list: operation(
      { limit: limit.optional(), cursor: cursor.optional() },
      async ({ body }) => await lists.swarms(body),
    ),
    invite: operation(
      { swarm_id: swarmId, grants: names.optional(), budget_usd: usd.optional() },
      async ({ caller, body: { swarm_id, grants = [], budget_usd } }) => {
        const swarm = await swarms.invite(caller, swarm_id, { grants, budget_usd });
        await effects.registered(swarm_id);
        return swarm;
      },
      'operator',
    ),
    revoke: operation(
      { swarm_id: swarmId },
      async ({ caller, body }) => await swarms.revokeGrants(caller, body.swarm_id),
      'operator',
    ),
  };
}

function ownOnly(caller: string, named: string | undefined): void {
  if (named !== undefined && named !== caller) {
    throw new FabricError(
      'UNAUTHORIZED',
      `swarm_id: ${named} is not the caller ${caller}; a swarm does this for itself only`,
    );
  }
}
