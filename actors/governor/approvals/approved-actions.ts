/** What is done when a person approves of what an operator asked for: a raised budget, a circuit that is reset. */
import { type FleetAllocation, planAllocation, planFleetAllocation, type SwarmAllocation } from '../budgets.ts';
import { planReset } from '../swarm-controls.ts';
import type { Approvals } from './approvals.ts';

/** From then on `approvals` does these actions in the commit of their approval. */
export function doApprovedActions(approvals: Approvals): void {
  approvals.on('raise_budget', async (view, { request, asked_by }) => {
    const allocation = request as unknown as SwarmAllocation | FleetAllocation;
    if ('swarm_id' in allocation) return await planAllocation(view, allocation);
    return await planFleetAllocation(view, asked_by, allocation);
  });
  approvals.on('reset_circuit', async (view, { request }) => {
    return await planReset(view, (request as unknown as { swarm_id: string }).swarm_id);
  });
}
