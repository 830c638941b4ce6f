/** Whom a task is assigned to next, by what, and why: the best that qualifies, can take one more, and was not asked yet. */
import type { MatchFactors, MatchRequest } from '../../../machines/governance/matching.ts';
import type { GovernorPolicy } from '../../../machines/policy/values.ts';
import type { SwarmState } from '../../../machines/swarm/context.ts';
import { maxAsked, type TaskContext } from '../../../machines/task/context.ts';
import type { AssignTask, PassedOver, PassingOver } from '../../../machines/task/events.ts';
import type { SwarmIndex } from '../../swarm-index/swarm-index.ts';

export type Assigning = Omit<AssignTask, 'at'>;

export interface ChoiceParts {
  readonly swarms: Pick<SwarmIndex, 'match'>;
  readonly policy: GovernorPolicy;
  /** How many tasks a swarm was offered besides and has not claimed. */
  readonly offeredTo: (swarm_id: string) => number;
  /** For whom it is kept, where that swarm cannot claim it any more before its time is over. */
  readonly passedOver?: PassedOver | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** So many of the best are looked at first, then all. */
const lookedAtFirst = 16;

export function chooseSwarm(task: TaskContext, parts: ChoiceParts): Assigning {
  const { policy, now, passedOver } = parts;
  const over = passedOver ? { passed_over: passedOver } : {};
  const asked = task.assignment?.asked ?? [];
  const best = asked.length < maxAsked ? bestOf(task, parts) : undefined;
  if (!best) return { type: 'ASSIGN', to: null, until: now, reason: whyNobody(asked.length, passedOver), ...over };
  const { swarm_id, match_score, combined_score } = best;
  return {
    type: 'ASSIGN',
    to: swarm_id,
    until: now + (task.assign_timeout_ms ?? policy.assign_timeout_ms),
    match_score,
    combined_score,
    reason: `${rankOf(asked.at(-1)?.swarm_id, passedOver)}: ${factsOf(best)}`,
    ...over,
  };
}

/** Why a swarm cannot claim what is kept for it; undefined where it can, as far as the swarm itself goes. */
export function cannotClaim({ registration, liveness, circuit }: SwarmState): PassingOver | undefined {
  if (registration !== 'registered') return 'unregistered';
  if (liveness !== 'online') return 'offline';
  return circuit === 'closed' ? undefined : 'circuit_open';
}

/** What the swarm has to be, as matching asks it. */
export function requestOf(task: TaskContext): MatchRequest {
  return {
    requires: task.requires,
    unrestricted: true,
    cost_estimate: task.cost_estimate ?? 0,
    exclude: (task.assignment?.asked ?? []).map(({ swarm_id }) => swarm_id),
    free_slot: true,
  };
}

function bestOf(task: TaskContext, { swarms, policy, offeredTo, now }: ChoiceParts): MatchFactors | undefined {
  const { min_capability_match, max_cost_per_hour, reputation_half_life_ms: half_life_ms } = policy;
  const options = { min_capability_match, max_cost_per_hour, half_life_ms, now };
  const request = requestOf(task);
  const hasRoom = ({ swarm_id, free_slots }: MatchFactors) => free_slots === null || free_slots > offeredTo(swarm_id);
  const first = swarms.match(request, { ...options, limit: lookedAtFirst });
  const found = first.find(hasRoom);
  if (found || first.length < lookedAtFirst) return found;
  return swarms.match(request, options).find(hasRoom);
}

function rankOf(last: string | undefined, passedOver: PassedOver | undefined): string {
  if (last === undefined) return 'the best';
  return `the next best after ${last}${passedOver ? `, which ${cannot[passedOver.why]}` : ''}`;
}

const cannot: Readonly<Record<PassingOver, string>> = {
  unregistered: 'has unregistered',
  offline: 'is offline',
  circuit_open: 'has an open circuit',
};

function factsOf({ match_score, reputation, cost_per_hour, combined_score }: MatchFactors): string {
  const price =
    combined_score === null ? 'free' : `${cost_per_hour} dollars per hour, combined score ${short(combined_score)}`;
  return `match ${short(match_score)}, reputation ${short(reputation)}, ${price}`;
}

function short(value: number): string {
  return String(Number(value.toPrecision(6)));
}

function whyNobody(asked: number, passedOver: PassedOver | undefined): string {
  if (asked >= maxAsked) return `open to all: none of the ${asked} swarms that were asked claimed it in time`;
  if (asked === 0) return 'open to all: no swarm qualifies and can take one more';
  if (passedOver)
    return `open to all: ${passedOver.swarm_id} ${cannot[passedOver.why]}, and no other qualifies and can take one more`;
  const swarms =
    asked === 1
      ? 'the one swarm that was asked did not claim it'
      : `none of the ${asked} swarms that were asked claimed it`;
  return `open to all: ${swarms} in time, and no other qualifies and can take one more`;
}
