/** What each accepted event writes into a swarm's context. Steps compute; whether the event is accepted is decided before. */
import { allocate, type Budget, isExhausted, reserve, spend, unreserve, type WindowLimits } from '../budget.ts';
import { distinct } from '../equality.ts';
import { pauseOf } from '../pause.ts';
import { type CircuitReason, isForTask, type SwarmContext } from './context.ts';
import type { SwarmEvent, SwarmEventOf, SwarmEventType } from './events.ts';
import { afterOutcome } from './reputation.ts';

type Steps = {
  readonly [Type in SwarmEventType]: (swarm: SwarmContext, event: SwarmEventOf<Type>) => Partial<SwarmContext>;
};

const steps: Steps = {
  INVITE: (swarm, event) => ({
    grants: distinct([...swarm.grants, ...event.grants]),
    invited_at: swarm.invited_at ?? event.at,
    ...(event.budget_usd == null ? {} : allocated(swarm, event.budget_usd, {}, event.at)),
  }),
  REGISTER: (swarm, event) => ({
    capabilities: distinct(event.capabilities),
    cost_per_hour: event.cost_per_hour,
    model: event.model ?? null,
    max_concurrent_tasks: event.max_concurrent_tasks ?? null,
    metadata: event.metadata ?? {},
    registered_at: swarm.retired_at === null ? (swarm.registered_at ?? event.at) : event.at,
    retired_at: null,
    last_seen_at: event.at,
  }),
  GRANT: (swarm, event) => ({
    grants: distinct([...swarm.grants, ...event.capabilities]),
    invited_at: swarm.invited_at ?? event.at,
  }),
  REVOKE: (swarm, event) => ({
    grants: swarm.grants.filter((name) => !event.capabilities.includes(name)),
    capabilities: swarm.capabilities.filter((name) => !event.capabilities.includes(name)),
  }),
  ONLINE: (_, event) => ({ last_seen_at: event.at }),
  OFFLINE: (swarm, event) => ({ last_seen_at: event.last_seen_at ?? swarm.last_seen_at }),
  ALLOCATE: (swarm, event) => ({
    invited_at: swarm.invited_at ?? event.at,
    ...allocated(swarm, event.budget_usd, event, event.at),
  }),
  RESERVE: (swarm, event) => ({
    reservations: { ...swarm.reservations, [event.key]: { token: event.token, amount_usd: event.amount_usd } },
    budget: reserve(swarm.budget, event.amount_usd, event.at),
    counters: { ...swarm.counters, claimed: swarm.counters.claimed + (isForTask(event.key) ? 1 : 0) },
  }),
  SETTLE: (swarm, event) => settled(swarm, event.key, event.cost_usd, event.at),
  UNRESERVE: (swarm, event) => settled(swarm, event.key, 0, event.at),
  CHARGE: (swarm, event) => spent(swarm, swarm.budget, event.amount_usd, event.at),
  SUCCESS: (swarm, event) => ({
    ...settled(swarm, event.key, event.cost_usd, event.at),
    counters: {
      ...swarm.counters,
      claimed: swarm.counters.claimed + (event.reserved ? 0 : 1),
      completed: swarm.counters.completed + 1,
      consecutive_failures: 0,
    },
    ...afterOutcome(swarm, 1, event),
    on_trial: false,
  }),
  FAILURE: (swarm, event) => {
    const inARow = swarm.counters.consecutive_failures + 1;
    const settlement = settled(swarm, event.key, event.cost_usd, event.at);
    const reasons = settlement.circuit_reasons ?? swarm.circuit_reasons;
    return {
      ...settlement,
      counters: {
        ...swarm.counters,
        claimed: swarm.counters.claimed + (event.reserved ? 0 : 1),
        failed: swarm.counters.failed + 1,
        consecutive_failures: inARow,
      },
      ...afterOutcome(swarm, 0, event),
      on_trial: false,
      circuit_reasons: swarm.on_trial || inARow >= event.threshold ? including(reasons, 'failures') : reasons,
    };
  },
  TRIP: (swarm, event) => ({ circuit_reasons: including(swarm.circuit_reasons, event.reason), on_trial: false }),
  RESET: (swarm, event) => ({
    circuit_reasons: swarm.circuit_reasons.filter(
      (reason) => reason === 'paused' || (reason === 'budget' && isExhausted(swarm.budget)),
    ),
    counters: { ...swarm.counters, consecutive_failures: 0 },
    on_trial: event.trial ?? false,
  }),
  PAUSE: (swarm, event) => ({ circuit_reasons: including(swarm.circuit_reasons, 'paused'), pause: pauseOf(event) }),
  RESUME: (swarm) => ({ circuit_reasons: without(swarm.circuit_reasons, 'paused'), pause: null }),
  UNREGISTER: (_, event) => ({ retired_at: event.at }),
};

/** A new allocation; more money closes what a budget opened, less may open it, and the same with other limits does neither. */
function allocated(swarm: SwarmContext, amount: number, limits: WindowLimits, at: number): Partial<SwarmContext> {
  const budget = allocate(swarm.budget, amount, limits, at);
  const { circuit_reasons } = swarm;
  if (isExhausted(budget)) return { budget, circuit_reasons: including(circuit_reasons, 'budget') };
  // What an overrun opened while money was reserved is open although some of it is back: that is for a reset to forgive.
  const isMore = amount > swarm.budget.allocated_usd;
  return { budget, circuit_reasons: isMore ? without(circuit_reasons, 'budget') : circuit_reasons };
}

/** The reservation, if there is one, given back and the cost spent. */
function settled(swarm: SwarmContext, key: string, cost: number, at: number): Partial<SwarmContext> {
  if (!Object.hasOwn(swarm.reservations, key)) return cost > 0 ? spent(swarm, swarm.budget, cost, at) : {};
  const { [key]: reservation, ...reservations } = swarm.reservations;
  const released = unreserve(swarm.budget, reservation?.amount_usd ?? 0);
  return { reservations, ...(cost > 0 ? spent(swarm, released, cost, at) : { budget: released }) };
}

/** A cost taken from the budget. The circuit opens when the last of the money is spent, or more than that. */
function spent(swarm: SwarmContext, before: Budget, cost: number, at: number): Partial<SwarmContext> {
  const budget = spend(before, cost, at);
  const opens = isExhausted(budget) || budget.overrun_usd > before.overrun_usd;
  return { budget, circuit_reasons: opens ? including(swarm.circuit_reasons, 'budget') : swarm.circuit_reasons };
}

function including(reasons: readonly CircuitReason[], reason: CircuitReason): CircuitReason[] {
  return reasons.includes(reason) ? [...reasons] : [...reasons, reason];
}

function without(reasons: readonly CircuitReason[], reason: CircuitReason): CircuitReason[] {
  return reasons.filter((other) => other !== reason);
}

/** The fields that an accepted event changes. */
export function stepSwarm(swarm: SwarmContext, event: SwarmEvent): Partial<SwarmContext> {
  const step = steps[event.type] as (swarm: SwarmContext, event: SwarmEvent) => Partial<SwarmContext>;
  const changed = step(swarm, event);
  const reasons = changed.circuit_reasons ?? swarm.circuit_reasons;
  return { ...changed, circuit_opened_at: openedAt(swarm, reasons, event.at), updated_at: event.at };
}

/** A circuit that was only paused opens anew when it trips: the cool-down begins then, and people are told. */
function openedAt(swarm: SwarmContext, reasons: readonly CircuitReason[], at: number): number | null {
  if (reasons.length === 0) return null;
  const trips = reasons.some((reason) => reason !== 'paused' && !swarm.circuit_reasons.includes(reason));
  return trips ? at : (swarm.circuit_opened_at ?? at);
}
