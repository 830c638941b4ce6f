/** What each accepted event writes into a service's context. */
import { absentService, defaultRestartPolicy, type ServiceContext } from './context.ts';
import type { ServiceEvent, ServiceEventOf, ServiceEventType } from './events.ts';
import { backoff, countedRestarts, isExhausted } from './restarts.ts';

type Steps = {
  readonly [Type in ServiceEventType]: (
    service: ServiceContext,
    event: ServiceEventOf<Type>,
  ) => Partial<ServiceContext>;
};

const steps: Steps = {
  START: (_, event) => ({
    ...absentService,
    pid: event.pid,
    host: event.host,
    version: event.version,
    policy: event.policy ?? defaultRestartPolicy,
    started_at: event.at,
  }),
  READY: (service, event) => ({ ready_at: event.at, pid: event.pid ?? service.pid, last_error: null }),
  EXIT: (service, event) => ({ last_error: event.reason, ready_at: null, ...afterExit(service, event.at) }),
  RETRY: (service, event) => ({
    restarts: service.restarts + 1,
    restarts_at: [...countedRestarts(service, event.at), event.at],
    backoff_ms: 0,
    retry_at: null,
    started_at: event.at,
  }),
  // A service that waits for its restart does not run: it has stopped with being asked to.
  STOP: (service, event) => ({
    stopping_at: event.at,
    ended_at: service.retry_at === null ? null : event.at,
    backoff_ms: 0,
    retry_at: null,
  }),
  STOPPED: (_, event) => ({ ready_at: null, ended_at: event.at }),
  ESCALATE: (_, event) => ({
    last_error: event.reason,
    ready_at: null,
    backoff_ms: 0,
    retry_at: null,
    ended_at: event.at,
  }),
};

function afterExit(service: ServiceContext, at: number): Partial<ServiceContext> {
  if (service.stopping_at !== null || isExhausted(service, at)) return { ended_at: at };
  const wait = backoff(service, at);
  return { backoff_ms: wait, retry_at: at + wait };
}

/** The fields that an accepted event changes. */
export function stepService(service: ServiceContext, event: ServiceEvent): Partial<ServiceContext> {
  const step = steps[event.type] as (service: ServiceContext, event: ServiceEvent) => Partial<ServiceContext>;
  return { ...step(service, event), updated_at: event.at };
}
