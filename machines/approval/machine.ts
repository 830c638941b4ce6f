/**
 * The life of an approval: what a person is asked to allow, and what the person said. It is decided once, only by an
 * operator who gives a name, and given only before it expires.
 */
import { assign, setup } from 'xstate';
import type { ActorMachine } from '../machine.ts';
import { allHold } from '../rules.ts';
import { type ApprovalContext, type ApprovalState, absentApproval } from './context.ts';
import type { ApprovalEvent } from './events.ts';
import { explainApproval, rulesOfApproval } from './rules.ts';
import { stepApproval } from './steps.ts';

/** A transition that the rules of its event permit and that writes what the step of its event says. */
function to<Target extends ApprovalState>(target: Target) {
  return { target, guard: 'permitted', actions: 'apply' } as const;
}

const logic = setup({
  types: {} as { context: ApprovalContext; events: ApprovalEvent },
  guards: {
    permitted: ({ context, event }) => {
      const rules = rulesOfApproval(event.type);
      return rules !== undefined && allHold(rules, context, event);
    },
  },
  actions: {
    apply: assign(({ context, event }) => stepApproval(context, event)),
  },
}).createMachine({
  id: 'approval',
  context: absentApproval,
  initial: 'absent',
  states: {
    absent: { on: { ASK: to('pending') } },
    pending: { on: { APPROVE: to('approved'), REJECT: to('rejected'), EXPIRE: to('expired') } },
    approved: { type: 'final' },
    rejected: { type: 'final' },
    expired: { type: 'final' },
  },
});

export const approvalMachine: ActorMachine<ApprovalContext, ApprovalEvent> = {
  kind: 'approval',
  version: 1,
  logic,
  absent: { status: 'active', value: 'absent', context: absentApproval },
  explain: (snapshot, event) => explainApproval(snapshot.value as ApprovalState, snapshot.context, event),
};
