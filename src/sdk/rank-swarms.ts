/** The choice that the governor makes, as a function: for programs that choose among swarms by themselves. */
import {
  type Candidate,
  explainMatchRequest,
  type MatchFactors,
  type MatchRequest,
  type MatchRules,
} from '../../machines/governance/matching.ts';
import { rankSwarms as rank } from '../../machines/governance/rank-swarms.ts';
import { FabricError } from '../errors.ts';

/**
 * The candidates that qualify, the best first, with every factor of the choice; the same candidates in any order give the
 * same list. The score is match x reputation / cost_per_hour; a free swarm ranks before every priced one, ties go by id.
 * @throws FabricError INVALID_REQUEST for an empty `requires` without `unrestricted`, and for amounts that are none
 */
export function rankSwarms(
  candidates: Iterable<Candidate>,
  request: MatchRequest,
  rules: MatchRules,
): readonly MatchFactors[] {
  const refusal = explainMatchRequest(request);
  if (refusal) throw FabricError.refused(refusal);
  return rank(candidates, request, rules);
}
