/**
 * Which swarms qualify for some work, and by which rule one does not. The rules are a table, asked in its order; the
 * same table decides, explains and serves the index, so that they cannot disagree.
 */

import { missingCapabilities } from '../capability.ts';
import type { Code } from '../codes.ts';
import { distinct } from '../equality.ts';
import type { Refusal } from '../machine.ts';
import { isUsd } from '../money.ts';
import { openCircuit } from '../swarm/circuit-advice.ts';
import type { CircuitState, LivenessState, RegistrationState } from '../swarm/context.ts';
import { combinedScore } from './ranking.ts';

/** What the rules ask of a swarm besides its capabilities, at one moment. */
export interface CandidateFacts {
  readonly swarm_id: string;
  readonly registration: RegistrationState;
  readonly liveness: LivenessState;
  readonly circuit: CircuitState;
  readonly circuit_reasons: readonly string[];
  /** US dollars; 0 for a free swarm. */
  readonly cost_per_hour: number;
  /** 0 to 1 with at most six decimals, as it is at that moment. */
  readonly reputation: number;
  readonly allocated_usd: number;
  /** What may be reserved at that moment. */
  readonly remaining_usd: number;
  /** How many tasks more it may own; null: any number. */
  readonly free_slots: number | null;
}

export interface Candidate extends CandidateFacts {
  /** What it can do: declared and granted. */
  readonly capabilities: readonly string[];
}

/** What is looked for. */
export interface MatchRequest {
  /** Capabilities; one that is named twice counts once. None at all is refused, unless `unrestricted` is set. */
  readonly requires: readonly string[];
  /** `requires` may be empty: any able swarm is a full match. Default false. */
  readonly unrestricted?: boolean | undefined;
  /** The most that a swarm may cost, dollars per hour; null or absent: as the policy says. */
  readonly max_cost?: number | null | undefined;
  /** What the work is estimated at, dollars; it has to remain in the budget. Default 0: unpriced. */
  readonly cost_estimate?: number | undefined;
  /** Ids of swarms that are not asked, such as the one that is blocked. */
  readonly exclude?: readonly string[] | undefined;
  /** Only swarms that may own one task more. Default false. */
  readonly free_slot?: boolean | undefined;
}

/** The part of the policy that matching follows. */
export interface MatchRules {
  /** The least share of what is required, 0 to 1; exactly that much passes. */
  readonly min_capability_match: number;
  /** The most that a swarm may cost where the request names no limit, dollars per hour; null or absent: any price. */
  readonly max_cost_per_hour?: number | null | undefined;
}

/** What a choice was made by. */
export interface MatchFactors {
  readonly swarm_id: string;
  /** The share of what is required that is there, 0 to 1. */
  readonly match_score: number;
  /** match_score x reputation / cost_per_hour; null for a free swarm, which ranks before every priced one. */
  readonly combined_score: number | null;
  readonly reputation: number;
  readonly cost_per_hour: number;
  /** What is required and there, and what is not, in the order of `requires`. */
  readonly matched: readonly string[];
  readonly missing: readonly string[];
  readonly remaining_usd: number;
  /** null: any number. */
  readonly free_slots: number | null;
}

export type MatchRule =
  | 'request'
  | 'excluded'
  | 'registered'
  | 'online'
  | 'circuit_closed'
  | 'capability_match'
  | 'cost_per_hour'
  | 'budget'
  | 'free_slot';

export type Judgement =
  | { readonly qualifies: true; readonly factors: MatchFactors }
  | {
      readonly qualifies: false;
      /** The first rule that the swarm does not meet. */
      readonly rule: MatchRule;
      readonly code: Code;
      readonly reason: string;
      readonly factors: MatchFactors;
    };

/** A request and the policy, made ready to be asked of many swarms. */
export interface Wanted {
  readonly requires: readonly string[];
  /** How many of `requires` a swarm needs; more than there are when no number is enough. */
  readonly needed: number;
  readonly min_capability_match: number;
  /** Dollars per hour; infinite without a limit. */
  readonly max_cost: number;
  readonly cost_estimate: number;
  readonly excluded: ReadonlySet<string>;
  readonly free_slot: boolean;
  /** Why the request itself is refused. */
  readonly refusal: Refusal | undefined;
}

interface QualifyingRule {
  readonly rule: MatchRule;
  readonly code: Code;
  /** `matched` is how many of what is required is there. */
  broken(swarm: CandidateFacts, matched: number, wanted: Wanted): boolean;
  reason(swarm: Candidate, matched: number, wanted: Wanted): string;
}

const table: readonly QualifyingRule[] = [
  {
    rule: 'request',
    code: 'INVALID_REQUEST',
    broken: (_, __, wanted) => wanted.refusal !== undefined,
    reason: (_, __, wanted) => wanted.refusal?.message ?? '',
  },
  {
    rule: 'excluded',
    code: 'POLICY_VIOLATION',
    broken: ({ swarm_id }, _, { excluded }) => excluded.size > 0 && excluded.has(swarm_id),
    reason: ({ swarm_id }) =>
      `swarm ${swarm_id} is not asked: the request leaves it out, as it does a swarm that is blocked`,
  },
  {
    rule: 'registered',
    code: 'SWARM_NOT_FOUND',
    broken: ({ registration }) => registration !== 'registered',
    reason: ({ swarm_id, registration }) => `swarm ${swarm_id} is ${registration}, not registered; register it first`,
  },
  {
    rule: 'online',
    code: 'SWARM_OFFLINE',
    broken: ({ liveness }) => liveness !== 'online',
    reason: ({ swarm_id }) => `swarm ${swarm_id} is offline; a heartbeat brings it back`,
  },
  {
    rule: 'circuit_closed',
    code: 'CIRCUIT_OPEN',
    broken: ({ circuit }) => circuit !== 'closed',
    reason: ({ swarm_id, circuit_reasons }) => `the circuit of swarm ${swarm_id} is ${openCircuit(circuit_reasons)}`,
  },
  {
    rule: 'capability_match',
    code: 'CAPABILITY_MISSING',
    broken: (_, matched, { needed }) => matched < needed,
    reason: ({ swarm_id, capabilities }, matched, { requires, min_capability_match }) =>
      `swarm ${swarm_id} lacks ${missingCapabilities(capabilities, requires).join(', ')}: it matches ` +
      `${share(matched, requires.length)} of what is required, at least ${min_capability_match} is asked`,
  },
  {
    rule: 'cost_per_hour',
    code: 'POLICY_VIOLATION',
    broken: ({ cost_per_hour }, _, { max_cost }) => cost_per_hour > max_cost,
    reason: ({ swarm_id, cost_per_hour }, _, { max_cost }) =>
      `swarm ${swarm_id} costs ${cost_per_hour} dollars per hour; at most ${max_cost} is allowed`,
  },
  {
    rule: 'budget',
    code: 'BUDGET_EXHAUSTED',
    broken: ({ allocated_usd, remaining_usd }, _, { cost_estimate }) =>
      cost_estimate > remaining_usd || (allocated_usd > 0 && remaining_usd <= 0),
    reason: ({ swarm_id, allocated_usd, remaining_usd }, _, { cost_estimate }) =>
      allocated_usd === 0
        ? `swarm ${swarm_id} has no budget, and ${cost_estimate} dollars are asked; an operator can allocate one`
        : `${remaining_usd} of the ${allocated_usd} dollars of swarm ${swarm_id} remain` +
          `${cost_estimate > 0 ? `, and ${cost_estimate} are asked` : ''}; an operator can allocate more`,
  },
  {
    rule: 'free_slot',
    code: 'CAPACITY_EXCEEDED',
    broken: ({ free_slots }, _, { free_slot }) => free_slot && free_slots !== null && free_slots <= 0,
    reason: ({ swarm_id }) => `swarm ${swarm_id} owns as many tasks as it may; it can complete or release one`,
  },
];

/** Why a request is refused whoever is asked; undefined when it is valid. */
export function explainMatchRequest(request: MatchRequest): Refusal | undefined {
  const { requires, unrestricted, max_cost, cost_estimate } = request;
  if (requires.length === 0 && !unrestricted) {
    return {
      code: 'INVALID_REQUEST',
      message: 'requires is empty; name at least one capability that the work needs',
      details: { field: 'requires' },
    };
  }
  for (const [field, value] of Object.entries({ max_cost, cost_estimate })) {
    if (value == null || isUsd(value)) continue;
    const message = `${field} is ${String(value)}; allowed: dollars from 0 with at most six decimals`;
    return { code: 'INVALID_REQUEST', message, details: { field } };
  }
  return undefined;
}

/** Makes a request ready to be asked of many swarms. */
export function wantedBy(request: MatchRequest, rules: MatchRules): Wanted {
  const requires = distinct(request.requires);
  const { min_capability_match } = rules;
  return {
    requires,
    needed: fewestThatPass(requires.length, min_capability_match),
    min_capability_match,
    max_cost: request.max_cost ?? rules.max_cost_per_hour ?? Number.POSITIVE_INFINITY,
    cost_estimate: request.cost_estimate ?? 0,
    excluded: new Set(request.exclude),
    free_slot: request.free_slot ?? false,
    refusal: explainMatchRequest(request),
  };
}

/** Whether no rule excludes a swarm that has `matched` of what is required. */
export function meets(swarm: CandidateFacts, matched: number, wanted: Wanted): boolean {
  for (const { broken } of table) if (broken(swarm, matched, wanted)) return false;
  return true;
}

/** Whether a swarm qualifies, by what it would be chosen, and else the first rule that excludes it. Pure. */
export function judge(candidate: Candidate, request: MatchRequest, rules: MatchRules): Judgement {
  return judgeFor(candidate, wantedBy(request, rules));
}

/** As `judge`, for a request that was made ready. */
export function judgeFor(candidate: Candidate, wanted: Wanted): Judgement {
  const factors = factorsOf(candidate, wanted);
  const matched = factors.matched.length;
  const broken = table.find((rule) => rule.broken(candidate, matched, wanted));
  if (!broken) return { qualifies: true, factors };
  const { rule, code } = broken;
  return { qualifies: false, rule, code, reason: broken.reason(candidate, matched, wanted), factors };
}

/** What a swarm would be chosen by, whether it qualifies or not. */
export function factorsOf(candidate: Candidate, { requires }: Wanted): MatchFactors {
  const { swarm_id, capabilities, reputation, cost_per_hour, remaining_usd, free_slots } = candidate;
  const missing = missingCapabilities(capabilities, requires);
  const matched = requires.filter((name) => !missing.includes(name));
  return {
    swarm_id,
    match_score: share(matched.length, requires.length),
    combined_score: combinedScore(candidate, matched.length, requires.length),
    reputation,
    cost_per_hour,
    matched,
    missing,
    remaining_usd,
    free_slots,
  };
}

/** A share of what is required; the quotient of whole numbers is the double nearest to it, so that 7 of 10 is 0.7. */
function share(matched: number, required: number): number {
  return required === 0 ? 1 : matched / required;
}

function fewestThatPass(required: number, least: number): number {
  if (required === 0) return share(0, 0) >= least ? 0 : 1;
  let count = 0;
  while (count <= required && !(share(count, required) >= least)) count++;
  return count;
}
