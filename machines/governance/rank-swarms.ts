/** The swarms that qualify for some work, the best first. Pure: the same swarms in any order give the same list. */
import {
  type Candidate,
  judgeFor,
  type MatchFactors,
  type MatchRequest,
  type MatchRules,
  wantedBy,
} from './matching.ts';
import { compareStandings, meritOf } from './ranking.ts';

/**
 * Ranks those of the candidates that qualify. For a request that `explainMatchRequest` refuses nobody qualifies. Where two
 * candidates have the same id, both are listed.
 */
export function rankSwarms(
  candidates: Iterable<Candidate>,
  request: MatchRequest,
  rules: MatchRules,
): readonly MatchFactors[] {
  const wanted = wantedBy(request, rules);
  const standings = [];
  for (const candidate of candidates) {
    const { qualifies, factors } = judgeFor(candidate, wanted);
    if (!qualifies) continue;
    const { swarm_id, cost_per_hour, matched } = factors;
    const merit = meritOf(candidate, matched.length, wanted.requires.length);
    standings.push({ swarm_id, free: cost_per_hour === 0, merit, factors });
  }
  return standings.sort(compareStandings).map(({ factors }) => factors);
}
