// A worker in a process of its own, whose work is to wait as long as a task's metadata say, unless it is told to stop.
// Prints every step as a line of JSON; ends on SIGTERM.
import { setTimeout as delay } from 'node:timers/promises';
import { join, runWorker } from '../../dist/src/index.js';

const { servers, creds, task_type } = JSON.parse(process.argv[2]);
const { client, close } = await join({ servers, creds });
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
await runWorker({
  client,
  registration: { capabilities: [], cost_per_hour: 0 },
  taskTypes: [task_type],
  signal: stop.signal,
  drainMs: 1_000,
  work: async ({ metadata }, { signal }) => {
    await delay(Number(metadata.for_ms ?? 0), undefined, { signal });
    return process.pid;
  },
  onEvent: (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
});
await close();
