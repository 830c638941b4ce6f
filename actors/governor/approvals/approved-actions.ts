/** What is done when a person approves of what an operator asked for: a raised budget, a circuit that is reset. */
import { FabricError } from '../../../src/errors.ts';
import { type FleetAllocation, planAllocation, planFleetAllocation, raises, type SwarmAllocation } from '../budgets.ts';
import { seeFleet } from '../fleet-controls.ts';
import { seeSwarm } from '../swarm-changes.ts';
import { planReset } from '../swarm-controls.ts';
import type { Approvals } from './approvals.ts';

/** From then on `approvals` does these actions in the commit of their approval. */
export function doApprovedActions(approvals: Approvals): void {
  approvals.on('raise_budget', async (view, { request, asked_by }) => {
    const allocation = request as unknown as SwarmAllocation | FleetAllocation;
    const ofSwarm = 'swarm_id' in allocation;
    const { budget } = ofSwarm ? (await seeSwarm(view, allocation.swarm_id)).context : await seeFleet(view);
    // Nobody approved of less, which is what it would be by now.
    if (!raises(budget, allocation.budget_usd, allocation))
      throw new FabricError(
        'CONFLICT',
        'this would raise nothing any more; reject it, and allocate what is wanted now',
      );
    return ofSwarm ? await planAllocation(view, allocation) : await planFleetAllocation(view, asked_by, allocation);
  });
  approvals.on('reset_circuit', async (view, { request }) => {
    return await planReset(view, (request as unknown as { swarm_id: string }).swarm_id);
  });
}
