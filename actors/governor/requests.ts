/** The requests `governor.*`: their fields, and who may send them. `swarm_id` is what a request is about. */

import { z } from 'zod';
import { operatorId } from '../../machines/address.ts';
import type { PauseMode } from '../../machines/pause.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { type Operation, operation } from '../../src/bus/operation.ts';
import { FabricError } from '../../src/errors.ts';
import { cursor, fromZero, taskId as id, limit, name, names, sentence, swarmId, usd } from '../coordinator/fields.ts';
import type { GovernorCore } from './core.ts';
import { matchRequest } from './match.ts';

const whole = z.literal(true, { error: 'must be true, or left out' });
const orNone = usd.nullable().optional();
/** Whom something is given to, who need not have registered yet: an operator never will. */
const anySwarmId = swarmId.refine((id) => id !== operatorId, {
  error: `must be the id of a swarm; ${operatorId} is the operators' own`,
});

export function governorRequests(core: GovernorCore): Readonly<Record<string, Operation>> {
  const { swarms, policy, clock, budgets, controls, fleetControls, reports } = core;
  const pausing = (mode: PauseMode) =>
    operation(
      { swarm_id: swarmId.optional(), all: whole.optional(), reason: sentence.optional() },
      async ({ caller, body: { swarm_id, all, reason } }) => {
        const target = targetOf(swarm_id, { all });
        return target === undefined
          ? await fleetControls.pause(caller, { mode, reason })
          : await controls.pause(caller, target, { mode, reason });
      },
      'operator',
    );
  return {
    match: matchRequest({ swarms, policy, clock, catchUp: async () => await core.catchUp(swarmMachine.kind) }),
    report: operation(
      { swarm_id: swarmId.optional(), limit: limit.optional(), cursor: cursor.optional() },
      async ({ caller, body }) => {
        const isOperator = caller === operatorId;
        if (isOperator && body.swarm_id === undefined) return await reports.all(body);
        ownOnly(caller, body.swarm_id);
        return await reports.one(body.swarm_id ?? caller, { withFleet: isOperator });
      },
    ),
    track_cost: operation(
      {
        swarm_id: swarmId.optional(),
        operation: name,
        cost_usd: usd,
        trace_id: id.optional(),
        tokens_in: fromZero('a number of tokens').optional(),
        tokens_out: fromZero('a number of tokens').optional(),
        model: name.optional(),
      },
      async ({ caller, body: { swarm_id, tokens_in, tokens_out, model, ...charge } }) => {
        ownOnly(caller, swarm_id);
        const told = { tokens_in, tokens_out, model };
        const given = Object.fromEntries(Object.entries(told).filter(([, value]) => value !== undefined));
        return await budgets.charge(caller, { ...charge, ...given });
      },
    ),
    grant: operation(
      { swarm_id: anySwarmId, capabilities: names.min(1, 'must name at least one capability') },
      async ({ caller, body }) => await controls.grant(caller, body.swarm_id, body.capabilities),
      'operator',
    ),
    revoke: operation(
      { swarm_id: swarmId, capabilities: names.min(1, 'must name at least one capability') },
      async ({ caller, body }) => await controls.revoke(caller, body.swarm_id, body.capabilities),
      'operator',
    ),
    allocate_budget: operation(
      {
        swarm_id: anySwarmId.optional(),
        fabric: whole.optional(),
        budget_usd: usd.nullable(),
        per_hour_usd: orNone,
        per_day_usd: orNone,
        reason: sentence.optional(),
      },
      async ({ caller, body: { swarm_id, fabric, reason, budget_usd, ...limits } }) => {
        const target = targetOf(swarm_id, { fabric });
        if (target === undefined) return await budgets.allocateFleet(caller, { budget_usd, ...limits }, reason);
        if (budget_usd !== null)
          return await budgets.allocate(caller, { swarm_id: target, budget_usd, ...limits }, reason);
        const message = 'budget_usd: null is for fabric: true; a swarm has a budget, if only of 0';
        throw new FabricError('INVALID_REQUEST', message, { field: 'budget_usd' });
      },
      'operator',
    ),
    reset_circuit: operation(
      { swarm_id: swarmId, reason: sentence.optional() },
      async ({ caller, body }) => await controls.resetCircuit(caller, body.swarm_id, body.reason),
      'operator',
    ),
    pause: pausing('pause'),
    drain: pausing('drain'),
    resume: operation(
      { swarm_id: swarmId.optional(), all: whole.optional() },
      async ({ caller, body: { swarm_id, all } }) => {
        const target = targetOf(swarm_id, { all });
        return target === undefined ? await fleetControls.resume(caller) : await controls.resume(caller, target);
      },
      'operator',
    ),
  };
}

/** The swarm that is named; undefined for all of them together. Exactly one of both is asked for. */
function targetOf(
  swarm_id: string | undefined,
  together: Readonly<Record<string, true | undefined>>,
): string | undefined {
  const [[word, isTogether]] = Object.entries(together) as [[string, true | undefined]];
  if ((swarm_id === undefined) === (isTogether === true)) return swarm_id;
  throw new FabricError('INVALID_REQUEST', `name either swarm_id or ${word}: true, and not both`, {
    field: 'swarm_id',
  });
}

function ownOnly(caller: string, named: string | undefined): void {
  if (caller === operatorId || named === undefined || named === caller) return;
  throw new FabricError('UNAUTHORIZED', `swarm_id: ${named} is not the caller ${caller}; leave it out`);
}
