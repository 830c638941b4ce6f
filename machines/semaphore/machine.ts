/**
 * The life of a semaphore: the places of one key, such as those of all tasks that touch one database. At no time do
 * more tasks hold a place than the one that came last allows, and no task holds two.
 */
import { assign, setup } from 'xstate';
import type { ActorMachine } from '../machine.ts';
import { allHold } from '../rules.ts';
import { absentSemaphore, othersOf, type SemaphoreContext, type SemaphoreState } from './context.ts';
import type { SemaphoreEvent } from './events.ts';
import { explainSemaphore, rulesOfSemaphore } from './rules.ts';
import { stepSemaphore } from './steps.ts';

/** A transition that the rules of its event permit and that writes what the step of its event says. */
function to<Target extends SemaphoreState>(target: Target) {
  return { target, guard: 'permitted', actions: 'apply' } as const;
}

function permits(context: SemaphoreContext, event: SemaphoreEvent): boolean {
  const rules = rulesOfSemaphore(event.type);
  return rules !== undefined && allHold(rules, context, event);
}

const logic = setup({
  types: {} as { context: SemaphoreContext; events: SemaphoreEvent },
  guards: {
    permitted: ({ context, event }) => permits(context, event),
    'no one else holds a place': ({ context, event }) =>
      othersOf(context, event.holder).length === 0 && permits(context, event),
  },
  actions: {
    apply: assign(({ context, event }) => stepSemaphore(context, event)),
  },
}).createMachine({
  id: 'semaphore',
  context: absentSemaphore,
  initial: 'absent',
  states: {
    absent: { on: { ACQUIRE: to('held') } },
    held: {
      on: {
        ACQUIRE: to('held'),
        RELEASE: [{ target: 'free', guard: 'no one else holds a place', actions: 'apply' }, to('held')],
      },
    },
    free: { on: { ACQUIRE: to('held') } },
  },
});

export const semaphoreMachine: ActorMachine<SemaphoreContext, SemaphoreEvent> = {
  kind: 'semaphore',
  version: 1,
  logic,
  absent: { status: 'active', value: 'absent', context: absentSemaphore },
  explain: (snapshot, event) => explainSemaphore(snapshot.context, event),
};
