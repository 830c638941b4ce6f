// Creates tasks at an even pace until all are there or the parent says stop: single ones, chains, and fans that open and
// close again, several at a time. Repeats what was not answered, so that at the end it knows every task that exists.
import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { numbers } from '../numbers.mjs';
import { asMember, tell } from './membership.mjs';

await asMember(async ({ client, signal, seed, tasks, seconds }) => {
  const random = numbers(seed);
  const between = (low, high) => Math.floor(low + random() * (high - low));
  const begun = performance.now();
  const created = [];
  await client.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });

  const create = async (depends_on = []) => {
    const task_id = `task-${created.length}`;
    // Most are done at once; some take longer than their lease, which must be renewed meanwhile.
    const work_ms = random() < 0.96 ? between(0, 30) : between(500, 3_500);
    const task = {
      task_id,
      task_type: 'chaos',
      priority: between(0, 3),
      lease_ms: between(1_000, 3_000),
      max_attempts: 1_000,
      metadata: { work_ms },
      ...(depends_on.length > 0 ? { depends_on } : {}),
      ...(random() < 0.1 ? { retry_backoff_ms: between(50, 300) } : {}),
      ...(random() < 0.1 ? { concurrency_key: `key-${between(0, 4)}`, concurrency_limit: 2 } : {}),
    };
    created.push(task_id);
    const dueAt = begun + (created.length / tasks) * seconds * 1_000;
    await delay(Math.max(0, dueAt - performance.now()), undefined, { signal }).catch(() => {});
    await client.request('task', 'create', task);
    tell({ created: { task_id, depends_on } });
    return task_id;
  };

  const shapes = [
    async () => [await create()],
    async () => {
      const first = await create();
      const second = await create([first]);
      return await create([second]);
    },
    async () => {
      const root = await create();
      const leaves = [];
      for (let i = between(2, 8); i > 0; i--) leaves.push(await create([root]));
      return await create(leaves);
    },
  ];
  const lane = async () => {
    while (created.length < tasks && !signal.aborted) await shapes[random() < 0.3 ? between(1, 3) : 0]();
  };
  setMaxListeners(0, signal);
  await Promise.all(Array.from({ length: 16 }, lane));
});
