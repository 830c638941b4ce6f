/** When each event of a semaphore is refused, and how that is said. The state chart in `machine.ts` asks the same table. */
import { isId } from '../address.ts';
import type { Refusal } from '../machine.ts';
import { type EventRules, firstRefusal, type Rule, rulesOf, unknownEvent } from '../rules.ts';
import { othersOf, placeOf, type SemaphoreContext, type SemaphoreState } from './context.ts';
import type { SemaphoreEvent, SemaphoreEventOf, SemaphoreEventType } from './events.ts';

type SemaphoreRule<Type extends SemaphoreEventType> = Rule<SemaphoreContext, SemaphoreEventOf<Type>>;

/** How many holders a refusal names. */
const namedHolders = 5;

function fromOne(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1;
}

const validHolder: SemaphoreRule<'ACQUIRE'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { holder }) => !isId(holder),
  message: (_, { holder }) => `holder is ${JSON.stringify(holder)}; allowed: the id of a task`,
  details: () => ({ field: 'holder' }),
};

const validToken: SemaphoreRule<'ACQUIRE'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { token }) => token !== null && !fromOne(token),
  message: () => 'token is not one; allowed: the token of an ownership, or none',
  details: () => ({ field: 'token' }),
};

const validLimit: SemaphoreRule<'ACQUIRE'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { limit }) => !fromOne(limit),
  message: (_, { limit }) => `limit is ${limit}; allowed: a whole number from 1`,
  details: () => ({ field: 'limit' }),
};

const notHeldYet: SemaphoreRule<'ACQUIRE'> = {
  code: 'CONFLICT',
  broken: (semaphore, { holder, token }) => {
    const place = placeOf(semaphore, holder);
    return place !== undefined && (token ?? 0) <= (place.token ?? 0);
  },
  message: (_, { holder }) => `${holder} holds a place already, under this token or a later one; release it first`,
};

const placeIsFree: SemaphoreRule<'ACQUIRE'> = {
  code: 'CAPACITY_EXCEEDED',
  broken: (semaphore, { holder, limit }) => othersOf(semaphore, holder).length >= limit,
  message: (semaphore, { holder, limit }) => {
    const others = othersOf(semaphore, holder);
    return (
      `${others.length} of ${limit} places of this key are taken, by ${nameSome(others.map(({ task_id }) => task_id))}; ` +
      'try again when one of them has ended'
    );
  },
  details: (semaphore, { holder, limit }) => {
    const others = othersOf(semaphore, holder).map(({ task_id }) => task_id);
    return { holders: others.length, limit, held_by: others.slice(0, namedHolders) };
  },
};

function nameSome(names: readonly string[]): string {
  const rest = names.length - namedHolders;
  return names.slice(0, namedHolders).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

const holdsPlace: SemaphoreRule<'RELEASE'> = {
  code: 'CONFLICT',
  broken: (semaphore, { holder }) => placeOf(semaphore, holder) === undefined,
  message: (_, { holder }) => `${holder} holds no place; it was released before, or never taken`,
};

type SemaphoreEventRules<Event> = EventRules<SemaphoreContext, Event, SemaphoreState>;

export const semaphoreRules: {
  readonly [Type in SemaphoreEventType]: SemaphoreEventRules<SemaphoreEventOf<Type>>;
} = {
  ACQUIRE: {
    states: ['absent', 'held', 'free'],
    authority: [],
    facts: [validHolder, validToken, validLimit, notHeldYet, placeIsFree],
  },
  RELEASE: { states: ['held'], authority: [], facts: [holdsPlace] },
};

/** The same table for a type that is not known at compile time, such as that of an event read from a record. */
export function rulesOfSemaphore(type: string): SemaphoreEventRules<SemaphoreEvent> | undefined {
  return rulesOf<SemaphoreEventRules<SemaphoreEvent>>(semaphoreRules, type);
}

/** Why the event would be refused; undefined when it would be accepted. A state in which no one holds a place needs no words of its own. */
export function explainSemaphore(context: SemaphoreContext, event: SemaphoreEvent): Refusal | undefined {
  const rules = rulesOfSemaphore(event.type);
  if (!rules) return unknownEvent('semaphore', event.type, Object.keys(semaphoreRules));
  return firstRefusal(rules.facts, context, event);
}
