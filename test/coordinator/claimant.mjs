// A swarm in a process of its own: told by its parent which fabric to join and which tasks there are, it tries to claim
// all of them, many at a time, and tells what came of it.
import { join } from '../../dist/src/sdk/join.js';

const next = () => new Promise((resolve) => process.once('message', resolve));
const shuffled = (list) =>
  list
    .map((item) => [Math.random(), item])
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);

const { servers, creds, tasks, inFlight } = await next();
const { client, close } = await join({ servers, creds, timeoutMs: 60_000, patienceMs: 20_000 });
await client.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
process.send({ ready: true });
await next();

const order = shuffled(tasks);
const outcome = { won: [], lost: [], errors: [] };
async function work() {
  for (let id = order.pop(); id !== undefined; id = order.pop()) {
    try {
      const answer = await client.request('task', 'claim', { task_id: id });
      if (answer.claimed) outcome.won.push({ task_id: id, token: answer.token, owner: answer.task.owner });
      else outcome.lost.push({ task_id: id, reason: answer.reason, owner: answer.owner });
    } catch (error) {
      outcome.errors.push(`${id}: ${error.code} ${error.message}`);
    }
    if (order.length % 25 === 0) process.send({ left: order.length });
  }
}
await Promise.all(Array.from({ length: inFlight }, work));
await close();
process.send({ outcome }, () => process.disconnect());
