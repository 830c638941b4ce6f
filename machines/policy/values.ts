/**
 * The values by which the governor decides: what each means, what it is when nobody says otherwise, and which are
 * possible. A decision that depends on one carries it in its event, so that it stays decidable later.
 */
import { isUsd } from '../money.ts';
import type { Json } from '../record.ts';

/** What policy can make wait for a person. */
export const approvableActions = ['reset_circuit', 'raise_budget'] as const;

export type ApprovableAction = (typeof approvableActions)[number];

/** Money is US dollars, times are milliseconds. */
export interface GovernorPolicy {
  /** How many swarms work on one task at most, the blocked one included. */
  max_swarms_per_task: number;
  /** A task that is estimated higher is refused at its creation. */
  max_cost_per_task: number;
  /** The part of what is required that a swarm must be able to do, from 0 to 1. */
  min_capability_match: number;
  /** The most that a swarm may cost per hour where a request names no limit; null: any price. */
  max_cost_per_hour: number | null;
  /** How many failures in a row open the circuit of a swarm. */
  circuit_breaker_failure_threshold: number;
  /** After this time a circuit that failures opened closes for one trial; null: only an operator closes it. */
  circuit_breaker_cooldown_ms: number | null;
  /** What becomes of the tasks of a swarm whose circuit opens. */
  open_circuit_tasks: 'keep' | 'return';
  /** Whether tasks that say nothing of it are assigned to the best swarm. */
  assign_tasks: boolean;
  /** How long a task is kept for the swarm that it is assigned to, and at first for the assignment itself. */
  assign_timeout_ms: number;
  /** How long a swarm that is asked for help has to answer. */
  help_timeout_ms: number;
  /** A blocker without progress for this long goes to a person; null: never for that reason. */
  blocker_escalation_ms: number | null;
  /** In this time a reputation comes half the way back to the middle; null: it never does. */
  reputation_half_life_ms: number | null;
  /** What waits for the approval of a person. */
  approvals_required: readonly ApprovableAction[];
  /** How long an approval can be given. */
  approval_expiry_ms: number;
}

export const defaultPolicy: GovernorPolicy = {
  max_swarms_per_task: 3,
  max_cost_per_task: 10,
  min_capability_match: 0.7,
  max_cost_per_hour: null,
  circuit_breaker_failure_threshold: 3,
  circuit_breaker_cooldown_ms: null,
  open_circuit_tasks: 'keep',
  assign_tasks: false,
  assign_timeout_ms: 5_000,
  help_timeout_ms: 30_000,
  blocker_escalation_ms: 600_000,
  reputation_half_life_ms: 2_592_000_000,
  approvals_required: [],
  approval_expiry_ms: 3_600_000,
};

/** The longest time that a policy can name: a hundred years in milliseconds. */
export const maxPolicyMs = 3_155_760_000_000;

type Check = { readonly allowed: string; holds(value: unknown): boolean };

const count: Check = {
  allowed: 'a whole number from 1',
  holds: (value) => Number.isSafeInteger(value) && Number(value) >= 1,
};
const usd: Check = { allowed: 'dollars from 0 with at most six decimals', holds: isUsd };
const milliseconds: Check = {
  allowed: `whole milliseconds from 1 to ${maxPolicyMs}`,
  holds: (value) => Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= maxPolicyMs,
};
const orNull = ({ allowed, holds }: Check): Check => ({
  allowed: `${allowed}, or null`,
  holds: (value) => value === null || holds(value),
});

const checks: { readonly [Field in keyof GovernorPolicy]: Check } = {
  max_swarms_per_task: count,
  max_cost_per_task: usd,
  min_capability_match: {
    allowed: 'a number from 0 to 1',
    holds: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  },
  max_cost_per_hour: orNull(usd),
  circuit_breaker_failure_threshold: count,
  circuit_breaker_cooldown_ms: orNull(milliseconds),
  open_circuit_tasks: { allowed: 'keep or return', holds: (value) => value === 'keep' || value === 'return' },
  assign_tasks: { allowed: 'true or false', holds: (value) => typeof value === 'boolean' },
  assign_timeout_ms: milliseconds,
  help_timeout_ms: milliseconds,
  blocker_escalation_ms: orNull(milliseconds),
  reputation_half_life_ms: orNull(milliseconds),
  approvals_required: {
    allowed: `a list of ${approvableActions.join(' and ')}`,
    holds: (value) => Array.isArray(value) && value.every((name) => approvableActions.includes(name)),
  },
  approval_expiry_ms: milliseconds,
};

/** The names of all values, in the order in which they are shown. */
export const policyFields = Object.keys(checks) as readonly (keyof GovernorPolicy)[];

/** The first value that no policy may have, with what is allowed; undefined for a policy that is whole. */
export function invalidPolicy(
  policy: unknown,
): { field: string; value: Json | undefined; allowed: string } | undefined {
  const values = (typeof policy === 'object' && policy !== null ? policy : {}) as Record<string, Json>;
  for (const field of policyFields) {
    const { allowed, holds } = checks[field];
    if (!holds(values[field])) return { field, value: values[field], allowed };
  }
  return undefined;
}
