/**
 * XState's pure transition, for snapshots that come from records. It gives what `transition()` of XState gives, at a
 * third of its cost: the inert actor that XState makes for every call, and the state nodes of a state value, are made
 * once per machine and reused. Nothing that depends on the context of a snapshot is kept.
 */
import {
  type AnyActorScope,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  createActor,
  type EventObject,
} from 'xstate';
import type { Snapshot } from './record.ts';

interface Reused {
  readonly scope: AnyActorScope;
  /** An XState snapshot of each state value met so far: as many as the machine has state values. */
  readonly states: Map<string, AnyMachineSnapshot>;
}

/** What is derived from a machine alone, for as long as that machine lives. */
const reused = new WeakMap<AnyStateMachine, Reused>();

/** The XState snapshot that a recorded one stands for. Throws when the machine has no such state. */
export function rehydrate(logic: AnyStateMachine, snapshot: Snapshot): AnyMachineSnapshot {
  const { states } = reusedOf(logic);
  const { value } = snapshot;
  const key = typeof value === 'string' ? value : JSON.stringify(value);
  let state = states.get(key);
  if (!state) {
    state = logic.resolveState({ value, context: {} }) as AnyMachineSnapshot;
    states.set(key, state);
  }
  return { ...state, context: snapshot.context };
}

/** The next snapshot, or `from` itself when no transition is taken. Actions other than `assign` are not run. */
export function step(logic: AnyStateMachine, from: AnyMachineSnapshot, event: EventObject): AnyMachineSnapshot {
  return logic.transition(from, event, reusedOf(logic).scope) as AnyMachineSnapshot;
}

function reusedOf(logic: AnyStateMachine): Reused {
  let found = reused.get(logic);
  if (!found) {
    found = { scope: inertScope(logic), states: new Map() };
    reused.set(logic, found);
  }
  return found;
}

function inertScope(logic: AnyStateMachine): AnyActorScope {
  const self = createActor(logic);
  const nothing = () => {};
  return {
    self,
    system: self.system,
    id: '',
    sessionId: '',
    logger: nothing,
    defer: nothing,
    emit: nothing,
    stopChild: nothing,
    actionExecutor: nothing,
  };
}
