/** When each event of a service is refused, and how that is said. The state chart in `machine.ts` asks the same table. */
import type { Refusal } from '../machine.ts';
import { type EventRules, either, firstRefusal, type Rule, rulesOf, unknownEvent } from '../rules.ts';
import type { RestartPolicy, ServiceContext, ServiceState } from './context.ts';
import { serviceStates } from './context.ts';
import type { ServiceEvent, ServiceEventOf, ServiceEventType } from './events.ts';

type ServiceRule<Type extends ServiceEventType> = Rule<ServiceContext, ServiceEventOf<Type>>;

/** The same process cannot start what it runs already; another one takes over, because this one is gone. */
const runsElsewhere: ServiceRule<'START'> = {
  code: 'CONFLICT',
  broken: (service, event) => service.ended_at === null && service.pid === event.pid && service.host === event.host,
  message: (_, event) => `process ${event.pid} on ${event.host} runs the service already; stop it first`,
};

const validPolicy: ServiceRule<'START'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { policy }) => policy !== undefined && !isPolicy(policy),
  message: (_, { policy }) =>
    `the restart policy is ${JSON.stringify(policy)}; allowed: whole numbers from 0, the least back-off not above the most`,
};

function isPolicy(policy: RestartPolicy): boolean {
  const { max_restarts, window_ms, backoff_min_ms, backoff_max_ms } = policy;
  const numbers = [max_restarts, window_ms, backoff_min_ms, backoff_max_ms];
  return numbers.every((value) => Number.isSafeInteger(value) && value >= 0) && backoff_min_ms <= backoff_max_ms;
}

const waitIsOver: ServiceRule<'RETRY'> = {
  code: 'CONFLICT',
  broken: (service, event) => service.retry_at !== null && event.at < service.retry_at,
  message: (service, event) => `the service waits until ${service.retry_at}, and it is ${event.at}`,
  details: (service) => ({ retry_at: service.retry_at }),
};

export const serviceRules: {
  readonly [Type in ServiceEventType]: EventRules<ServiceContext, ServiceEventOf<Type>, ServiceState>;
} = {
  START: { states: serviceStates, authority: [], facts: [runsElsewhere, validPolicy] },
  READY: { states: ['starting'], authority: [], facts: [] },
  EXIT: { states: ['starting', 'running', 'stopping'], authority: [], facts: [] },
  RETRY: { states: ['backing_off'], authority: [], facts: [waitIsOver] },
  STOP: { states: ['starting', 'running', 'backing_off'], authority: [], facts: [] },
  STOPPED: { states: ['stopping'], authority: [], facts: [] },
  ESCALATE: { states: ['starting', 'running', 'backing_off', 'stopping'], authority: [], facts: [] },
};

/** The same table for a type that is not known at compile time, such as that of an event read from a record. */
export function rulesOfService(type: string): EventRules<ServiceContext, ServiceEvent, ServiceState> | undefined {
  return rulesOf<EventRules<ServiceContext, ServiceEvent, ServiceState>>(serviceRules, type);
}

/** Why the event would be refused in this state; undefined when it would be accepted. */
export function explainService(state: ServiceState, context: ServiceContext, event: ServiceEvent): Refusal | undefined {
  const rules = rulesOfService(event.type);
  if (!rules) return unknownEvent('service', event.type, Object.keys(serviceRules));
  if (!rules.states.includes(state)) {
    return {
      code: 'CONFLICT',
      message: `the service is ${state}; ${event.type} needs it to be ${either(rules.states)}`,
      details: { state },
    };
  }
  return firstRefusal(rules.facts, context, event);
}
