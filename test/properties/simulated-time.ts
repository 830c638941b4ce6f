/**
 * All time of a test: while it is installed, timeouts and the time of day follow the simulated clock, so that what waits
 * for a moment waits for the commands of the test. (The store's pauses after conflicts stay real, and short.)
 */
import { SimulatedClock } from '../../src/clock.ts';

export class SimulatedTime extends SimulatedClock {
  /** Answers with what gives the real time back. */
  install(): () => void {
    const { setTimeout, clearTimeout } = globalThis;
    const { now } = Date;
    const performanceNow = performance.now;
    const takeBack = new Map<object, () => void>();
    const simulated = (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
      const timeout = { ref: () => timeout, unref: () => timeout, hasRef: () => true };
      const cancel = this.schedule(this.now() + ms, async () => {
        takeBack.delete(timeout);
        run(...args);
      });
      takeBack.set(timeout, cancel);
      return timeout;
    };
    Object.assign(globalThis, {
      setTimeout: simulated,
      clearTimeout: (timeout: object | undefined) => timeout && takeBack.get(timeout)?.(),
    });
    Date.now = () => this.now();
    performance.now = () => this.now();
    return () => {
      Object.assign(globalThis, { setTimeout, clearTimeout });
      Date.now = now;
      performance.now = performanceNow;
    };
  }
}
