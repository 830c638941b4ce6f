/**
 * What money costs on the claim path: claims by an in-process coordinator without a price, with a price that the swarm's
 * budget covers, and with a price that the budget of the whole fabric covers too. One run on one three-node in-memory
 * cluster, interleaved claim by claim; then how many are claimed and given back per second, by one swarm and by many.
 *
 *     npm run bench:governor            a table
 *     npm run bench:governor -- --json  the figures
 */
import { cpus } from 'node:os';
import { Coordinator } from '../actors/coordinator/coordinator.ts';
import { fleetRef } from '../machines/fleet/context.ts';
import { fleetMachine } from '../machines/fleet/machine.ts';
import { maxUsd } from '../machines/money.ts';
import { swarmMachine } from '../machines/swarm/machine.ts';
import { startBenchCluster } from './bench-cluster.ts';
import { percentiles, rounded, throughput, timed } from './measure.ts';
import { benchSettings } from './settings.ts';

const warmUps = 150;
const claims = 900;
const pairs = 400;
const rounds = 3;
const inFlight = 64;
const swarmCount = 64;
const cause = { by: 'operator', trace_id: 'bench' };

/** What a claim has to pay for, and how. */
const kinds = ['unpriced', 'swarm budget', 'swarm and fabric budget'] as const;
type Kind = (typeof kinds)[number];

const cluster = await startBenchCluster();
try {
  const { namespace, log, dataDir } = cluster;
  const nc = await cluster.connect();
  // Nobody is asked for a sign of life while it is measured.
  const settings = { ...benchSettings(dataDir), liveness_ms: 3_600_000 };
  const coordinator = await Coordinator.start({ nc, namespace, log, settings });
  const { swarms, tasks, store } = coordinator;
  const names = Array.from({ length: swarmCount }, (_, i) => `bench-${i}`);
  for (const name of names) {
    await swarms.register(name, { capabilities: [], cost_per_hour: 0 });
    await store.dispatch(swarmMachine, name, { type: 'ALLOCATE', budget_usd: maxUsd }, cause);
  }
  const limitFabric = async (budget_usd: number | null) => {
    await store.dispatch(fleetMachine, fleetRef.id, { type: 'ALLOCATE', budget_usd, by: 'operator' }, cause);
  };

  let created = 0;
  const make = async (count: number, kind: Kind): Promise<string[]> => {
    const ids = Array.from({ length: count }, () => `t${created++}`);
    const price = kind === 'unpriced' ? {} : { cost_estimate: 0.000_001 };
    const creating = ids.map(
      (task_id) => async () => await tasks.create('operator', { task_id, task_type: 'bench', ...price }),
    );
    await throughput(creating, inFlight);
    return ids;
  };
  const claim = async (id: string, by: string): Promise<number> => {
    const answer = await tasks.claim(by, id);
    if (!answer.claimed) throw new Error(`the claim of ${id} was refused: ${answer.reason}`);
    return answer.token;
  };
  const claimTimed = async (id: string, by: string): Promise<number> => {
    let token = 0;
    const ms = await timed(async () => {
      token = await claim(id, by);
    });
    // What it holds is on the swarm's record, which would be as long as the benchmark.
    await tasks.release(by, id, token);
    return ms;
  };

  const samples: Record<Kind, number[]> = { unpriced: [], 'swarm budget': [], 'swarm and fabric budget': [] };
  const sample = async (count: number, into: (kind: Kind, ms: number) => void) => {
    const ids = Object.fromEntries(
      await Promise.all(kinds.map(async (kind) => [kind, await make(count, kind)] as const)),
    ) as Record<Kind, string[]>;
    for (const budget of [false, true]) {
      await limitFabric(budget ? maxUsd : null);
      const compared: readonly Kind[] = budget ? ['swarm and fabric budget'] : ['unpriced', 'swarm budget'];
      for (let i = 0; i < count; i++)
        for (const kind of compared) into(kind, await claimTimed(ids[kind][i]!, names[0]!));
    }
  };
  await sample(warmUps, () => {});
  for (let round = 0; round < rounds; round++)
    await sample(Math.round(claims / rounds), (kind, ms) => samples[kind].push(ms));
  const base = percentiles(samples.unpriced);
  const latency = kinds.map((kind) => {
    const { p50, p99 } = percentiles(samples[kind]);
    return { claim: kind, p50_ms: rounded(p50, 3), p99_ms: rounded(p99, 3), p50_ratio: rounded(p50 / base.p50) };
  });

  const perSecond = [];
  for (const [who, count] of [
    ['one swarm', 1],
    [`${swarmCount} swarms`, swarmCount],
  ] as const) {
    const rates: Record<Kind, number[]> = { unpriced: [], 'swarm budget': [], 'swarm and fabric budget': [] };
    for (let round = 0; round < rounds; round++) {
      for (const kind of kinds) {
        await limitFabric(kind === 'swarm and fabric budget' ? maxUsd : null);
        const ids = await make(pairs, kind);
        const claiming = ids.map((id, i) => async () => {
          const by = names[i % count]!;
          await tasks.release(by, id, await claim(id, by));
        });
        rates[kind].push(await throughput(claiming, inFlight));
      }
    }
    for (const kind of kinds)
      perSecond.push({ claims_of: who, claim: kind, per_s: Math.round(percentiles(rates[kind]).p50) });
  }
  await limitFabric(null);
  await coordinator.stop();

  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, nats-server ${cluster.version}`;
  const date = new Date().toISOString().slice(0, 10);
  if (process.argv.includes('--json')) {
    const figures = { machine, date, claims, in_flight: inFlight, latency, per_second: perSecond };
    process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
  } else {
    process.stdout.write(`claims with and without a budget, R3 memory, ${claims} claims of each kind\n${machine}\n`);
    console.table(latency);
    process.stdout.write(`claims, each given back, per second, ${inFlight} in flight\n`);
    console.table(perSecond);
  }
} finally {
  await cluster.stop();
}
