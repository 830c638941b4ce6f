/**
 * The life of a task. A task has at most one owner at a time, every ownership has a token greater than all before it,
 * and a task that is completed, failed or cancelled never changes again.
 */
import { assign, setup } from 'xstate';
import type { ActorMachine } from '../machine.ts';
import { allHold } from '../rules.ts';
import { absentTask, type TaskContext, type TaskState } from './context.ts';
import type { TaskEvent } from './events.ts';
import { afterAttempt, afterCreation, afterDependency } from './outcome.ts';
import { restoringTask } from './restoring.ts';
import { explainTask, rulesOfTask } from './rules.ts';
import { stepTask } from './steps.ts';

/** A transition that the rules of its event permit and that writes what the step of its event says. */
function to<Target extends TaskState>(target: Target) {
  return { target, guard: 'permitted', actions: 'apply' } as const;
}

/** The same, where the event also leads here only under a condition, which is a guard that asks the rules as well. */
function toIf<Condition extends string, Target extends TaskState>(condition: Condition, target: Target) {
  return { target, guard: condition, actions: 'apply' } as const;
}

const attemptEnds = [toIf('is tried again now', 'available'), toIf('is tried again later', 'waiting'), to('failed')];

const whileOwned = {
  FAIL: attemptEnds,
  RELEASE: to('available'),
  OWNER_LOST: attemptEnds,
  CANCEL: to('cancelled'),
};

const whileLeased = {
  ...whileOwned,
  COMPLETE: to('completed'),
  LEASE_EXPIRED: attemptEnds,
  BLOCK: to('blocked'),
};

function permits(context: TaskContext, event: TaskEvent): boolean {
  const rules = rulesOfTask(event.type);
  return rules !== undefined && allHold(rules, context, event);
}

function endsAttempt(event: TaskEvent) {
  return event.type === 'FAIL' || event.type === 'LEASE_EXPIRED' || event.type === 'OWNER_LOST';
}

const logic = setup({
  types: {} as { context: TaskContext; events: TaskEvent },
  guards: {
    permitted: ({ context, event }) => permits(context, event),
    'a dependency has failed': ({ context, event }) =>
      event.type === 'CREATE' && afterCreation(event) === 'failed' && permits(context, event),
    'must wait': ({ context, event }) =>
      event.type === 'CREATE' && afterCreation(event) === 'waiting' && permits(context, event),
    'nothing is open': ({ context, event }) =>
      event.type === 'DEPENDENCY_DONE' && afterDependency(context, event) === 'available' && permits(context, event),
    'fails with its dependency': ({ context, event }) =>
      context.on_dependency_failure === 'fail' && permits(context, event),
    'is tried again now': ({ context, event }) =>
      endsAttempt(event) && afterAttempt(context, event) === 'available' && permits(context, event),
    'is tried again later': ({ context, event }) =>
      endsAttempt(event) && afterAttempt(context, event) === 'waiting' && permits(context, event),
    'was not started': ({ context, event }) => context.blocked_from === 'claimed' && permits(context, event),
  },
  actions: {
    apply: assign(({ context, event }) => stepTask(context, event)),
  },
}).createMachine({
  id: 'task',
  context: absentTask,
  initial: 'absent',
  states: {
    absent: {
      on: { CREATE: [toIf('a dependency has failed', 'failed'), toIf('must wait', 'waiting'), to('available')] },
    },
    waiting: {
      on: {
        DEPENDENCY_DONE: [toIf('nothing is open', 'available'), to('waiting')],
        DEPENDENCY_FAILED: [toIf('fails with its dependency', 'failed'), to('waiting')],
        DUE: to('available'),
        CANCEL: to('cancelled'),
      },
    },
    available: { on: { ASSIGN: to('available'), CLAIM: to('claimed'), CANCEL: to('cancelled') } },
    claimed: { on: { ...whileLeased, START: to('in_progress') } },
    in_progress: { on: whileLeased },
    blocked: { on: { ...whileOwned, UNBLOCK: [toIf('was not started', 'claimed'), to('in_progress')] } },
    completed: { type: 'final' },
    failed: { type: 'final' },
    cancelled: { type: 'final' },
  },
});

export const taskMachine: ActorMachine<TaskContext, TaskEvent> = {
  kind: 'task',
  version: 2,
  logic,
  absent: { status: 'active', value: 'absent', context: absentTask },
  explain: (snapshot, event) => explainTask(snapshot.value as TaskState, snapshot.context, event),
  restoring: restoringTask,
};
