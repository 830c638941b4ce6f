/**
 * Whether a node takes part in its cluster. `/healthz` without a query answers 200 only when the node has a leader of the
 * cluster and is current; the shorter checks of the server answer before that.
 */
import { get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const answerTimeoutMs = 1_000;
const pollMs = 20;

export function isHealthy(httpPort: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(
      { host: '127.0.0.1', port: httpPort, path: '/healthz', agent: false, timeout: answerTimeoutMs },
      (response) => {
        response.resume();
        response.once('error', () => resolve(false));
        resolve(response.statusCode === 200);
      },
    );
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(false));
    request.once('close', () => resolve(false));
  });
}

/** Resolves to true once the node is healthy, to false when `signal` ends the wait. `ref` keeps this process alive. */
export async function untilHealthy(httpPort: number, signal: AbortSignal, ref: boolean): Promise<boolean> {
  for (;;) {
    if (signal.aborted) return false;
    if (await isHealthy(httpPort)) return !signal.aborted;
    await delay(pollMs, undefined, { signal, ref }).catch(() => {});
  }
}
