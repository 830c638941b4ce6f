/** A cluster with a fabric's streams and no services: what a scenario measures runs in the process of the benchmark. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { connectTo } from '../src/bus/connection.ts';
import { obtainServer } from '../src/cluster/binary.ts';
import { startCluster } from '../src/cluster/cluster.ts';
import { authFromCreds } from '../src/identity/connect-auth.ts';
import { openIdentity } from '../src/identity/identity.ts';
import { createLog, type Log } from '../src/log.ts';
import { Namespace } from '../src/namespace.ts';
import { establishEpoch } from '../src/store/epoch.ts';
import { ensureStreams } from '../src/store/streams.ts';

export interface BenchCluster {
  readonly namespace: Namespace;
  readonly dataDir: string;
  readonly log: Log;
  readonly version: string;
  connect(): Promise<NatsConnection>;
  stop(): Promise<void>;
}

/** `maxLogBytes` is what the actors' log may hold. Default 1 GiB. */
export async function startBenchCluster({ maxLogBytes = 1024 ** 3 } = {}): Promise<BenchCluster> {
  const namespace = new Namespace();
  const log = createLog({ level: 'warn', service: 'bench' });
  const dataDir = await mkdtemp(join(tmpdir(), 'infrafabric-bench-'));
  const auth = await openIdentity(dataDir, namespace);
  const binary = await obtainServer({ onProgress: (line) => process.stderr.write(`${line}\n`) });
  const cluster = await startCluster({
    binary: binary.path,
    dataDir,
    nodes: 3,
    storage: 'memory',
    basePort: 0,
    clusterName: 'bench',
    auth,
  });
  const connections: NatsConnection[] = [];
  const stop = async () => {
    await Promise.all(connections.map(async (connection) => await connection.close()));
    await cluster.stop();
    await rm(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  };
  // The nodes have process groups of their own, and would outlive a benchmark that is interrupted.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stop().finally(() => process.exit(130)));
  const connect = async () => {
    const { authenticator, inboxPrefix } = authFromCreds(await auth.serviceCreds('bench'));
    const nc = await connectTo({ servers: cluster.servers, authenticator, inboxPrefix, name: 'bench' });
    connections.push(nc);
    return nc;
  };
  const nc = await connect();
  await ensureStreams(await jetstreamManager(nc, { checkAPI: false }), namespace, {
    replicas: 3,
    storage: 'memory',
    maxLogBytes,
  });
  await establishEpoch(nc, namespace, new Map(), Date.now());
  return {
    namespace,
    dataDir,
    log,
    version: binary.version,
    connect,
    stop,
  };
}
