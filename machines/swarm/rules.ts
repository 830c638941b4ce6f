/** When each event of a swarm is refused, and how that is said. The state chart in `machine.ts` asks the same table. */
import { isPrivilege } from '../capability.ts';
import type { Refusal } from '../machine.ts';
import { isUsd } from '../money.ts';
import { type EventRules, either, firstRefusal, type Rule, rulesOf, unknownEvent } from '../rules.ts';
import { isExhausted, remaining } from './budget.ts';
import { activeTasks, isForTask, type RegistrationState, type SwarmContext, type SwarmState } from './context.ts';
import type { SwarmEvent, SwarmEventOf, SwarmEventType } from './events.ts';

type SwarmRule<Type extends SwarmEventType> = Rule<SwarmContext, SwarmEventOf<Type>>;

/** A field that must hold an amount of money. */
function amount<Type extends SwarmEventType>(
  field: string,
  read: (event: SwarmEventOf<Type>) => unknown,
): SwarmRule<Type> {
  return {
    code: 'INVALID_REQUEST',
    broken: (_, event) => !isUsd(read(event)),
    message: (_, event) => `${field} is ${String(read(event))}; allowed: dollars from 0 with at most six decimals`,
    details: () => ({ field }),
  };
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

/** A budget cannot be less than what is gone from it already. */
const coversTheGone: Rule<SwarmContext, { budget_usd?: number | null }> = {
  code: 'POLICY_VIOLATION',
  broken: ({ budget }, event) =>
    event.budget_usd != null && remaining({ ...budget, allocated_usd: event.budget_usd }) < 0,
  message: ({ budget }, event) =>
    `a budget of ${event.budget_usd} dollars does not cover the ${budget.spent_usd} spent and ` +
    `${budget.reserved_usd} reserved; allocate at least their sum`,
  details: ({ budget }) => ({ spent_usd: budget.spent_usd, reserved_usd: budget.reserved_usd }),
};

const circuitClosed: SwarmRule<'RESERVE'> = {
  code: 'CIRCUIT_OPEN',
  broken: (swarm) => swarm.circuit_reasons.length > 0,
  message: (swarm) =>
    `the circuit of the swarm is open (${swarm.circuit_reasons.join(', ')}); an operator can reset it`,
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

const moneyIsThere: SwarmRule<'RESERVE' | 'CHARGE'> = {
  code: 'BUDGET_EXHAUSTED',
  broken: (swarm, event) => event.amount_usd > remaining(swarm.budget),
  message: (swarm, event) =>
    `${event.amount_usd} dollars are asked and ${remaining(swarm.budget)} of ${swarm.budget.allocated_usd} remain; ` +
    'an operator can allocate more',
  details: ({ budget }) => ({ ...budget, remaining_usd: remaining(budget) }),
};

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
  INVITE: { states: anyone, authority: [], facts: [amount<'INVITE'>('budget_usd', budgetUsd), coversTheGone] },
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
    facts: [amount<'ALLOCATE'>('budget_usd', (e) => e.budget_usd), coversTheGone],
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
      moneyIsThere,
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
    facts: [amount<'CHARGE'>('amount_usd', (e) => e.amount_usd), moneyIsThere],
  },
  SUCCESS: { states: hasBeen, authority: [], facts: [amount<'SUCCESS'>('cost_usd', (e) => e.cost_usd)] },
  FAILURE: {
    states: hasBeen,
    authority: [],
    facts: [amount<'FAILURE'>('cost_usd', (e) => e.cost_usd), validThreshold],
  },
  TRIP: { states: known, authority: [], facts: [] },
  RESET: { states: known, authority: [], facts: [somethingToForgive] },
  PAUSE: { states: known, authority: [], facts: [] },
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
