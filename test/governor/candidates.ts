/** Swarms as matching sees them: able, with a budget, and with whatever a test says of them. */
import type { Candidate } from '../../machines/governance/matching.ts';

export const capabilities = Array.from({ length: 10 }, (_, i) => `testing:c${i}`);

/** Online, closed, costs a dollar per hour, trusted half, without a budget. */
export function candidate(facts: Partial<Candidate> = {}): Candidate {
  return {
    swarm_id: 'a',
    registration: 'registered',
    liveness: 'online',
    circuit: 'closed',
    circuit_reasons: [],
    capabilities,
    cost_per_hour: 1,
    reputation: 0.5,
    allocated_usd: 0,
    remaining_usd: 0,
    free_slots: null,
    ...facts,
  };
}
