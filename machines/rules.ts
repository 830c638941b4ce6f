/**
 * Rules: why an event is refused. A machine's guard and its `explain` read the same table, so that they cannot disagree:
 * the guard asks whether all rules hold, `explain` names the first that does not. Rules read; they never change anything.
 */
import type { Code } from './codes.ts';
import type { Refusal } from './machine.ts';

/** One reason to say no. `message` and `details` are only asked for when `broken` answered true. */
export interface Rule<Context, Event> {
  readonly code: Code;
  broken(context: Context, event: Event): boolean;
  /** What is wrong, the value that was received, and what to do next; never a secret or a token. */
  message(context: Context, event: Event): string;
  details?(context: Context, event: Event): Readonly<Record<string, unknown>>;
}

/** When an event can happen: `authority` is asked first, then the state, then `facts`. */
export interface EventRules<Context, Event, State extends string = string> {
  /** The states in which the event can happen at all. */
  readonly states: readonly State[];
  /** Who may do this. Asked before the state, so that a stranger learns nothing of it. */
  readonly authority: readonly Rule<Context, Event>[];
  /** What must hold besides, in the order in which it is reported. */
  readonly facts: readonly Rule<Context, Event>[];
}

/** The first of the rules that is broken, as a refusal. */
export function firstRefusal<Context, Event>(
  rules: readonly Rule<Context, Event>[],
  context: Context,
  event: Event,
): Refusal | undefined {
  for (const rule of rules) {
    if (!rule.broken(context, event)) continue;
    const refusal = { code: rule.code, message: rule.message(context, event) };
    return rule.details ? { ...refusal, details: rule.details(context, event) } : refusal;
  }
  return undefined;
}

/** Whether no rule is broken, whatever the state. What a guard asks: the state chart has chosen the state already. */
export function allHold<Context, Event>(rules: EventRules<Context, Event>, context: Context, event: Event): boolean {
  for (const rule of rules.authority) if (rule.broken(context, event)) return false;
  for (const rule of rules.facts) if (rule.broken(context, event)) return false;
  return true;
}

/** The rules of an event of this type; undefined for a type that the machine does not know. */
export function rulesOf<Rules>(table: Readonly<Record<string, Rules>>, type: string): Rules | undefined {
  return Object.hasOwn(table, type) ? table[type] : undefined;
}

/** The refusal of an event that the machine does not know. */
export function unknownEvent(kind: string, type: string, known: Iterable<string>): Refusal {
  return {
    code: 'INVALID_REQUEST',
    message: `a ${kind} knows no event ${JSON.stringify(type)}; it knows ${[...known].join(', ')}`,
  };
}

/** The list in words: `a`, `a or b`, `a, b or c`. */
export function either(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
