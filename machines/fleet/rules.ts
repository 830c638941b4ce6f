/** When each event of the fabric is refused, and how that is said. The state chart in `machine.ts` asks the same table. */
import { operatorId } from '../address.ts';
import { amountRule, coversTheGone, moneyIsThere, validPauseMode, validWindows } from '../budget-rules.ts';
import type { Refusal } from '../machine.ts';
import { type EventRules, either, firstRefusal, type Rule, rulesOf, unknownEvent } from '../rules.ts';
import type { FleetContext, FleetState } from './context.ts';
import type { FleetEvent, FleetEventOf, FleetEventType } from './events.ts';
import { budgetOf, heldOf } from './steps.ts';

type FleetRule<Type extends FleetEventType> = Rule<FleetContext, FleetEventOf<Type>>;

/** The fabric is the operators'. */
const byOperator: FleetRule<'ALLOCATE' | 'PAUSE' | 'RESUME'> = {
  code: 'UNAUTHORIZED',
  broken: (_, { by }) => by !== operatorId && !by.startsWith('IF.'),
  message: (_, { by }) => `${by} may not do this; only an operator may`,
};

const allocationCovers = coversTheGone(budgetOf);
const budgetCovers = moneyIsThere<FleetContext>(({ budget }) => budget, 'of the whole fabric');

/** Limits are those of a budget: without one nothing would hold them. */
const limitsOfSomething: FleetRule<'ALLOCATE'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { budget_usd, per_hour_usd, per_day_usd }) =>
    budget_usd === null && (per_hour_usd != null || per_day_usd != null),
  message: (_, { per_hour_usd, per_day_usd }) =>
    `without a budget of the whole fabric there is no limit of ${per_hour_usd ?? per_day_usd} dollars ` +
    `per ${per_hour_usd == null ? 'day' : 'hour'}; name a budget_usd, too`,
  details: () => ({ field: 'budget_usd' }),
};

const notPaused: FleetRule<'RESERVE'> = {
  code: 'CIRCUIT_OPEN',
  broken: ({ pause }) => pause !== null,
  message: ({ pause }) =>
    `the fabric is paused by ${pause?.by}${pause?.reason == null ? '' : ` (${pause.reason})`}; an operator can resume it`,
  details: ({ pause }) => ({ pause }),
};

/** What a task's record says it holds is held here, since both change in one commit. */
const isHeld: Rule<FleetContext, FleetEventOf<'SETTLE'> | FleetEventOf<'UNRESERVE'>> = {
  code: 'INVALID_REQUEST',
  broken: (fleet, event) => givenBack(event) > heldOf(fleet),
  message: (fleet, event) =>
    `${givenBack(event)} dollars are given back and ${heldOf(fleet)} are reserved; give back what was reserved, once`,
  details: (fleet) => ({ reserved_usd: heldOf(fleet) }),
};

function givenBack(event: FleetEventOf<'SETTLE'> | FleetEventOf<'UNRESERVE'>): number {
  return event.type === 'SETTLE' ? event.reserved_usd : event.amount_usd;
}

const known = ['open', 'paused'] as const;
const anyone = ['absent', ...known] as const;
const amount = amountRule<FleetContext, { amount_usd: number }>('amount_usd', (event) => event.amount_usd);

export const fleetRules: {
  readonly [Type in FleetEventType]: EventRules<FleetContext, FleetEventOf<Type>, FleetState>;
} = {
  ALLOCATE: {
    states: anyone,
    authority: [byOperator],
    facts: [
      amountRule('budget_usd', (event) => event.budget_usd ?? 0),
      ...validWindows,
      limitsOfSomething,
      allocationCovers,
    ],
  },
  RESERVE: { states: known, authority: [], facts: [amount, notPaused, budgetCovers] },
  SETTLE: {
    states: known,
    authority: [],
    facts: [
      amountRule('reserved_usd', (event) => event.reserved_usd),
      amountRule('cost_usd', (event) => event.cost_usd),
      isHeld,
    ],
  },
  UNRESERVE: { states: known, authority: [], facts: [amount, isHeld] },
  CHARGE: { states: known, authority: [], facts: [amount, budgetCovers] },
  PAUSE: { states: anyone, authority: [byOperator], facts: [validPauseMode] },
  RESUME: { states: ['paused'], authority: [byOperator], facts: [] },
};

/** The same table for a type that is not known at compile time, such as that of an event read from a record. */
export function rulesOfFleet(type: string): EventRules<FleetContext, FleetEvent, FleetState> | undefined {
  return rulesOf<EventRules<FleetContext, FleetEvent, FleetState>>(fleetRules, type);
}

/** Why the event would be refused in this state; undefined when it would be accepted. */
export function explainFleet(state: FleetState, context: FleetContext, event: FleetEvent): Refusal | undefined {
  const rules = rulesOfFleet(event.type);
  if (!rules) return unknownEvent('fleet', event.type, Object.keys(fleetRules));
  return (
    firstRefusal(rules.authority, context, event) ??
    (rules.states.includes(state) ? undefined : wrongState(state, event, rules.states)) ??
    firstRefusal(rules.facts, context, event)
  );
}

function wrongState(state: FleetState, event: FleetEvent, states: readonly string[]): Refusal {
  if (event.type === 'RESUME') {
    return { code: 'CONFLICT', message: 'the fabric is not paused; there is nothing to resume', details: { state } };
  }
  return {
    code: 'TARGET_NOT_FOUND',
    message: `the fabric is ${state}; ${event.type} needs it to be ${either(states)}: allocate it a budget, or pause it, first`,
    details: { state },
  };
}
