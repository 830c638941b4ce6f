/**
 * Whether a claim of a task by a swarm would be accepted now, and else the first rule that would refuse it. The rules are
 * those of the machines that decide about a claim, asked in the order in which the claim asks them.
 */
import { unreserve } from '../../../machines/budget.ts';
import { absentFleet } from '../../../machines/fleet/context.ts';
import { fleetMachine } from '../../../machines/fleet/machine.ts';
import type { MatchRule } from '../../../machines/governance/matching.ts';
import type { Refusal } from '../../../machines/machine.ts';
import { firstRefusal } from '../../../machines/rules.ts';
import type { SwarmContext } from '../../../machines/swarm/context.ts';
import { swarmMachine } from '../../../machines/swarm/machine.ts';
import { notKeptForAnother } from '../../../machines/task/assignment.ts';
import type { TaskContext, TaskState } from '../../../machines/task/context.ts';
import { explainFitness } from '../../../machines/task/rules.ts';
import { maxEpoch } from '../../../machines/token.ts';
import type { FleetKnown } from '../../fleet-known.ts';
import type { KnownSwarm } from '../../swarm-index/known-swarm.ts';
import { factsOf, keyOf, reservationFor } from '../tasks/task-plan.ts';

/** What excludes a swarm from a task: a rule of matching, or one that only claims have. */
export type ClaimRule = MatchRule | 'fabric_open' | 'assignment' | 'fabric_budget';

export interface ClaimRefusal extends Refusal {
  readonly rule: ClaimRule;
}

export interface ClaimQuestion {
  readonly task_id: string;
  readonly state: TaskState;
  readonly task: TaskContext;
  readonly fleet: Pick<FleetKnown, 'paused' | 'budget'>;
  readonly min_capability_match: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** Which rule each code of a refusal by a swarm's facts stands for. */
const rulesByCode: Partial<Record<Refusal['code'], ClaimRule>> = {
  SWARM_NOT_FOUND: 'registered',
  SWARM_OFFLINE: 'online',
  CIRCUIT_OPEN: 'circuit_closed',
  CAPABILITY_MISSING: 'capability_match',
  BUDGET_EXHAUSTED: 'budget',
  CAPACITY_EXCEEDED: 'free_slot',
};

/** Undefined when the swarm qualifies. What it holds for this task already it does not need a second time. */
export function claimRefusal(question: ClaimQuestion, known: KnownSwarm): ClaimRefusal | undefined {
  const { task_id, state, task, fleet, min_capability_match, at } = question;
  if (fleet.paused !== null) return fabricPaused(fleet.paused);
  const { swarm_id, state: value } = known;
  const key = keyOf(task_id);
  const context = without(known.context, key);
  const snapshot = { status: 'active' as const, value, context };
  const ref = { kind: swarmMachine.kind, id: swarm_id };
  const amount_usd = reservationFor(task, context);
  const claim = {
    type: 'CLAIM' as const,
    at,
    owner: swarm_id,
    // Which epoch it is has nothing to do with the swarm.
    epoch: maxEpoch,
    swarm: factsOf({ ref, revision: known.revision, n: 0, snapshot, last: undefined }),
    min_capability_match,
    reserve_usd: amount_usd,
  };
  const kept = state === 'available' ? firstRefusal([notKeptForAnother], task, claim) : undefined;
  if (kept) return { ...kept, rule: 'assignment' };
  const refusal =
    explainFitness(task, claim) ??
    (amount_usd === null
      ? undefined
      : swarmMachine.explain(snapshot, { type: 'RESERVE', at, key, token: null, amount_usd }));
  if (refusal) return { ...refusal, rule: rulesByCode[refusal.code] ?? 'request' };
  return fabricRefusal(question, swarm_id, amount_usd ?? 0);
}

function fabricPaused({ by, reason }: NonNullable<FleetKnown['paused']>): ClaimRefusal {
  const why = reason === null ? '' : ` (${reason})`;
  const message = `the whole fabric is paused by ${by}${why}; an operator can resume it`;
  return { code: 'CIRCUIT_OPEN', message, rule: 'fabric_open' };
}

/** Whether the fabric-wide budget, where there is one, covers the claim. */
function fabricRefusal(
  { task_id, task, fleet, at }: ClaimQuestion,
  swarm_id: string,
  amount_usd: number,
): ClaimRefusal | undefined {
  if (fleet.budget === null || amount_usd === 0) return undefined;
  const budget = unreserve(fleet.budget, task.fleet_reserved_usd ?? 0);
  const snapshot = { status: 'active' as const, value: 'open', context: { ...absentFleet, budget } };
  const refusal = fleetMachine.explain(snapshot, { type: 'RESERVE', at, swarm_id, task_id, amount_usd });
  return refusal && { ...refusal, rule: 'fabric_budget' };
}

/** The swarm without what it holds for this task already. */
function without(swarm: SwarmContext, key: string): SwarmContext {
  if (!Object.hasOwn(swarm.reservations, key)) return swarm;
  const { [key]: reservation, ...reservations } = swarm.reservations;
  return { ...swarm, reservations, budget: unreserve(swarm.budget, reservation?.amount_usd ?? 0) };
}
