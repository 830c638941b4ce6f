/**
 * The fabric as a whole: what all swarms together may spend, and whether anything may be claimed. What is spent and
 * reserved never exceeds what is allocated, and while it is paused nothing is reserved.
 */
import { assign, setup } from 'xstate';
import type { ActorMachine } from '../machine.ts';
import { allHold } from '../rules.ts';
import { absentFleet, type FleetContext, type FleetState } from './context.ts';
import type { FleetEvent } from './events.ts';
import { explainFleet, rulesOfFleet } from './rules.ts';
import { stepFleet } from './steps.ts';

/** A transition that the rules of its event permit and that writes what the step of its event says. */
function to<Target extends FleetState>(target: Target) {
  return { target, guard: 'permitted', actions: 'apply' } as const;
}

/** What changes the money and not the state. */
function spending<Target extends FleetState>(target: Target) {
  return { ALLOCATE: to(target), SETTLE: to(target), UNRESERVE: to(target), CHARGE: to(target) };
}

const logic = setup({
  types: {} as { context: FleetContext; events: FleetEvent },
  guards: {
    permitted: ({ context, event }) => {
      const rules = rulesOfFleet(event.type);
      return rules !== undefined && allHold(rules, context, event);
    },
  },
  actions: {
    apply: assign(({ context, event }) => stepFleet(context, event)),
  },
}).createMachine({
  id: 'fleet',
  context: absentFleet,
  initial: 'absent',
  states: {
    absent: { on: { ALLOCATE: to('open'), PAUSE: to('paused') } },
    open: { on: { ...spending('open'), RESERVE: to('open'), PAUSE: to('paused') } },
    paused: { on: { ...spending('paused'), PAUSE: to('paused'), RESUME: to('open') } },
  },
});

export const fleetMachine: ActorMachine<FleetContext, FleetEvent> = {
  kind: 'fleet',
  version: 1,
  logic,
  absent: { status: 'active', value: 'absent', context: absentFleet },
  explain: (snapshot, event) => explainFleet(snapshot.value as FleetState, snapshot.context, event),
};
