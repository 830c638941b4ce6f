/** When each event of an approval is refused, and how that is said. The state chart in `machine.ts` asks the same table. */
import { operatorId } from '../address.ts';
import type { Refusal } from '../machine.ts';
import { type EventRules, either, firstRefusal, type Rule, rulesOf, unknownEvent } from '../rules.ts';
import type { ApprovalContext, ApprovalState } from './context.ts';
import type { ApprovalEvent, ApprovalEventOf, ApprovalEventType } from './events.ts';

type ApprovalRule<Type extends ApprovalEventType> = Rule<ApprovalContext, ApprovalEventOf<Type>>;

const validAction: ApprovalRule<'ASK'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { action }) => typeof action !== 'string' || action === '',
  message: (_, { action }) => `action is ${JSON.stringify(action)}; allowed: the name of what is to be approved`,
  details: () => ({ field: 'action' }),
};

const expiresLater: ApprovalRule<'ASK'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { expires_at, at }) => !(Number.isSafeInteger(expires_at) && expires_at > at),
  message: (_, { expires_at, at }) => `expires_at is ${expires_at}; allowed: a time after ${at}`,
  details: () => ({ field: 'expires_at' }),
};

const byOperator: ApprovalRule<'APPROVE' | 'REJECT'> = {
  code: 'UNAUTHORIZED',
  broken: (_, { by }) => by !== operatorId,
  message: (_, { by }) => `${by} may not decide the approval; only an operator may`,
};

const namesThePerson: ApprovalRule<'APPROVE' | 'REJECT'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { name }) => typeof name !== 'string' || name.trim() === '',
  message: (_, { name }) => `name is ${JSON.stringify(name)}; allowed: the name of the person who decides`,
  details: () => ({ field: 'name' }),
};

const inTime: ApprovalRule<'APPROVE'> = {
  code: 'CONFLICT',
  broken: (approval, { at }) => at >= approval.expires_at,
  message: (approval, { at }) =>
    `the approval could be given until ${approval.expires_at}, and it is ${at}; ask for it again`,
  details: (approval) => ({ expires_at: approval.expires_at }),
};

const timeIsOver: ApprovalRule<'EXPIRE'> = {
  code: 'CONFLICT',
  broken: (approval, { at }) => at < approval.expires_at,
  message: (approval, { at }) => `the approval can be given until ${approval.expires_at}, and it is ${at}`,
  details: (approval) => ({ expires_at: approval.expires_at }),
};

export const approvalRules: {
  readonly [Type in ApprovalEventType]: EventRules<ApprovalContext, ApprovalEventOf<Type>, ApprovalState>;
} = {
  ASK: { states: ['absent'], authority: [], facts: [validAction, expiresLater] },
  APPROVE: { states: ['pending'], authority: [byOperator], facts: [namesThePerson, inTime] },
  REJECT: { states: ['pending'], authority: [byOperator], facts: [namesThePerson] },
  EXPIRE: { states: ['pending'], authority: [], facts: [timeIsOver] },
};

/** The same table for a type that is not known at compile time, such as that of an event read from a record. */
export function rulesOfApproval(type: string): EventRules<ApprovalContext, ApprovalEvent, ApprovalState> | undefined {
  return rulesOf<EventRules<ApprovalContext, ApprovalEvent, ApprovalState>>(approvalRules, type);
}

/** Why the event would be refused in this state; undefined when it would be accepted. */
export function explainApproval(
  state: ApprovalState,
  context: ApprovalContext,
  event: ApprovalEvent,
): Refusal | undefined {
  const rules = rulesOfApproval(event.type);
  if (!rules) return unknownEvent('approval', event.type, Object.keys(approvalRules));
  if (state === 'absent' && event.type !== 'ASK') {
    return { code: 'TARGET_NOT_FOUND', message: 'there is no such approval; check the id, or ask for it first' };
  }
  return (
    firstRefusal(rules.authority, context, event) ??
    (rules.states.includes(state) ? undefined : wrongState(state, context, event, rules.states)) ??
    firstRefusal(rules.facts, context, event)
  );
}

function wrongState(
  state: ApprovalState,
  { decided_name }: ApprovalContext,
  event: ApprovalEvent,
  states: readonly ApprovalState[],
): Refusal {
  const details = { state, decided_name };
  if (event.type === 'ASK') {
    return { code: 'CONFLICT', message: 'an approval of this id exists; choose another id', details };
  }
  const by = decided_name === null ? '' : ` by ${decided_name}`;
  return {
    code: 'CONFLICT',
    message: `the approval is ${state}${by}; ${event.type} needs it to be ${either(states)}`,
    details,
  };
}
