/**
 * What the work of the fabric notices of a witness that catches up after an outage: the latency of claims, request by
 * request, with a witness that has everything, and while one stores a long backlog.
 *
 *     npm run build && node dist/bench/catch-up.js [messages]      default 200,000
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { jetstreamManager } from '@nats-io/jetstream';
import { Coordinator } from '../actors/coordinator/coordinator.ts';
import type { ServiceInstructions } from '../actors/service-instructions.ts';
import { witnessesOf } from '../actors/witness/witness-consumers.ts';
import { packBytes } from '../src/data/codec.ts';
import { openIdentity } from '../src/identity/identity.ts';
import { startBenchCluster } from './bench-cluster.ts';
import { type Percentiles, percentiles, rounded, throughput, timed } from './measure.ts';
import { benchSettings } from './settings.ts';

const messages = Number(process.argv[2] ?? 200_000);
const idleClaims = 2_000;
const swarm = 'bench';
/** Between two claims, milliseconds: what is measured is latency, not how much fits. */
const pauseMs = 5;

const cluster = await startBenchCluster();
const nc = await cluster.connect();
let witness: ChildProcess | undefined;
try {
  const { namespace, log } = cluster;
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const settings = benchSettings(cluster.dataDir);
  const coordinator = await Coordinator.start({ nc: await cluster.connect(), namespace, log, settings });
  await coordinator.swarms.register(swarm, { capabilities: ['bench:claim'], cost_per_hour: 0 });
  let created = 0;
  const claim = async (): Promise<number> => {
    const task_id = `t${created++}`;
    await coordinator.tasks.create(swarm, { task_id, task_type: 'bench', requires: ['bench:claim'] });
    return await timed(async () => await coordinator.tasks.claim(swarm, task_id));
  };
  const claimsUntil = async (isOver: (samples: readonly number[]) => boolean): Promise<Percentiles> => {
    const samples: number[] = [];
    while (!isOver(samples)) {
      samples.push(await claim());
      await delay(pauseMs);
    }
    return percentiles(samples);
  };
  const lag = async () => (await witnessesOf(jsm, namespace.journalStream)).reduce((sum, { lag }) => sum + lag, 0);

  witness = await startWitness();
  await claimsUntil((samples) => samples.length >= 300);
  const idle = await claimsUntil((samples) => samples.length >= idleClaims);
  await end(witness);

  await throughput(
    Array.from({ length: messages }, (_, i) => async () => {
      const entry = {
        id: `e-${i}`,
        by: swarm,
        at: Date.now(),
        event: 'NOTE',
        component: 'bench',
        trace_id: 't',
        payload: { i, text: 'x'.repeat(300) },
      };
      await nc.request(namespace.journalSubject(swarm), packBytes(entry), { timeout: 20_000 });
    }),
    256,
  );
  const startedAt = performance.now();
  witness = await startWitness();
  let behind = await lag();
  const look = async () => {
    behind = await lag().catch(() => behind);
  };
  const watch = setInterval(() => void look(), 100);
  const during = await claimsUntil(() => behind === 0);
  clearInterval(watch);
  const seconds = (performance.now() - startedAt) / 1_000;
  await end(witness);
  await coordinator.stop();

  const figures = {
    messages,
    catch_up_per_s: Math.round(messages / seconds),
    claim_ms: { idle: shown(idle), during: shown(during) },
    ratio: { p50: rounded(during.p50 / idle.p50), p99: rounded(during.p99 / idle.p99) },
    machine: `${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, nats-server ${cluster.version}`,
  };
  process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
} finally {
  if (witness) await end(witness);
  await cluster.stop();
}

/** In a process of its own, as in a fabric. Resolves when it runs. */
async function startWitness(): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('../actors/service-process.js', import.meta.url));
  const child = spawn(process.execPath, [program, 'witness', 'witness'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const instructions: ServiceInstructions = {
    instance: 'witness',
    namespace: cluster.namespace.name,
    servers: [nc.getServer()],
    creds: await (await openIdentity(cluster.dataDir, cluster.namespace)).serviceCreds('witness'),
    log_level: 'warn',
    settings: benchSettings(join(cluster.dataDir, 'witness')),
  };
  child.send(instructions);
  await once(child, 'message');
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

function shown({ p50, p99, max }: Percentiles): Percentiles {
  return { p50: rounded(p50), p99: rounded(p99), max: rounded(max) };
}
