/**
 * What is known of one swarm at the moment, from its last record that was seen. It is about a millisecond old, so it only
 * tells which claims, and which choices, are worth trying; the transaction of the claim decides.
 */
import { remaining } from '../../machines/budget.ts';
import type { Candidate } from '../../machines/governance/matching.ts';
import { activeTasks, type SwarmContext, type SwarmState } from '../../machines/swarm/context.ts';
import { reputationAt } from '../../machines/swarm/reputation.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import type { CapabilitySet } from './capability-set.ts';

export interface KnownSwarm {
  readonly swarm_id: string;
  readonly revision: number;
  readonly state: SwarmState;
  /** Without the metadata, which decides nothing and may be large. */
  readonly context: SwarmContext;
  readonly capabilities: CapabilitySet;
  /** Registered, online and with a closed circuit. */
  readonly able: boolean;
  /** How many tasks more it may own; infinite where they are not limited. */
  readonly free_slots: number;
  /** Of the whole budget; an hour or a day may leave less. */
  readonly remaining_usd: number;
}

export interface SwarmChange {
  readonly before: KnownSwarm | undefined;
  readonly after: KnownSwarm;
}

/** When a swarm is looked at, and how fast its reputation decays. */
export interface Moment {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Policy; null: reputations do not decay. */
  readonly half_life_ms: number | null;
}

export function knownSwarm(
  { record, revision }: StoredRecord,
  setOf: (context: SwarmContext) => CapabilitySet,
): KnownSwarm {
  const state = record.snapshot.value as unknown as SwarmState;
  const context: SwarmContext = { ...(record.snapshot.context as SwarmContext), metadata: {} };
  const slots = context.on_trial ? 1 : (context.max_concurrent_tasks ?? Number.POSITIVE_INFINITY);
  return {
    swarm_id: record.id,
    revision,
    state,
    context,
    capabilities: setOf(context),
    able: state.registration === 'registered' && state.liveness === 'online' && state.circuit === 'closed',
    free_slots: slots - activeTasks(context),
    remaining_usd: remaining(context.budget),
  };
}

/** The swarm as the rules of matching see it at a moment. */
export function candidateOf(known: KnownSwarm, { now, half_life_ms }: Moment): Candidate {
  const { swarm_id, state, context, capabilities, free_slots } = known;
  const { registration, liveness, circuit } = state;
  return {
    swarm_id,
    registration,
    liveness,
    circuit,
    circuit_reasons: context.circuit_reasons,
    capabilities: capabilities.names,
    cost_per_hour: context.cost_per_hour,
    reputation: reputationAt(context, now, half_life_ms),
    allocated_usd: context.budget.allocated_usd,
    remaining_usd: remaining(context.budget, now),
    free_slots: Number.isFinite(free_slots) ? free_slots : null,
  };
}

/** Whether the swarm may have tasks now that it could not have before. */
export function hasWidened({ before, after }: SwarmChange): boolean {
  if (!after.able || after.free_slots <= 0) return false;
  if (!before?.able || before.free_slots <= 0) return true;
  if (after.remaining_usd > before.remaining_usd || after.free_slots > before.free_slots) return true;
  return after.capabilities !== before.capabilities;
}
