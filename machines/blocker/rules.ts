/** When each event of a blocker is refused, and how that is said. The state chart in `machine.ts` asks the same table. */
import { isId, isSwarmId, operatorId } from '../address.ts';
import type { Refusal } from '../machine.ts';
import { type EventRules, either, firstRefusal, type Rule, rulesOf, unknownEvent } from '../rules.ts';
import {
  type BlockerContext,
  type BlockerState,
  type Helper,
  helperOf,
  joinedHelpers,
  openBlockerStates,
  severities,
  silenced,
} from './context.ts';
import type { BlockerEvent, BlockerEventOf, BlockerEventType, ReportBlocker } from './events.ts';

type BlockerRule<Type extends BlockerEventType> = Rule<BlockerContext, BlockerEventOf<Type>>;

const validReport: BlockerRule<'REPORT'> = {
  code: 'INVALID_REQUEST',
  broken: (_, event) => invalidField(event) !== undefined,
  message: (_, event) => {
    const wrong = invalidField(event);
    return `${wrong?.field} is ${JSON.stringify(wrong?.value)}; allowed: ${wrong?.allowed}`;
  },
  details: (_, event) => ({ field: invalidField(event)?.field }),
};

/** The first field of a report that no blocker may have, with its value and what is allowed; a token is never shown. */
function invalidField(event: ReportBlocker): { field: string; value: unknown; allowed: string } | undefined {
  const { task_id, token, blocker_type, severity } = event;
  if (task_id !== null && !isId(task_id)) return { field: 'task_id', value: task_id, allowed: 'the id of a task' };
  if ((token === null) !== (task_id === null))
    return { field: 'task_id', value: task_id, allowed: 'a task and the token of its ownership, or neither' };
  if (blocker_type === '') return { field: 'type', value: '', allowed: 'a name' };
  if (!severities.includes(severity)) return { field: 'severity', value: severity, allowed: either(severities) };
  return undefined;
}

const someoneNew: BlockerRule<'INVITE'> = {
  code: 'CONFLICT',
  broken: (blocker, event) =>
    event.swarm_ids.every((id) => helperOf(blocker, id) !== undefined) && silenced(blocker, event).length === 0,
  message: (_, event) =>
    `${event.swarm_ids.length === 0 ? 'no one is' : `only ${event.swarm_ids.join(', ')}, invited before, are`} named; ` +
    'name a swarm that was not invited yet',
};

/** Nobody is taken for silent who still has time to answer. */
const timeToAnswerIsOver: BlockerRule<'INVITE'> = {
  code: 'CONFLICT',
  broken: (blocker, event) => earliest(blocker, event) !== undefined,
  message: (blocker, event) => {
    const helper = earliest(blocker, event);
    return `${helper?.swarm_id} has until ${helper?.answer_by} to answer, and it is ${event.at}`;
  },
  details: (blocker, event) => ({ answer_by: earliest(blocker, event)?.answer_by }),
};

function earliest(blocker: BlockerContext, event: BlockerEventOf<'INVITE'>): Helper | undefined {
  return silenced(blocker, event).find(({ answer_by }) => answer_by !== null && event.at < answer_by);
}

const validAnswerBy: BlockerRule<'INVITE'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { answer_by, at }) => answer_by !== undefined && !(Number.isSafeInteger(answer_by) && answer_by > at),
  message: (_, { answer_by, at }) => `answer_by is ${answer_by}; allowed: a time after ${at}`,
  details: () => ({ field: 'answer_by' }),
};

const fitToBeAsked: BlockerRule<'INVITE'> = {
  code: 'INVALID_REQUEST',
  broken: (blocker, event) => unfit(blocker, event).length > 0,
  message: (blocker, event) =>
    `${unfit(blocker, event).join(', ')} cannot be invited: helpers are other swarms than the blocked one`,
  details: () => ({ field: 'swarm_ids' }),
};

function unfit(blocker: BlockerContext, event: BlockerEventOf<'INVITE'>): string[] {
  return event.swarm_ids.filter((id) => !isSwarmId(id) || id === operatorId || id === blocker.reported_by);
}

/** Whoever joins may resolve the blocker later, so nobody joins unasked. */
const isInvited: BlockerRule<'JOIN' | 'DECLINE'> = {
  code: 'UNAUTHORIZED',
  broken: (blocker, { by }) => helperOf(blocker, by) === undefined,
  message: (_, { by }) => `${by} was not asked to help with the blocker; wait for a request for help`,
};

const joinsOnce: BlockerRule<'JOIN'> = {
  code: 'CONFLICT',
  broken: (blocker, { by }) => helperOf(blocker, by)?.answer === 'joined',
  message: (_, { by }) => `${by} helps already; there is nothing to change`,
};

const declinesOnce: BlockerRule<'DECLINE'> = {
  code: 'CONFLICT',
  broken: (blocker, { by }) => helperOf(blocker, by)?.answer === 'declined',
  message: (_, { by }) => `${by} declined before; there is nothing to change`,
};

const mayResolve: BlockerRule<'RESOLVE'> = {
  code: 'UNAUTHORIZED',
  broken: (blocker, { by }) =>
    by !== blocker.reported_by && by !== operatorId && !isService(by) && !joinedHelpers(blocker).includes(by),
  message: (blocker, { by }) =>
    `${by} may not resolve the blocker; ${blocker.reported_by}, who reported it, a helper that joined, or an operator may`,
  details: (blocker) => ({ reported_by: blocker.reported_by }),
};

/** Services are named `IF.<name>`; no swarm can have such an id. */
function isService(by: string): boolean {
  return by.startsWith('IF.');
}

type BlockerEventRules<Event> = EventRules<BlockerContext, Event, BlockerState>;

export const blockerRules: { readonly [Type in BlockerEventType]: BlockerEventRules<BlockerEventOf<Type>> } = {
  REPORT: { states: ['absent'], authority: [], facts: [validReport] },
  INVITE: {
    states: openBlockerStates,
    authority: [],
    facts: [fitToBeAsked, validAnswerBy, timeToAnswerIsOver, someoneNew],
  },
  JOIN: { states: openBlockerStates, authority: [isInvited], facts: [joinsOnce] },
  DECLINE: { states: openBlockerStates, authority: [isInvited], facts: [declinesOnce] },
  RESOLVE: { states: openBlockerStates, authority: [mayResolve], facts: [] },
  ESCALATE: { states: ['reported', 'helping'], authority: [], facts: [] },
};

/** The same table for a type that is not known at compile time, such as that of an event read from a record. */
export function rulesOfBlocker(type: string): BlockerEventRules<BlockerEvent> | undefined {
  return rulesOf<BlockerEventRules<BlockerEvent>>(blockerRules, type);
}

/** Why the event would be refused in this state; undefined when it would be accepted. */
export function explainBlocker(state: BlockerState, context: BlockerContext, event: BlockerEvent): Refusal | undefined {
  const rules = rulesOfBlocker(event.type);
  if (!rules) return unknownEvent('blocker', event.type, Object.keys(blockerRules));
  if (state === 'absent' && event.type !== 'REPORT') {
    return { code: 'TARGET_NOT_FOUND', message: 'there is no such blocker; check the id, or report it first' };
  }
  return (
    firstRefusal(rules.authority, context, event) ??
    (rules.states.includes(state) ? undefined : wrongState(state, context, event, rules.states)) ??
    firstRefusal(rules.facts, context, event)
  );
}

function wrongState(
  state: BlockerState,
  { resolved_by }: BlockerContext,
  event: BlockerEvent,
  states: readonly BlockerState[],
): Refusal {
  const details = { state, resolved_by };
  if (event.type === 'REPORT') {
    return { code: 'CONFLICT', message: 'a blocker of this id exists; choose another id', details };
  }
  const by = resolved_by === null ? '' : ` by ${resolved_by}`;
  return {
    code: 'CONFLICT',
    message: `the blocker is ${state}${by}; ${event.type} needs it to be ${either(states)}`,
    details,
  };
}
