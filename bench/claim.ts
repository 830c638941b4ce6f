/**
 * Claims by an in-process coordinator against the bare compare-and-swap, in one run on one three-node in-memory cluster:
 * latency of one client, interleaved claim by claim, and throughput in alternating rounds.
 *
 *     npm run bench            a table
 *     npm run bench -- --json  the figures
 */
import { cpus } from 'node:os';
import { Coordinator } from '../actors/coordinator/coordinator.ts';
import { defaultPolicy } from '../machines/policy/values.ts';
import { packBytes } from '../src/data/codec.ts';
import { BareCas } from './bare-cas.ts';
import { startBenchCluster } from './bench-cluster.ts';
import { percentiles, rounded, throughput, timed } from './measure.ts';

const warmUps = 500;
const claims = 3_000;
const rounds = 3;
const swarm = 'bench';

const cluster = await startBenchCluster();
try {
  const nc = await cluster.connect();
  const settings = {
    data_dir: cluster.dataDir,
    policy: defaultPolicy,
    policies_dir: null,
    lease_ms: 30_000,
    liveness_ms: 30_000,
    archive_after_ms: 3_600_000,
    mailbox_max_age_ms: 604_800_000,
    checkpoint_every_ms: 0,
    checkpoint_file: undefined,
    witness_retain_ms: 0,
    redact_keys: [],
  };
  const coordinator = await Coordinator.start({ nc, namespace: cluster.namespace, log: cluster.log, settings });
  await coordinator.swarms.register(swarm, { capabilities: ['bench:claim'], cost_per_hour: 0 });

  let created = 0;
  /** Makes tasks and keeps their actors resident; claims of them are what is measured. */
  const tasks = async (count: number): Promise<string[]> => {
    const ids = Array.from({ length: count }, () => `t${created++}`);
    await throughput(
      ids.map(
        (task_id) => async () =>
          await coordinator.tasks.create(swarm, { task_id, task_type: 'bench', requires: ['bench:claim'] }),
      ),
      64,
    );
    return ids;
  };
  const claim = async (id: string): Promise<void> => {
    const answer = await coordinator.tasks.claim(swarm, id);
    if (!answer.claimed) throw new Error(`the claim of ${id} was refused: ${answer.reason}`);
  };

  const [probe] = await tasks(1);
  await claim(probe!);
  const record = await coordinator.store.read({ kind: 'task', id: probe! });
  const bodyBytes = packBytes(record!.record).length;
  const bare = await BareCas.prepare(nc, cluster.namespace, bodyBytes);

  for (const id of await tasks(warmUps)) {
    await bare.swap(id);
    await claim(id);
  }
  const bareMs: number[] = [];
  const claimMs: number[] = [];
  for (const id of await tasks(claims)) {
    bareMs.push(await timed(async () => await bare.swap(id)));
    claimMs.push(await timed(async () => await claim(id)));
  }

  const perSecond = [];
  for (const inFlight of [64, 512]) {
    const bareRates: number[] = [];
    const claimRates: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const ids = await tasks(claims);
      bareRates.push(
        await throughput(
          ids.map((id) => async () => await bare.swap(id)),
          inFlight,
        ),
      );
      claimRates.push(
        await throughput(
          ids.map((id) => async () => await claim(id)),
          inFlight,
        ),
      );
    }
    const bareRate = percentiles(bareRates).p50;
    const claimRate = percentiles(claimRates).p50;
    perSecond.push({
      in_flight: inFlight,
      bare_per_s: Math.round(bareRate),
      claim_per_s: Math.round(claimRate),
      ratio: rounded(claimRate / bareRate),
    });
  }
  await coordinator.stop();

  const [bareP, claimP] = [percentiles(bareMs), percentiles(claimMs)];
  const latency = (['p50', 'p99'] as const).map((name) => ({
    percentile: name,
    bare_ms: rounded(bareP[name], 3),
    claim_ms: rounded(claimP[name], 3),
    ratio: rounded(claimP[name] / bareP[name]),
  }));
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, nats-server ${cluster.version}`;
  if (process.argv.includes('--json')) {
    process.stdout.write(
      `${JSON.stringify({ machine, date: new Date().toISOString().slice(0, 10), body_bytes: bodyBytes, claims, latency, per_second: perSecond }, null, 2)}\n`,
    );
  } else {
    process.stdout.write(
      `claim by an in-process coordinator, R3 memory, ${claims} claims of resident tasks, records of ${bodyBytes} bytes\n${machine}\n`,
    );
    console.table(latency);
    console.table(perSecond);
  }
} finally {
  await cluster.stop();
}
