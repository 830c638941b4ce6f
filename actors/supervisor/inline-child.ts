/** A service in this process. */
import type { RunningService } from '../service.ts';
import type { Child, StartChild } from './child.ts';

/** `start` begins the service and resolves when it answers. */
export function inlineChild(start: () => Promise<RunningService>): StartChild {
  return (): Child => {
    const starting = start();
    let stopped: () => void = () => {};
    const byRequest = new Promise<string>((resolve) => {
      stopped = () => resolve('stopped');
    });
    const byItself = starting.then((service) => service.failed).catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    return {
      pid: process.pid,
      ready: starting.then(() => {}),
      ended: Promise.race([byRequest, byItself]),
      stop: async () => {
        await starting.then(
          async (service) => await service.stop(),
          () => {},
        );
        stopped();
      },
    };
  };
}
