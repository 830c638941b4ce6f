/** When a policy is refused, and how that is said. The state chart in `machine.ts` asks the same table. */
import { sameJson } from '../equality.ts';
import type { Refusal } from '../machine.ts';
import type { Json } from '../record.ts';
import { type EventRules, firstRefusal, type Rule, rulesOf, unknownEvent } from '../rules.ts';
import type { PolicyContext, PolicyState } from './context.ts';
import type { PolicyEvent, PolicyEventOf, PolicyEventType } from './events.ts';
import { type GovernorPolicy, invalidPolicy } from './values.ts';

type PolicyRule<Type extends PolicyEventType> = Rule<PolicyContext, PolicyEventOf<Type>>;

const validValues: PolicyRule<'LOAD'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { policy }) => invalidPolicy(policy) !== undefined,
  message: (_, { policy }) => {
    const wrong = invalidPolicy(policy);
    return `${wrong?.field} is ${JSON.stringify(wrong?.value)}; allowed: ${wrong?.allowed}`;
  },
  details: (_, { policy }) => ({ field: invalidPolicy(policy)?.field }),
};

/**
 * So that of several who read the same file only one writes it down. The values are compared, too: another version of
 * the program may fill in other ones for what the file does not say.
 */
const isNews: PolicyRule<'LOAD'> = {
  code: 'CONFLICT',
  broken: (present, { file, digest, policy }) =>
    present.loaded_at > 0 && present.digest === digest && present.file === file && sameValues(present.policy, policy),
  message: () => 'this content of the file is in force already; there is nothing to change',
  details: ({ digest }) => ({ digest }),
};

function sameValues(a: GovernorPolicy, b: GovernorPolicy): boolean {
  return sameJson({ ...a } as unknown as Json, { ...b } as unknown as Json);
}

export const policyRules: {
  readonly [Type in PolicyEventType]: EventRules<PolicyContext, PolicyEventOf<Type>, PolicyState>;
} = {
  LOAD: { states: ['absent', 'loaded'], authority: [], facts: [validValues, isNews] },
};

/** The same table for a type that is not known at compile time, such as that of an event read from a record. */
export function rulesOfPolicy(type: string): EventRules<PolicyContext, PolicyEvent, PolicyState> | undefined {
  return rulesOf<EventRules<PolicyContext, PolicyEvent, PolicyState>>(policyRules, type);
}

/** Why the event would be refused; undefined when it would be accepted. Every state accepts what the rules accept. */
export function explainPolicy(context: PolicyContext, event: PolicyEvent): Refusal | undefined {
  const rules = rulesOfPolicy(event.type);
  if (!rules) return unknownEvent('policy', event.type, Object.keys(policyRules));
  return firstRefusal(rules.facts, context, event);
}
