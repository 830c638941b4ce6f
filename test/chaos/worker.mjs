// A swarm under load, in a process of its own: creates, claims and completes tasks until it is told to stop, and then
// tells every answer that it got.
import { join } from '../../dist/src/sdk/join.js';

const next = () => new Promise((resolve) => process.once('message', resolve));
const { servers, creds, name, inFlight } = await next();
const { client, close } = await join({ servers, creds, timeoutMs: 60_000, patienceMs: 20_000 });
await client.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
process.send({ ready: true });

let stopped = false;
void next().then(() => {
  stopped = true;
});
const acknowledged = [];
const errors = [];
let count = 0;
async function work() {
  while (!stopped) {
    const task_id = `${name}-${count++}`;
    try {
      const created = await client.request('task', 'create', { task_id, task_type: 'chaos' });
      acknowledged.push({ task_id, event: 'CREATE', n: created.n, revision: created.revision });
      const { claimed, task, token } = await client.request('task', 'claim', { task_id });
      if (!claimed) throw Object.assign(new Error('lost its own task'), { code: 'LOST' });
      acknowledged.push({ task_id, event: 'CLAIM', n: task.n, revision: task.revision });
      const done = await client.request('task', 'complete', { task_id, token, result: count });
      acknowledged.push({ task_id, event: 'COMPLETE', n: done.n, revision: done.revision });
    } catch (error) {
      errors.push(`${task_id}: ${error.code} ${error.message}`);
    }
  }
}
await Promise.all(Array.from({ length: inFlight }, work));
await close();
process.send({ acknowledged, errors }, () => process.disconnect());
