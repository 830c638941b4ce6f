/**
 * How often processes that hand out tasks collide: each task is handed out once, but several processes may try to claim it
 * at the same time. One, two and four coordinator processes, on one three-node in-memory cluster, from a backlog and from
 * tasks that arrive one by one while all workers wait.
 *
 *     node dist/bench/next-conflicts.js            a table
 *     node dist/bench/next-conflicts.js --json     the figures
 *     node dist/bench/next-conflicts.js --quick    with a quarter of the tasks
 */
import { type ChildProcess, fork } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { openIdentity } from '../src/identity/identity.ts';
import { startBenchCluster } from './bench-cluster.ts';
import { rounded } from './measure.ts';
import type { Order, Outcome, Start } from './next-process.ts';

const program = fileURLToPath(new URL(import.meta.url.replace('next-conflicts', 'next-process')));
const workers = 32;
const share = process.argv.includes('--quick') ? 1 / 4 : 1;
const scenarios = [
  { name: 'backlog, no work', tasks: 2_000 * share, everyMs: 0, workMs: 0 },
  { name: 'backlog, 20 ms work', tasks: 2_000 * share, everyMs: 0, workMs: 20 },
  { name: 'arriving, 5 ms apart', tasks: 400 * share, everyMs: 5, workMs: 20 },
] as const;

class Child {
  readonly #process: ChildProcess;

  constructor(start: Start) {
    this.#process = fork(program, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#process.send(start);
  }

  /** Resolves with the outcome of what was ordered; `ready` is not ordered. */
  async answer(type: Order['type'] | 'ready'): Promise<unknown> {
    return await new Promise((resolve, reject) => {
      const take = (message: { type: string; outcome?: unknown }) => {
        if (message.type !== type) return;
        this.#process.off('message', take);
        resolve(message.outcome);
      };
      this.#process.on('message', take);
      this.#process.once('exit', (code) => reject(new Error(`a process of the benchmark ended with ${code}`)));
    });
  }

  async perform(order: Order): Promise<unknown> {
    const answer = this.answer(order.type);
    this.#process.send(order);
    return await answer;
  }
}

const cluster = await startBenchCluster();
const rows = [];
let made = 0;
try {
  const { dataDir, namespace } = cluster;
  const nc = await cluster.connect();
  const creds = await (await openIdentity(dataDir, namespace)).serviceCreds('bench');
  for (const processes of [1, 2, 4]) {
    const children = Array.from({ length: processes }, (_, p) => {
      const swarms = Array.from({ length: workers / processes }, (_, w) => `w-${processes}-${p}-${w}`);
      return new Child({ servers: [nc.getServer()], creds, dataDir, swarms });
    });
    await Promise.all(children.map(async (child) => await child.answer('ready')));
    for (const { name, tasks, everyMs, workMs } of scenarios) {
      const ids = Array.from({ length: tasks }, () => `t${made++}`);
      const create = async () => {
        const share = (p: number) => ids.filter((_, i) => i % processes === p);
        await Promise.all(
          children.map(
            async (child, p) => await child.perform({ type: 'create', ids: share(p), everyMs: everyMs * processes }),
          ),
        );
      };
      if (everyMs === 0) await create();
      const working = Promise.all(
        children.map(async (child) => (await child.perform({ type: 'work', workMs })) as Outcome),
      );
      if (everyMs > 0) await create();
      const outcomes = await working;
      const handedOut = outcomes.flatMap((outcome) => outcome.tasks);
      const twice = handedOut.length - new Set(handedOut).size;
      if (twice > 0) throw new Error(`${twice} tasks were handed out twice`);
      const sum = (of: 'claims' | 'conflicts') => outcomes.reduce((total, { stats }) => total + stats[of], 0);
      rows.push({
        scenario: name,
        processes,
        tasks: handedOut.length,
        per_s: Math.round((handedOut.length / Math.max(...outcomes.map(({ ms }) => ms))) * 1_000),
        claims: sum('claims'),
        conflicts: sum('conflicts'),
        'conflicts_%': rounded((sum('conflicts') / sum('claims')) * 100),
      });
    }
    await Promise.all(children.map(async (child) => await child.perform({ type: 'stop' })));
  }
} finally {
  await cluster.stop();
}
const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, nats-server ${cluster.version}`;
if (process.argv.includes('--json')) {
  const date = new Date().toISOString().slice(0, 10);
  process.stdout.write(`${JSON.stringify({ machine, date, workers, rows }, null, 2)}\n`);
} else {
  process.stdout.write(`task.next with ${workers} workers in all, R3 memory\n${machine}\n`);
  console.table(rows);
}
