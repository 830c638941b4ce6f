/**
 * The life of a blocker: what keeps a swarm from going on, who was asked for help, and how it ended. It is `helping`
 * while at least one swarm helps, `escalated` once a person was asked, whoever helps besides, and a resolved blocker
 * never changes again.
 */
import { assign, setup } from 'xstate';
import type { ActorMachine } from '../machine.ts';
import { allHold } from '../rules.ts';
import { absentBlocker, type BlockerContext, type BlockerState, joinedHelpers } from './context.ts';
import type { BlockerEvent } from './events.ts';
import { explainBlocker, rulesOfBlocker } from './rules.ts';
import { stepBlocker } from './steps.ts';

/** A transition that the rules of its event permit and that writes what the step of its event says. */
function to<Target extends BlockerState>(target: Target) {
  return { target, guard: 'permitted', actions: 'apply' } as const;
}

function permits(context: BlockerContext, event: BlockerEvent): boolean {
  const rules = rulesOfBlocker(event.type);
  return rules !== undefined && allHold(rules, context, event);
}

const logic = setup({
  types: {} as { context: BlockerContext; events: BlockerEvent },
  guards: {
    permitted: ({ context, event }) => permits(context, event),
    'someone else helps': ({ context, event }) =>
      event.type === 'DECLINE' && joinedHelpers(context).some((id) => id !== event.by) && permits(context, event),
  },
  actions: {
    apply: assign(({ context, event }) => stepBlocker(context, event)),
  },
}).createMachine({
  id: 'blocker',
  context: absentBlocker,
  initial: 'absent',
  states: {
    absent: { on: { REPORT: to('reported') } },
    reported: {
      on: {
        INVITE: to('reported'),
        JOIN: to('helping'),
        DECLINE: to('reported'),
        ESCALATE: to('escalated'),
        RESOLVE: to('resolved'),
      },
    },
    helping: {
      on: {
        INVITE: to('helping'),
        JOIN: to('helping'),
        DECLINE: [{ target: 'helping', guard: 'someone else helps', actions: 'apply' }, to('reported')],
        ESCALATE: to('escalated'),
        RESOLVE: to('resolved'),
      },
    },
    escalated: {
      on: { INVITE: to('escalated'), JOIN: to('escalated'), DECLINE: to('escalated'), RESOLVE: to('resolved') },
    },
    resolved: { type: 'final' },
  },
});

export const blockerMachine: ActorMachine<BlockerContext, BlockerEvent> = {
  kind: 'blocker',
  version: 2,
  logic,
  absent: { status: 'active', value: 'absent', context: absentBlocker },
  explain: (snapshot, event) => explainBlocker(snapshot.value as BlockerState, snapshot.context, event),
};
