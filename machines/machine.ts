/**
 * What the store needs of a machine, whatever its kind. A machine is pure: no I/O, clock, randomness or network; times,
 * ids and facts about other actors arrive in events.
 */
import type { AnyStateMachine } from 'xstate';
import type { Code } from './codes.ts';
import type { Snapshot, StateValue } from './record.ts';
import { rehydrate, step } from './rehydrated.ts';

/** Why an event is refused: a code of the table, a sentence for people, and facts for programs. */
export interface Refusal {
  readonly code: Code;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** An event as it is offered to a machine. `at` is milliseconds since 1970, by the clock of the process that decides. */
export interface MachineEvent {
  readonly type: string;
  readonly at: number;
}

/**
 * One kind of actor. `logic` is an XState machine whose first state, `absent`, is never recorded. A guard of `logic`
 * consults the same rules as `explain`, so that they cannot disagree.
 */
export interface ActorMachine<Context = unknown, Event extends MachineEvent = MachineEvent> {
  readonly kind: string;
  /** Goes up whenever the same events could lead to other snapshots; recorded as `v`. */
  readonly version: number;
  readonly logic: AnyStateMachine;
  /** The snapshot of an actor of which nothing is recorded. */
  readonly absent: Snapshot<Context>;
  /** Why the event would be refused in this snapshot; undefined when it would be accepted. */
  explain(snapshot: Snapshot<Context>, event: Event): Refusal | undefined;
}

/** A machine of any kind, where only its kind, version and absent snapshot matter. */
export type AnyMachine = ActorMachine<unknown, never>;

export type Verdict<Context = unknown> =
  | { readonly accepted: true; readonly snapshot: Snapshot<Context> }
  | { readonly accepted: false; readonly refusal: Refusal };

/** Lets the machine decide: the next snapshot, or the refusal with its reason. */
export function decide<Context, Event extends MachineEvent>(
  machine: ActorMachine<Context, Event>,
  snapshot: Snapshot<Context>,
  event: Event,
): Verdict<Context> {
  const refusal = machine.explain(snapshot, event);
  if (refusal) return { accepted: false, refusal };
  const from = rehydrate(machine.logic, snapshot);
  const next = step(machine.logic, from, event);
  if (next === from) {
    throw new Error(
      `machine ${machine.kind}: explain() accepts ${event.type} in ${JSON.stringify(snapshot.value)}, its logic does not`,
    );
  }
  return {
    accepted: true,
    snapshot: {
      status: next.status === 'done' ? 'done' : 'active',
      value: next.value as StateValue,
      context: next.context as Context,
    },
  };
}
