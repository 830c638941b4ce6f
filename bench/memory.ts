/**
 * Memory of a fabric with many open tasks, and over many completed ones: a coordinator and a witness in this process, on
 * one three-node in-memory cluster. First open tasks are created and measured, then tasks are created, claimed and
 * completed without a pause, while ended ones are archived; what matters is that nothing grows any more after the
 * archive age. At the end all open tasks are listed, page by page.
 *
 *     node --expose-gc dist/bench/memory.js [--open N] [--completed N] [--minutes N] [--in-flight N] [--json]
 */
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { jetstreamManager } from '@nats-io/jetstream';
import { Coordinator } from '../actors/coordinator/coordinator.ts';
import { Witness } from '../actors/witness/witness.ts';
import { youngestTrimmedMs } from '../src/store/streams.ts';
import { startBenchCluster } from './bench-cluster.ts';
import { percentiles, rounded, throughput, timed } from './measure.ts';
import { heapMb, type MemoryFigures, memoryFigures } from './memory-figures.ts';
import { benchSettings } from './settings.ts';

const { values } = parseArgs({
  options: {
    open: { type: 'string', default: '100000' },
    completed: { type: 'string', default: '1000000' },
    minutes: { type: 'string', default: '60' },
    'in-flight': { type: 'string', default: '128' },
    json: { type: 'boolean', default: false },
  },
});
const open = Number(values.open);
const goal = Number(values.completed);
const mostMs = Number(values.minutes) * 60_000;
const inFlight = Number(values['in-flight']);
const everyMs = 30_000;
/** So many tasks are in flight for each swarm: more would wait for each other, since they end on one record. */
const perSwarm = 8;
const pageSize = 1_000;
/** Room for what is not archived yet, at more completions per second than a machine does. */
const maxLogBytes = 6 * 1024 ** 3;

interface Row extends MemoryFigures {
  readonly seconds: number;
  readonly completed: number;
  readonly per_s: number;
}

const tell = (line: string) => process.stderr.write(`${line}\n`);

const cluster = await startBenchCluster({ maxLogBytes });
try {
  const { namespace, log, dataDir } = cluster;
  // Nobody is away in this benchmark: requests that are made in the process of the coordinator are no signs of life.
  const settings = { ...benchSettings(dataDir), archive_after_ms: youngestTrimmedMs, liveness_ms: 86_400_000 };
  const witness = await Witness.start({ nc: await cluster.connect(), namespace, log, settings });
  const coordinator = await Coordinator.start({ nc: await cluster.connect(), namespace, log, settings });
  const jsm = await jetstreamManager(await cluster.connect(), { checkAPI: false });
  const { tasks, swarms, lists } = coordinator;
  const workers = Array.from({ length: Math.max(1, Math.ceil(inFlight / perSwarm)) }, (_, i) => `swarm-${i}`);
  for (const worker of workers) await swarms.register(worker, { capabilities: [], cost_per_hour: 0 });
  const figures = async () => await memoryFigures(jsm, { stream: namespace.actorsStream, dataDir });

  const create = async (task_id: string) =>
    await tasks.create('operator', { task_id, task_type: 'bench', metadata: { pull_request: task_id } });
  const emptyMb = await heapMb();
  const createdPerS = await throughput(
    Array.from({ length: open }, (_, i) => async () => await create(`open-${i}`)),
    inFlight,
  );
  const opened = await figures();
  const per100kMb = rounded(((opened.heap_mb - emptyMb) / open) * 100_000, 1);
  tell(`${open} open tasks at ${Math.round(createdPerS)} per s: heap ${emptyMb} -> ${opened.heap_mb} MB`);
  tell(`per 100,000 open tasks: ${per100kMb} MB of heap`);

  let [begun, completed, isOver] = [0, 0, false];
  const work = async (worker: string) => {
    while (!isOver && begun < goal) {
      const id = `done-${begun++}`;
      await create(id);
      const answer = await tasks.claim(worker, id);
      if (!answer.claimed) throw new Error(`the claim of ${id} was refused: ${answer.reason}`);
      await tasks.complete(worker, id, { token: answer.token, result: { reviewed: id } });
      completed++;
    }
  };
  const begunAt = performance.now();
  const ended = new AbortController();
  const working = Promise.all(
    Array.from({ length: inFlight }, async (_, i) => await work(workers[i % workers.length]!)),
  ).finally(() => ended.abort());
  // Its failure is the benchmark's, once the loop below has ended.
  working.catch(() => {});
  const rows: Row[] = [];
  let [lastAt, lastCompleted] = [begunAt, 0];
  while (!ended.signal.aborted) {
    await delay(everyMs, undefined, { signal: ended.signal }).catch(() => {});
    isOver = performance.now() - begunAt > mostMs;
    const now = performance.now();
    const per_s = Math.round(((completed - lastCompleted) / (now - lastAt)) * 1_000);
    [lastAt, lastCompleted] = [now, completed];
    const row = { seconds: Math.round((now - begunAt) / 1_000), completed, per_s, ...(await figures()) };
    rows.push(row);
    tell(
      `${row.seconds} s: ${completed} completed, ${per_s} per s; heap ${row.heap_mb} MB, rss ${row.rss_mb} MB, nodes ${row.nodes_mb.join(' ')} MB, log ${row.log_messages} messages, ${row.log_mb} MB`,
    );
  }
  await working;

  const pagesMs: number[] = [];
  let [listed, cursor] = [0, undefined as string | undefined];
  do {
    let page: Awaited<ReturnType<typeof lists.tasks>> | undefined;
    pagesMs.push(
      await timed(async () => {
        page = await lists.tasks({ state: 'available', limit: pageSize, cursor });
      }),
    );
    listed += page!.tasks.length;
    cursor = page!.cursor ?? undefined;
  } while (cursor !== undefined);
  if (listed !== open) throw new Error(`${listed} open tasks were listed, there are ${open}`);
  const { p50, max } = percentiles(pagesMs);
  const list = {
    tasks: listed,
    pages: pagesMs.length,
    ms: Math.round(pagesMs.reduce((sum, ms) => sum + ms, 0)),
    page_p50_ms: rounded(p50),
    page_max_ms: rounded(max),
  };
  await coordinator.stop();
  await witness.stop();

  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, nats-server ${cluster.version}`;
  const summary = { open, heap_empty_mb: emptyMb, heap_open_mb: opened.heap_mb, heap_per_100k_open_mb: per100kMb };
  if (values.json) {
    const date = new Date().toISOString().slice(0, 10);
    process.stdout.write(`${JSON.stringify({ machine, date, ...summary, rows, list }, null, 2)}\n`);
  } else {
    process.stdout.write(`memory, R3 memory, archive age ${youngestTrimmedMs / 1_000} s\n${machine}\n`);
    console.table([summary]);
    console.table(rows.map(({ nodes_mb, ...row }) => ({ ...row, nodes_mb: nodes_mb.join(' ') })));
    console.table([list]);
  }
} finally {
  await cluster.stop();
}
