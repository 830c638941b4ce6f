/** A service in this process. One that fails is stopped before it counts as ended: nothing else would end what it left. */
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningService } from '../service.ts';
import type { Child, StartChild } from './child.ts';

/** How long a service that failed may take to stop, milliseconds. */
const stopTimeoutMs = 8_000;

/** `start` begins the service and resolves when it answers. */
export function inlineChild(start: () => Promise<RunningService>): StartChild {
  return (): Child => {
    const starting = start();
    let stopped: () => void = () => {};
    const byRequest = new Promise<string>((resolve) => {
      stopped = () => resolve('stopped');
    });
    const byItself = starting
      .then(async (service) => await service.failed.catch(async (error: unknown) => await abandon(service, error)))
      .catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    return {
      pid: process.pid,
      ready: starting.then(() => {}),
      ended: Promise.race([byRequest, byItself]),
      stop: async (graceMs) => {
        const ending = starting.then(
          async (service) => await service.stop(),
          () => {},
        );
        // Nothing in this process can be ended by force; what goes on is left to itself.
        if (graceMs === undefined) await ending;
        else await Promise.race([ending.catch(() => {}), delay(graceMs, undefined, { ref: false })]);
        stopped();
      },
    };
  };
}

async function abandon(service: RunningService, error: unknown): Promise<never> {
  const stopped = service.stop().catch(() => {});
  await Promise.race([stopped, delay(stopTimeoutMs, undefined, { ref: false })]);
  throw error;
}
