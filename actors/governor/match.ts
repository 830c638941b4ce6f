/** The request `governor.match`: which swarms qualify for some work, the best first, with what each was chosen by. */
import { explainMatchRequest, type MatchFactors } from '../../machines/governance/matching.ts';
import { type Operation, operation } from '../../src/bus/operation.ts';
import { FabricError } from '../../src/errors.ts';
import { limit, names, usd } from '../coordinator/fields.ts';
import { fittingSwarms } from '../swarm-index/fitting-swarms.ts';
import type { GovernorParts } from './part.ts';

export interface MatchParts extends Pick<GovernorParts, 'swarms' | 'policy' | 'clock'> {
  /** Resolves when every swarm's record that was committed before is known. @throws FabricError UNAVAILABLE */
  readonly catchUp: () => Promise<void>;
}

const defaultLimit = 100;

/**
 * For swarms and operators. `max_cost` is dollars per hour, `cost_estimate` dollars that have to remain; `limit` is 1 to
 * 1,000, default 100, and less where so many would not fit into a message. The result is the list itself, empty when
 * nobody qualifies.
 */
export function matchRequest({ swarms, policy, clock, catchUp }: MatchParts): Operation {
  return operation(
    { requires: names, max_cost: usd.nullable().optional(), cost_estimate: usd.optional(), limit: limit.optional() },
    async ({ body: { limit = defaultLimit, ...request } }): Promise<readonly MatchFactors[]> => {
      // Before anything is waited for: what can never be answered is refused at once.
      const refusal = explainMatchRequest(request);
      if (refusal) throw FabricError.refused(refusal);
      await catchUp();
      const { min_capability_match, max_cost_per_hour, reputation_half_life_ms } = policy.current;
      return swarms.match(request, {
        min_capability_match,
        max_cost_per_hour,
        half_life_ms: reputation_half_life_ms,
        now: clock.now(),
        limit: Math.min(limit, fittingSwarms(request.requires)),
      });
    },
  );
}
