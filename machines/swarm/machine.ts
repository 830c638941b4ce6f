/**
 * The life of a swarm: whether it is registered, whether it is alive, and whether it may claim, in three regions. What
 * it has spent and reserved never exceeds what it was allocated, and an open circuit reserves nothing.
 */
import { and, assign, setup, stateIn } from 'xstate';
import type { ActorMachine } from '../machine.ts';
import { allHold } from '../rules.ts';
import { absentSwarm, type RegistrationState, type SwarmContext, type SwarmState } from './context.ts';
import type { SwarmEvent } from './events.ts';
import { explainSwarm, rulesOfSwarm } from './rules.ts';
import { stepSwarm } from './steps.ts';

const permitted = { guard: 'permitted', actions: 'apply' } as const;

function to<Target extends RegistrationState>(target: Target) {
  return { ...permitted, target } as const;
}

const whileOnline = { guard: and(['permitted', stateIn({ liveness: 'online' })]), actions: 'apply' } as const;
const whileRegistered = and(['permitted', stateIn({ registration: 'registered' })]);

/** What ends may end after the swarm unregistered. */
const endsOfWork = { SETTLE: permitted, UNRESERVE: permitted, SUCCESS: permitted, FAILURE: permitted };
const acts = {
  INVITE: permitted,
  GRANT: permitted,
  REVOKE: permitted,
  ALLOCATE: permitted,
  TRIP: permitted,
  RESET: permitted,
  PAUSE: permitted,
  RESUME: permitted,
};

const logic = setup({
  types: {} as { context: SwarmContext; events: SwarmEvent },
  guards: {
    permitted: ({ context, event }) => {
      const rules = rulesOfSwarm(event.type);
      return rules !== undefined && allHold(rules, context, event);
    },
    'there is a reason': ({ context }) => context.circuit_reasons.length > 0,
    'no reason is left': ({ context }) => context.circuit_reasons.length === 0,
  },
  actions: {
    apply: assign(({ context, event }) => stepSwarm(context, event)),
  },
}).createMachine({
  id: 'swarm',
  type: 'parallel',
  context: absentSwarm,
  states: {
    // Each event is applied to the context once, in the region that it is about; other regions only follow it.
    registration: {
      initial: 'absent',
      states: {
        absent: {
          on: { INVITE: to('invited'), GRANT: to('invited'), ALLOCATE: to('invited'), REGISTER: to('registered') },
        },
        invited: { on: { ...acts, REGISTER: to('registered') } },
        registered: {
          on: {
            ...acts,
            ...endsOfWork,
            REGISTER: permitted,
            RESERVE: whileOnline,
            CHARGE: permitted,
            UNREGISTER: to('retired'),
          },
        },
        retired: { on: { ...acts, ...endsOfWork, REGISTER: to('registered') } },
      },
    },
    liveness: {
      initial: 'offline',
      states: {
        offline: {
          on: {
            REGISTER: { target: 'online', guard: 'permitted' },
            ONLINE: { target: 'online', guard: whileRegistered, actions: 'apply' },
          },
        },
        online: {
          on: {
            OFFLINE: { target: 'offline', guard: whileRegistered, actions: 'apply' },
            UNREGISTER: { target: 'offline', guard: 'permitted' },
          },
        },
      },
    },
    circuit: {
      initial: 'closed',
      states: {
        closed: { always: { target: 'open', guard: 'there is a reason' } },
        open: { always: { target: 'closed', guard: 'no reason is left' } },
      },
    },
  },
});

export const swarmMachine: ActorMachine<SwarmContext, SwarmEvent> = {
  kind: 'swarm',
  version: 2,
  logic,
  absent: {
    status: 'active',
    value: { registration: 'absent', liveness: 'offline', circuit: 'closed' },
    context: absentSwarm,
  },
  explain: (snapshot, event) => explainSwarm(snapshot.value as SwarmState, snapshot.context, event),
};
