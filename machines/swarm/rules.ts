/** When each event of a swarm is refused, and how that is said. The state chart in `machine.ts` asks the same table. */

import { isExhausted, remaining } from '../budget.ts';
import { amountRule, coversTheGone, moneyIsThere, validPauseMode, validWindows } from '../budget-rules.ts';
import { isPrivilege } from '../capability.ts';
import type { Refusal } from '../machine.ts';
import { type EventRules, either, firstRefusal, type Rule, rulesOf, unknownEvent } from '../rules.ts';
import { openCircuit } from './circuit-advice.ts';
import { activeTasks, isForTask, type RegistrationState, type SwarmContext, type SwarmState } from './context.ts';
import type { SwarmEvent, SwarmEventOf, SwarmEventType } from './events.ts';

type SwarmRule<Type extends SwarmEventType> = Rule<SwarmContext, SwarmEventOf<Type>>;

function amount<Type extends SwarmEventType>(
  field: string,
  read: (event: SwarmEventOf<Type>) => unknown,
): SwarmRule<Type> {
  return amountRule(field, read);
}

const validDescription: SwarmRule<'REGISTER'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { max_concurrent_tasks: most }) => most != null && !(Number.isSafeInteger(most) && most >= 1),
  message: (_, { max_concurrent_tasks: most }) =>
    `max_concurrent_tasks is ${most}; allowed: a whole number from 1, or none for any number`,
  details: () => ({ field: 'max_concurrent_tasks' }),
};

const privilegesAreGranted: SwarmRule<'REGISTER'> = {
  code: 'CAPABILITY_MISSING',
  broken: (swarm, event) => ungranted(swarm, event).length > 0,
  message: (swarm, event) =>
    `${ungranted(swarm, event).join(', ')} cannot be declared, only granted; ask an operator, or leave it out`,
  details: (swarm, event) => ({ missing: ungranted(swarm, event) }),
};

function ungranted(swarm: SwarmContext, event: SwarmEventOf<'REGISTER'>): string[] {
  return event.capabilities.filter((name) => isPrivilege(name) && !swarm.grants.includes(name));
}

const allocationCovers = coversTheGone<SwarmContext>(({ budget }) => budget);

const circuitClosed: SwarmRule<'RESERVE'> = {
  code: 'CIRCUIT_OPEN',
  broken: (swarm) => swarm.circuit_reasons.length > 0,
  message: (swarm) => `the circuit of the swarm is ${openCircuit(swarm.circuit_reasons)}`,
  details: (swarm) => ({ circuit_reasons: swarm.circuit_reasons }),
};

const notReservedYet: SwarmRule<'RESERVE'> = {
  code: 'CONFLICT',
  broken: (swarm, event) => Object.hasOwn(swarm.reservations, event.key),
  message: (_, event) => `there is a reservation for ${event.key} already; settle or release it first`,
};

const slotIsFree: SwarmRule<'RESERVE'> = {
  code: 'CAPACITY_EXCEEDED',
  broken: (swarm, event) => isForTask(event.key) && activeTasks(swarm) >= slots(swarm),
  message: (swarm) =>
    `the swarm owns ${activeTasks(swarm)} tasks and may own ${slots(swarm)}` +
    `${swarm.on_trial ? ' while its circuit is on trial' : ''}; complete or release one first`,
  details: (swarm) => ({ active_tasks: activeTasks(swarm), max_concurrent_tasks: slots(swarm) }),
};

function slots(swarm: SwarmContext): number {
  return swarm.on_trial ? 1 : (swarm.max_concurrent_tasks ?? Number.POSITIVE_INFINITY);
}

const budgetCovers = moneyIsThere<SwarmContext>(({ budget }) => budget, 'of the swarm');

const reservationExists: SwarmRule<'SETTLE' | 'UNRESERVE'> = {
  code: 'INVALID_REQUEST',
  broken: (swarm, event) => !Object.hasOwn(swarm.reservations, event.key),
  message: (_, event) => `there is no reservation for ${event.key}; it was settled or released before, or never made`,
};

const validThreshold: SwarmRule<'FAILURE'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { threshold }) => !(Number.isSafeInteger(threshold) && threshold >= 1),
  message: (_, { threshold }) => `threshold is ${threshold}; allowed: a whole number from 1`,
  details: () => ({ field: 'threshold' }),
};

const validHalfLife: SwarmRule<'SUCCESS' | 'FAILURE'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { half_life_ms }) => half_life_ms != null && !(Number.isFinite(half_life_ms) && half_life_ms > 0),
  message: (_, { half_life_ms }) => `half_life_ms is ${half_life_ms}; allowed: milliseconds above 0, or none`,
  details: () => ({ field: 'half_life_ms' }),
};

/** What the witness adds up is what is taken from the budget. */
const costIsTheAmount: SwarmRule<'CHARGE'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { cost, amount_usd }) => cost?.cost_usd !== amount_usd,
  message: (_, { cost, amount_usd }) =>
    `the cost is ${cost?.cost_usd} dollars and ${amount_usd} are charged; charge what the work has cost`,
  details: () => ({ field: 'cost' }),
};

const validCooldown: SwarmRule<'RESET'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { cooldown_ms }) => cooldown_ms !== undefined && !(Number.isSafeInteger(cooldown_ms) && cooldown_ms >= 0),
  message: (_, { cooldown_ms }) => `cooldown_ms is ${cooldown_ms}; allowed: whole milliseconds from 0`,
  details: () => ({ field: 'cooldown_ms' }),
};

/** A trial is for a swarm that failed; money and operators are not waited out. */
const failuresAlone: SwarmRule<'RESET'> = {
  code: 'CONFLICT',
  broken: (swarm, { trial }) => trial === true && swarm.circuit_reasons.join() !== 'failures',
  message: ({ circuit_reasons }) =>
    circuit_reasons.length === 0
      ? 'the circuit is closed; there is nothing to try'
      : `the circuit is open for ${circuit_reasons.join(', ')}; only what failures alone opened closes for a trial`,
  details: ({ circuit_reasons }) => ({ circuit_reasons }),
};

const cooledDown: SwarmRule<'RESET'> = {
  code: 'CONFLICT',
  broken: (swarm, event) => event.trial === true && event.at < trialFrom(swarm, event),
  message: (swarm, event) => `the circuit cools down until ${trialFrom(swarm, event)}, and it is ${event.at}`,
  details: (swarm, event) => ({ trial_from: trialFrom(swarm, event) }),
};

function trialFrom(swarm: SwarmContext, { cooldown_ms }: SwarmEventOf<'RESET'>): number {
  return (swarm.circuit_opened_at ?? 0) + (cooldown_ms ?? 0);
}

const somethingToForgive: SwarmRule<'RESET'> = {
  code: 'BUDGET_EXHAUSTED',
  broken: (swarm) => isExhausted(swarm.budget) && swarm.circuit_reasons.every((reason) => reason === 'budget'),
  message: ({ budget }) =>
    `all of the budget of ${budget.allocated_usd} dollars is spent; allocate more, which closes the circuit`,
  details: ({ budget }) => ({ ...budget, remaining_usd: remaining(budget) }),
};

const anyone = ['absent', 'invited', 'registered', 'retired'] as const;
const known = ['invited', 'registered', 'retired'] as const;
/** Work that was reserved while the swarm was registered still ends after it unregistered. */
const hasBeen = ['registered', 'retired'] as const;

interface SwarmEventRules<Event> extends EventRules<SwarmContext, Event, RegistrationState> {
  /** Where the event also needs the swarm to be online, or to be offline. */
  readonly liveness?: 'online' | 'offline';
}

const budgetUsd = (event: { budget_usd?: number | null }) => event.budget_usd ?? 0;

export const swarmRules: { readonly [Type in SwarmEventType]: SwarmEventRules<SwarmEventOf<Type>> } = {
  INVITE: { states: anyone, authority: [], facts: [amount<'INVITE'>('budget_usd', budgetUsd), allocationCovers] },
  REGISTER: {
    states: anyone,
    authority: [],
    facts: [amount<'REGISTER'>('cost_per_hour', (e) => e.cost_per_hour), validDescription, privilegesAreGranted],
  },
  GRANT: { states: anyone, authority: [], facts: [] },
  REVOKE: { states: known, authority: [], facts: [] },
  ONLINE: { states: ['registered'], liveness: 'offline', authority: [], facts: [] },
  OFFLINE: { states: ['registered'], liveness: 'online', authority: [], facts: [] },
  ALLOCATE: {
    states: anyone,
    authority: [],
    facts: [amount<'ALLOCATE'>('budget_usd', (e) => e.budget_usd), ...validWindows, allocationCovers],
  },
  RESERVE: {
    states: ['registered'],
    liveness: 'online',
    authority: [],
    facts: [
      amount<'RESERVE'>('amount_usd', (e) => e.amount_usd),
      circuitClosed,
      notReservedYet,
      slotIsFree,
      budgetCovers,
    ],
  },
  SETTLE: {
    states: hasBeen,
    authority: [],
    facts: [amount<'SETTLE'>('cost_usd', (e) => e.cost_usd), reservationExists],
  },
  UNRESERVE: { states: hasBeen, authority: [], facts: [reservationExists] },
  CHARGE: {
    states: ['registered'],
    authority: [],
    facts: [amount<'CHARGE'>('amount_usd', (e) => e.amount_usd), costIsTheAmount, budgetCovers],
  },
  SUCCESS: { states: hasBeen, authority: [], facts: [amount<'SUCCESS'>('cost_usd', (e) => e.cost_usd), validHalfLife] },
  FAILURE: {
    states: hasBeen,
    authority: [],
    facts: [amount<'FAILURE'>('cost_usd', (e) => e.cost_usd), validThreshold, validHalfLife],
  },
  TRIP: { states: known, authority: [], facts: [] },
  RESET: { states: known, authority: [], facts: [validCooldown, failuresAlone, cooledDown, somethingToForgive] },
  PAUSE: { states: known, authority: [], facts: [validPauseMode] },
  RESUME: { states: known, authority: [], facts: [] },
  UNREGISTER: { states: ['registered'], authority: [], facts: [] },
};

/** The same table for a type that is not known at compile time, such as that of an event read from a record. */
export function rulesOfSwarm(type: string): SwarmEventRules<SwarmEvent> | undefined {
  return rulesOf<SwarmEventRules<SwarmEvent>>(swarmRules, type);
}

/** Why the event would be refused in this state; undefined when it would be accepted. */
export function explainSwarm(state: SwarmState, context: SwarmContext, event: SwarmEvent): Refusal | undefined {
  const rules = rulesOfSwarm(event.type);
  if (!rules) return unknownEvent('swarm', event.type, Object.keys(swarmRules));
  if (!rules.states.includes(state.registration)) return wrongRegistration(state.registration, event, rules.states);
  if (rules.liveness && rules.liveness !== state.liveness) return wrongLiveness(state.liveness, event);
  return firstRefusal(rules.facts, context, event);
}

function wrongRegistration(state: RegistrationState, event: SwarmEvent, states: readonly string[]): Refusal {
  const advice = state === 'absent' || state === 'invited' ? 'register it first' : 'it can register again';
  return {
    code: 'SWARM_NOT_FOUND',
    message: `the swarm is ${state}; ${event.type} needs it to be ${either(states)}: ${advice}`,
    details: { registration: state },
  };
}

function wrongLiveness(state: 'online' | 'offline', event: SwarmEvent): Refusal {
  if (event.type === 'ONLINE' || event.type === 'OFFLINE') {
    return { code: 'CONFLICT', message: `the swarm is ${state} already; there is nothing to change` };
  }
  return { code: 'SWARM_OFFLINE', message: `the swarm is ${state}; a heartbeat brings it back` };
}
