/**
 * Who is asked to help with a blocker, and when a person is. The same choice is made in the commit of the report and
 * whenever something has changed since: it looks only at what is on record, the policy and the time, so that whoever makes
 * it comes to the same, and making it again after it was committed changes nothing.
 */
import {
  absentBlocker,
  type BlockerContext,
  type BlockerState,
  type Helper,
  joinedHelpers,
  type Severity,
} from '../../../machines/blocker/context.ts';
import type { EscalateBlocker, InviteHelpers } from '../../../machines/blocker/events.ts';
import { distinct } from '../../../machines/equality.ts';
import type { MatchFactors } from '../../../machines/governance/matching.ts';
import type { GovernorPolicy } from '../../../machines/policy/values.ts';
import type { PolicyKnown } from '../../policy-known.ts';
import type { SwarmIndex } from '../../swarm-index/swarm-index.ts';

export interface HelperSource {
  readonly swarms: SwarmIndex;
  /** The policy in force, whenever it is asked. */
  readonly policy: PolicyKnown;
}

/** A blocker as it is on record. */
export interface SeenBlocker {
  readonly state: BlockerState;
  readonly context: BlockerContext;
}

export type HelpEvent = Omit<InviteHelpers, 'at' | 'id'> | Omit<EscalateBlocker, 'at' | 'id'>;

/** How many are asked for one blocker in all; then a person has to find a way. */
export const mostAsked = 100;

/** Whoever was asked and has neither answered nor run out of time. */
export function isAwaited({ answer, answer_by }: Helper, now: number): boolean {
  return answer === 'invited' && (answer_by === null || now < answer_by);
}

/** Whose time to answer is over. */
export function lapsedHelpers({ helpers }: BlockerContext, now: number): string[] {
  return helpers
    .filter(({ answer, answer_by }) => answer === 'invited' && answer_by !== null && answer_by <= now)
    .map(({ swarm_id }) => swarm_id);
}

/** How many swarms more may be asked at a time: one task has a limited number of swarms, of which one is the blocked one. */
export function openPlaces(context: BlockerContext, { swarms, policy }: HelperSource, now: number): number {
  const taken = context.helpers.filter((helper) => isCountedOn(helper, swarms, now)).length;
  return Math.min(policy.current.max_swarms_per_task - 1 - taken, mostAsked - context.helpers.length);
}

/** Whether a swarm that was asked helps, or may yet: one that is gone does not, though it may come back and go on. */
function isCountedOn(helper: Helper, swarms: SwarmIndex, now: number): boolean {
  return (helper.answer === 'joined' || isAwaited(helper, now)) && !isGone(helper.swarm_id, swarms);
}

function isGone(swarm_id: string, swarms: SwarmIndex): boolean {
  const state = swarms.get(swarm_id)?.state;
  return state !== undefined && (state.registration !== 'registered' || state.liveness !== 'online');
}

/** From when on a blocker without further progress goes to a person; undefined: not for that reason. */
export function stuckFrom({ state, context }: SeenBlocker, policy: GovernorPolicy): number | undefined {
  const after = policy.blocker_escalation_ms;
  const isOpen = state === 'reported' || state === 'helping';
  return isOpen && after !== null ? context.progress_at + after : undefined;
}

/** Whether something is due that has nothing to do with which swarms there are. */
export function isDue(blocker: SeenBlocker, policy: GovernorPolicy, now: number): boolean {
  const { state, context } = blocker;
  if (state === 'resolved' || state === 'absent') return false;
  if (lapsedHelpers(context, now).length > 0) return true;
  if (context.severity === 'critical' && state !== 'escalated') return true;
  const from = stuckFrom(blocker, policy);
  return from !== undefined && now >= from;
}

/** What has to happen to a blocker now, in this order: the next best swarms are asked, a person is. Empty: nothing. */
export function nextHelp(blocker: SeenBlocker, source: HelperSource, now: number): HelpEvent[] {
  const { state, context } = blocker;
  if (state === 'resolved' || state === 'absent') return [];
  const policy = source.policy.current;
  const chosen = choose(context, source, now);
  const lapsed = lapsedHelpers(context, now);
  const events: HelpEvent[] = [];
  if (chosen.length > 0 || lapsed.length > 0) events.push(inviting(chosen, lapsed, now + policy.help_timeout_ms));
  if (state === 'escalated') return events;
  const isHelped = chosen.length > 0 || context.helpers.some((helper) => isCountedOn(helper, source.swarms, now));
  const reason = whyAPerson(blocker, { policy, isHelped, now });
  if (reason !== undefined) events.push({ type: 'ESCALATE', reason });
  return events;
}

/** As `nextHelp`, for a blocker that is being reported. */
export function firstHelp(
  reported_by: string,
  report: { readonly severity: Severity; readonly required_capabilities: readonly string[] },
  source: HelperSource,
  now: number,
): HelpEvent[] {
  const { severity } = report;
  const required_capabilities = distinct(report.required_capabilities);
  const context = { ...absentBlocker, reported_by, severity, required_capabilities, progress_at: now };
  return nextHelp({ state: 'reported', context }, source, now);
}

/** Whether one more swarm, which was asked, may join. */
export function hasPlaceToJoin(context: BlockerContext, { swarms, policy }: HelperSource): boolean {
  const helping = joinedHelpers(context).filter((swarm_id) => !isGone(swarm_id, swarms));
  return helping.length < policy.current.max_swarms_per_task - 1;
}

function choose(context: BlockerContext, source: HelperSource, now: number): readonly MatchFactors[] {
  const { swarms, policy } = source;
  const { required_capabilities: requires, reported_by, helpers } = context;
  const limit = openPlaces(context, source, now);
  if (requires.length === 0 || limit <= 0) return [];
  const { min_capability_match, max_cost_per_hour, reputation_half_life_ms: half_life_ms } = policy.current;
  const exclude = [reported_by, ...helpers.map(({ swarm_id }) => swarm_id)];
  return swarms.match({ requires, exclude }, { min_capability_match, max_cost_per_hour, half_life_ms, now, limit });
}

function inviting(chosen: readonly MatchFactors[], lapsed: readonly string[], answer_by: number): HelpEvent {
  const why = chosen.map(({ swarm_id, match_score, combined_score, reputation, cost_per_hour }) => [
    swarm_id,
    { match_score, combined_score, reputation, cost_per_hour },
  ]);
  return {
    type: 'INVITE',
    swarm_ids: chosen.map(({ swarm_id }) => swarm_id),
    ...(chosen.length === 0 ? {} : { why: Object.fromEntries(why), answer_by }),
    ...(lapsed.length === 0 ? {} : { lapsed }),
  };
}

function whyAPerson(
  blocker: SeenBlocker,
  { policy, isHelped, now }: { readonly policy: GovernorPolicy; readonly isHelped: boolean; readonly now: number },
): string | undefined {
  const { severity, required_capabilities, helpers } = blocker.context;
  if (severity === 'critical') return 'its severity is critical';
  const from = stuckFrom(blocker, policy);
  if (from !== undefined && now >= from)
    return `nothing has come of it in ${policy.blocker_escalation_ms} ms: no swarm has joined since`;
  if (isHelped) return undefined;
  if (required_capabilities.length === 0) return 'it names no capabilities that would help, so no swarm can be asked';
  if (policy.max_swarms_per_task <= 1)
    return 'the policy allows one swarm per task (max_swarms_per_task), so none may help';
  if (helpers.length >= mostAsked) return `none of the ${helpers.length} swarms that were asked helps`;
  const needed = `${required_capabilities.join(', ')} (at least ${policy.min_capability_match} of that)`;
  return helpers.length === 0
    ? `no swarm qualifies to help: asked for is ${needed}`
    : `no swarm that was asked helps, and no other one qualifies: asked for is ${needed}`;
}
