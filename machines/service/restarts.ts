/** Whether a service that ended is started again, and after how long: decided from times on record alone. */
import type { ServiceContext } from './context.ts';

/** The restarts that still count at this time. */
export function countedRestarts(service: ServiceContext, at: number): number[] {
  return service.restarts_at.filter((time) => time > at - service.policy.window_ms);
}

/** Whether one more restart would be too many. */
export function isExhausted(service: ServiceContext, at: number): boolean {
  return countedRestarts(service, at).length >= service.policy.max_restarts;
}

/** The wait before the next restart, in milliseconds: doubled with each that counts, within the policy's limits. */
export function backoff(service: ServiceContext, at: number): number {
  const { backoff_min_ms, backoff_max_ms } = service.policy;
  return Math.min(backoff_max_ms, backoff_min_ms * 2 ** countedRestarts(service, at).length);
}
