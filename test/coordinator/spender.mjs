// A swarm in a process of its own that spends: told by its parent which fabric to join and which priced tasks there are,
// it claims each of them, many at a time, and completes, fails or gives back what it gets. It tells what came of it.
import { join } from '../../dist/src/sdk/join.js';

const next = () => new Promise((resolve) => process.once('message', resolve));
const { servers, creds, tasks, prices, inFlight } = await next();
const { client, close } = await join({ servers, creds, timeoutMs: 90_000, patienceMs: 20_000 });
await client.request('swarm', 'register', { capabilities: [], cost_per_hour: 1 });
process.send({ ready: true });
await next();

const order = [...tasks];
const outcome = { claims: 0, won: 0, late: 0, refused: {}, completed: [], errors: [] };

/** Never more than the estimate, so that the budgets hold every cost. */
function costOf(task_id, n) {
  return n % 3 === 0 ? undefined : { cost_usd: n % 3 === 1 ? prices[task_id] : prices[task_id] / 2 };
}

async function spend(task_id) {
  outcome.claims++;
  const answer = await client.request('task', 'claim', { task_id });
  if (!answer.claimed) {
    outcome.refused[answer.reason] = (outcome.refused[answer.reason] ?? 0) + 1;
    return;
  }
  const n = outcome.won++;
  const held = { task_id, token: answer.token };
  if (n % 10 === 4) await client.request('task', 'release', held);
  else if (n % 10 === 9) await client.request('task', 'fail', { ...held, error: 'it did not work' });
  else {
    const cost = costOf(task_id, n);
    await client.request('task', 'complete', { ...held, result: n, ...(cost ? { cost } : {}) });
    outcome.completed.push({ task_id, cost_usd: cost?.cost_usd ?? prices[task_id] });
  }
}

async function work() {
  for (let task_id = order.pop(); task_id !== undefined; task_id = order.pop()) {
    try {
      await spend(task_id);
    } catch (error) {
      // While coordinators are killed a request may take longer than the lease.
      if (error.code === 'STALE_TOKEN') outcome.late++;
      else outcome.errors.push(`${task_id}: ${error.code} ${error.message}`);
    }
    if (order.length % 20 === 0) process.send({ left: order.length });
  }
}
await Promise.all(Array.from({ length: inFlight }, work));
await close();
process.send({ outcome }, () => process.disconnect());
