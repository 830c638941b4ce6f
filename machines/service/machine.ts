/**
 * The life of a supervised service: when it is started again after it ended, and when its supervisor gives up. More
 * restarts in one window than the policy allows end in `failed`, from where only a new START leads.
 */
import { assign, setup } from 'xstate';
import type { ActorMachine } from '../machine.ts';
import { allHold } from '../rules.ts';
import { absentService, type ServiceContext, type ServiceState } from './context.ts';
import type { ServiceEvent } from './events.ts';
import { isExhausted } from './restarts.ts';
import { explainService, rulesOfService } from './rules.ts';
import { stepService } from './steps.ts';

function to<Target extends ServiceState>(target: Target) {
  return { target, guard: 'permitted', actions: 'apply' } as const;
}

function permits(context: ServiceContext, event: ServiceEvent): boolean {
  const rules = rulesOfService(event.type);
  return rules !== undefined && allHold(rules, context, event);
}

const afterExit = [{ target: 'failed', guard: 'restarted too often', actions: 'apply' }, to('backing_off')] as const;

const logic = setup({
  types: {} as { context: ServiceContext; events: ServiceEvent },
  guards: {
    permitted: ({ context, event }) => permits(context, event),
    'restarted too often': ({ context, event }) => isExhausted(context, event.at) && permits(context, event),
  },
  actions: {
    apply: assign(({ context, event }) => stepService(context, event)),
  },
}).createMachine({
  id: 'service',
  context: absentService,
  initial: 'absent',
  on: { START: { ...to('starting'), target: '.starting' } },
  states: {
    absent: {},
    starting: { on: { READY: to('running'), EXIT: afterExit, STOP: to('stopping'), ESCALATE: to('failed') } },
    running: { on: { EXIT: afterExit, STOP: to('stopping'), ESCALATE: to('failed') } },
    backing_off: { on: { RETRY: to('starting'), STOP: to('stopped'), ESCALATE: to('failed') } },
    stopping: { on: { STOPPED: to('stopped'), EXIT: to('stopped'), ESCALATE: to('failed') } },
    stopped: {},
    failed: {},
  },
});

export const serviceMachine: ActorMachine<ServiceContext, ServiceEvent> = {
  kind: 'service',
  version: 1,
  logic,
  absent: { status: 'active', value: 'absent', context: absentService },
  explain: (snapshot, event) => explainService(snapshot.value as ServiceState, snapshot.context, event),
};
