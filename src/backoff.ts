/** Waiting between tries: exponential with full jitter, so that many callers do not come back at the same moment. */
import { setTimeout as delay } from 'node:timers/promises';

export interface Backoff {
  /** Milliseconds. */
  readonly first: number;
  readonly max: number;
}

/** The wait before try number `attempt` (from 0): between half of the exponential step and all of it, in milliseconds. */
export function backoffMs({ first, max }: Backoff, attempt: number, random: () => number = Math.random): number {
  const step = Math.min(max, first * 2 ** Math.min(attempt, 20));
  return step * (0.5 + random() / 2);
}

export async function backOff(backoff: Backoff, attempt: number, signal?: AbortSignal): Promise<void> {
  await delay(backoffMs(backoff, attempt), undefined, signal ? { signal } : {});
}
