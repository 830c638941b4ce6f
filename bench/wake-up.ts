/**
 * How fast a caller who waits for a task has it: from the commit that makes a task available until the answer has reached
 * the caller, with 1 and with 1,000 callers parked, each task made by itself; and from one commit that makes a task
 * available for each of them. In between, in the same run, the floors: a bare request with its reply between the same
 * connections, and a bare compare-and-swap, since a wake-up is a claim and an answer.
 *
 *     node dist/bench/wake-up.js            a table
 *     node dist/bench/wake-up.js --json     the figures
 *     node dist/bench/wake-up.js --quick    with a tenth of the wake-ups
 */
import { cpus } from 'node:os';
import { Coordinator } from '../actors/coordinator/coordinator.ts';
import { FabricClient } from '../src/bus/client.ts';
import { packBytes } from '../src/data/codec.ts';
import { openIdentity } from '../src/identity/identity.ts';
import { join } from '../src/sdk/join.ts';
import { BareCas } from './bare-cas.ts';
import { startBenchCluster } from './bench-cluster.ts';
import { percentiles, rounded, timed } from './measure.ts';
import { benchSettings } from './settings.ts';

const parkedCounts = [1, 1_000];
const isQuick = process.argv.includes('--quick');
const wakeUps = isQuick ? 100 : 1_000;
const warmUps = isQuick ? 10 : 100;
const perSwarm = 50;
const waitMs = 60_000;

/** When the answer with a task reached its caller, by task. */
class Arrivals {
  readonly #waiting = new Map<string, (at: number) => void>();
  readonly #early = new Map<string, number>();

  arrived(task_id: string): void {
    const at = performance.now();
    const take = this.#waiting.get(task_id);
    if (take) take(at);
    else this.#early.set(task_id, at);
  }

  async of(task_id: string): Promise<number> {
    const early = this.#early.get(task_id);
    return early ?? (await new Promise((resolve) => this.#waiting.set(task_id, resolve)));
  }
}

const cluster = await startBenchCluster();
try {
  const { namespace, dataDir, log } = cluster;
  const nc = await cluster.connect();
  const coordinator = await Coordinator.start({ nc, namespace, log, settings: benchSettings(dataDir) });
  const identity = await openIdentity(dataDir, namespace);
  const arrivals = new Arrivals();
  const members: Awaited<ReturnType<typeof join>>[] = [];
  let ending = false;

  /** A swarm whose workers each ask for the next task, and ask again when they have it. */
  const swarm = async (id: string, workers: number): Promise<void> => {
    const member = await join({ servers: [nc.getServer()], creds: await identity.mintSwarm(id) });
    members.push(member);
    const client = new FabricClient({
      nc: member.client.connection,
      namespace,
      callerId: id,
      attemptTimeoutMs: 2 * waitMs,
      timeoutMs: 2 * waitMs,
    });
    await client.request('swarm', 'register', { capabilities: ['bench:wake'], cost_per_hour: 0 });
    const worker = async () => {
      while (!ending) {
        const { task } = await client.request<{ task: { task_id: string } | null }>('task', 'next', {
          wait_ms: waitMs,
        });
        if (!task) continue;
        arrivals.arrived(task.task_id);
        await client.request('task', 'complete', { task_id: task.task_id });
      }
    };
    for (let i = 0; i < workers; i++)
      worker().catch((error) => {
        if (!ending) log.error({ err: error }, 'a worker of the benchmark ended');
      });
  };
  const parked = async (count: number) => {
    while (coordinator.next.stats().parked < count) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  let made = 0;
  const content = { task_type: 'bench', requires: ['bench:wake'] };
  const wakeUp = async (count: number): Promise<number> => {
    await parked(count);
    const task_id = `t${made++}`;
    const arrival = arrivals.of(task_id);
    await coordinator.tasks.create('bench', { task_id, ...content });
    const committedAt = performance.now();
    return (await arrival) - committedAt;
  };

  nc.subscribe('bench.echo', { callback: (_, message) => void message.respond(message.data) });
  const asker = await cluster.connect();
  const body = new Uint8Array(200);
  const echo = async () => await timed(async () => await asker.request('bench.echo', body, { timeout: 5_000 }));

  const rows = [];
  let bare: BareCas | undefined;
  let callers = 0;
  for (const count of parkedCounts) {
    for (let swarms = members.length; callers < count; swarms++) {
      const workers = Math.min(perSwarm, count - callers);
      await swarm(`swarm-${swarms}`, workers);
      callers += workers;
    }
    for (let i = 0; i < warmUps; i++) await wakeUp(count);
    const record = await coordinator.store.read({ kind: 'task', id: `t${made - 1}` });
    bare ??= await BareCas.prepare(nc, namespace, packBytes(record!.record).length);
    const floor = bare;
    for (let i = 0; i < warmUps; i++) await floor.swap(`warm-${i}`);
    const [requestMs, swapMs, wakeMs]: [number[], number[], number[]] = [[], [], []];
    for (let i = 0; i < wakeUps; i++) {
      requestMs.push(await echo());
      swapMs.push(await timed(async () => await floor.swap(`k-${i % warmUps}`)));
      wakeMs.push(await wakeUp(count));
    }
    const request = percentiles(requestMs);
    const swap = percentiles(swapMs);
    const wake = percentiles(wakeMs);
    for (const of of ['p50', 'p99', 'max'] as const) {
      rows.push({
        parked: count,
        percentile: of,
        request_ms: rounded(request[of], 3),
        swap_ms: rounded(swap[of], 3),
        wake_up_ms: rounded(wake[of], 3),
        ratio: rounded(wake[of] / (request[of] + swap[of])),
      });
    }
  }

  // One commit that makes as many tasks available as there are callers, less the one that commits it.
  const burst = 900;
  const first = 'before-all';
  await coordinator.swarms.register('opener', { capabilities: ['bench:open'], cost_per_hour: 0 });
  await coordinator.tasks.create('bench', { task_id: first, ...content, requires: ['bench:open'] });
  const ids = Array.from({ length: burst }, (_, i) => `after-${i}`);
  for (const task_id of ids) await coordinator.tasks.create('bench', { task_id, ...content, depends_on: [first] });
  await parked(callers);
  const waiting = Promise.all(ids.map(async (id) => await arrivals.of(id)));
  await coordinator.tasks.claim('opener', first);
  const begunAt = performance.now();
  await coordinator.tasks.complete('opener', first, {});
  const commitMs = performance.now() - begunAt;
  const together = percentiles((await waiting).map((at) => at - begunAt));
  ending = true;
  const stats = coordinator.next.stats();
  await coordinator.stop();
  await Promise.all(members.map(async (member) => await member.close()));

  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, nats-server ${cluster.version}`;
  const atOnce = {
    tasks: burst,
    commit_ms: rounded(commitMs),
    p50_ms: rounded(together.p50),
    p99_ms: rounded(together.p99),
    max_ms: rounded(together.max),
  };
  if (process.argv.includes('--json')) {
    const date = new Date().toISOString().slice(0, 10);
    process.stdout.write(
      `${JSON.stringify({ machine, date, wake_ups: wakeUps, rows, at_once: atOnce, stats }, null, 2)}\n`,
    );
  } else {
    process.stdout.write(
      `from the commit of a task to the answer of task.next at a caller who waits, R3 memory\n${machine}\n`,
    );
    console.table(rows);
    process.stdout.write(
      'one commit that makes a task available for each of many callers who wait, from before the commit\n',
    );
    console.table([atOnce]);
  }
} finally {
  await cluster.stop();
}
