/**
 * Walks a machine with the graph tools of XState, along its own state chart, and asks in every state reached what
 * `explain` says of every event. The two must agree: an event without a refusal takes a transition, a refused one none.
 */
import { type AnyEventObject, type AnyMachineSnapshot, transition } from 'xstate';
import { type AdjacencyMap, getAdjacencyMap } from 'xstate/graph';
import { type ActorMachine, decide, type MachineEvent, type Refusal } from '../../machines/machine.ts';
import type { Snapshot } from '../../machines/record.ts';

export interface Meeting<Context, Event> {
  readonly snapshot: Snapshot<Context>;
  readonly event: Event;
  readonly refusal: Refusal | undefined;
  /** Whether the XState machine itself, asked without `explain`, takes a transition. */
  readonly taken: boolean;
  /** What `decide` makes of it; the snapshot as it was where it refuses. */
  readonly next: Snapshot<Context>;
  /** What `transition` of XState makes of it. */
  readonly expected: Snapshot<Context>;
}

/** Every state that can be reached, as `identity` tells them apart, met with every event. */
export function meetings<Context, Event extends MachineEvent>(
  machine: ActorMachine<Context, Event>,
  events: readonly Event[],
  identity: (snapshot: Snapshot<Context>) => unknown,
): Meeting<Context, Event>[] {
  const map: AdjacencyMap<AnyMachineSnapshot, AnyEventObject> = getAdjacencyMap(machine.logic, {
    events: events as readonly AnyEventObject[],
    serializeState: (state) => JSON.stringify(identity(plain(state as AnyMachineSnapshot))),
    serializeEvent: (event) => JSON.stringify(event),
    limit: 1_000_000,
  });
  return Object.values(map).flatMap(({ state }) => events.map((event) => meet(machine, state, event)));
}

function meet<Context, Event extends MachineEvent>(
  machine: ActorMachine<Context, Event>,
  state: AnyMachineSnapshot,
  event: Event,
): Meeting<Context, Event> {
  const snapshot: Snapshot<Context> = plain(state);
  const refusal = machine.explain(snapshot, event);
  const [moved] = transition(machine.logic, state, event as AnyEventObject);
  const verdict = decide(machine, snapshot, event);
  return {
    snapshot,
    event,
    refusal,
    taken: moved !== state,
    next: verdict.accepted ? verdict.snapshot : snapshot,
    expected: plain(moved),
  };
}

function plain<Context>(state: AnyMachineSnapshot): Snapshot<Context> {
  return { status: state.status === 'done' ? 'done' : 'active', value: state.value, context: state.context as Context };
}
