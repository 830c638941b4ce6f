/**
 * What the store needs of a machine, whatever its kind. A machine is pure: no I/O, clock, randomness or network; times,
 * ids and facts about other actors arrive in events.
 */
import type { AnyStateMachine } from 'xstate';
import type { Code } from './codes.ts';
import type { Snapshot, StateValue } from './record.ts';
import { rehydrate, step } from './rehydrated.ts';
import { maxEpoch } from './token.ts';

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

/** The event of every kind of actor that takes it over into a new epoch of the log. */
export const restoredEvent = 'RESTORED';

/**
 * An actor comes back after the log was lost: its state is what the named entry of the witness recorded, in a log of a
 * new epoch. Accepted in every state, also a final one, which it leaves as it is.
 */
export interface Restored extends MachineEvent {
  readonly type: typeof restoredEvent;
  /** The new epoch of the log. */
  readonly epoch: number;
  /** The entry it comes from: chain, sequence number, and content hash (64 hex digits). */
  readonly chain: string;
  readonly seq: number;
  readonly content_hash: string;
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
  /** What of an actor does not outlive the epoch of the log; without it everything does. */
  readonly restoring?: Restoring<Context>;
}

/** How a kind of actor is taken over into a new epoch. */
export interface Restoring<Context> {
  /** Why this epoch cannot be the next one of the actor. */
  explain(snapshot: Snapshot<Context>, event: Restored): Refusal | undefined;
  /** The fields that change. */
  step(snapshot: Snapshot<Context>, event: Restored): Partial<Context>;
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
  if (isRestored(event)) return restore(machine, snapshot, event);
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

function isRestored(event: MachineEvent): event is Restored {
  return event.type === restoredEvent;
}

function restore<Context>(
  machine: ActorMachine<Context, never>,
  snapshot: Snapshot<Context>,
  event: Restored,
): Verdict<Context> {
  const refusal = malformed(machine, snapshot, event) ?? machine.restoring?.explain(snapshot, event);
  if (refusal) return { accepted: false, refusal };
  const changed = machine.restoring?.step(snapshot, event);
  return {
    accepted: true,
    snapshot: changed ? { ...snapshot, context: { ...snapshot.context, ...changed } } : snapshot,
  };
}

function malformed(machine: AnyMachine, snapshot: Snapshot, event: Restored): Refusal | undefined {
  const { epoch, chain, seq, content_hash } = event;
  if (snapshot.value === machine.absent.value) {
    return { code: 'INVALID_REQUEST', message: `there is no ${machine.kind} to restore; nothing is recorded of it` };
  }
  const counts = [epoch, seq].every((value) => Number.isSafeInteger(value) && value >= 1);
  if (counts && epoch <= maxEpoch && typeof chain === 'string' && /^[0-9a-f]{64}$/.test(content_hash)) return undefined;
  return {
    code: 'INVALID_REQUEST',
    message: `epoch ${epoch}, ${chain}/${seq}, ${content_hash} name no entry to restore from; epoch and seq count from 1, the hash has 64 hex digits`,
  };
}
