/** Is interrupted by the signal that it waits for, then fails where nobody waits for it, and says how its clean-up ended. */
import { setTimeout as delay } from 'node:timers/promises';
import { orInterrupted, outliveFailures } from '../../src/demo/interruption.ts';

const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort(new Error('interrupted')));
const failures: string[] = [];
const note = (error: unknown) => failures.push((error as Error).message);
const noLonger = outliveFailures(interrupt.signal, note);
const running = orInterrupted(interrupt.signal, note, async () => {
  process.stdout.write('running\n');
  while (!interrupt.signal.aborted) await delay(10);
  try {
    setImmediate(() => {
      throw new Error('thrown by a callback');
    });
    void Promise.reject(new Error('rejected unseen'));
    await delay(50);
  } finally {
    process.stdout.write('cleaned up\n');
  }
  throw new Error('a connection was lost');
});
const ending = await running.catch((error: Error) => error.message);
noLonger();
process.stdout.write(`${JSON.stringify({ ending, failures: failures.sort() })}\n`);
