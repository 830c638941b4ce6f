/**
 * A whole fabric in and under this process: the nodes, the streams, the services, each supervised. What is started is
 * stopped again on every way out, in the order that loses nothing: requests, witness, nodes.
 */
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import type { NatsConnection } from '@nats-io/nats-core';
import { connectTo } from '../../src/bus/connection.ts';
import { Responder } from '../../src/bus/responder.ts';
import { systemClock } from '../../src/clock.ts';
import { obtainServer } from '../../src/cluster/binary.ts';
import { type Cluster, startCluster } from '../../src/cluster/cluster.ts';
import type { ClusterEvent } from '../../src/cluster/events.ts';
import { checkServers } from '../../src/cluster/requirements.ts';
import type { Config } from '../../src/config/settings.ts';
import { removeFabricFile, writeFabricFile } from '../../src/data-dir/fabric-file.ts';
import { lockDataDir } from '../../src/data-dir/lock.ts';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { readCredentialsFile } from '../../src/identity/credentials-file.ts';
import { type Identity, openIdentity } from '../../src/identity/identity.ts';
import type { Log } from '../../src/log.ts';
import { Namespace } from '../../src/namespace.ts';
import { readGovernorPolicy, requirePoliciesDir } from '../../src/policy/policies-dir.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { AuditGate } from '../../src/store/audit-gate.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { reservedBytes } from '../../src/store/streams.ts';
import { newId } from '../../src/store/unique-id.ts';
import { packageVersion } from '../../src/version.ts';
import type { Epoch } from '../../src/witness/epoch.ts';
import { witnessPath } from '../../src/witness/files.ts';
import { ServiceRecorder } from '../supervisor/service-recorder.ts';
import { Supervisor } from '../supervisor/supervisor.ts';
import { openLog } from './fabric-log.ts';
import { FabricServices } from './fabric-services.ts';
import { collectMetrics } from './metrics-collect.ts';
import { startMetricsServer } from './metrics-server.ts';
import { Recovery } from './recovery.ts';
import { serviceSettings } from './service-settings.ts';
import { supervisorRequests } from './supervisor-requests.ts';

export interface FabricOptions {
  readonly config: Config;
  readonly log: Log;
  /** What is being done, for people. */
  readonly onProgress?: (line: string) => void;
  /** The fabric cannot go on: a service or too many nodes were given up. */
  readonly onEscalation: (reason: string) => void;
  readonly signal?: AbortSignal;
  /** Somebody named the folder of policies, so that it has to be there. Default false. */
  readonly requirePolicies?: boolean;
}

interface Nodes {
  /** They are not to be ended. */
  keep: boolean;
  /** The whole fabric has started. */
  isUp: boolean;
  /** Why the witness ended without having stored everything. */
  unstored?: string;
}

/** Something that was started, and how to stop it. */
type Release = () => Promise<void>;

const slackBytes = 256 * 1024 * 1024;

export class EmbeddedFabric {
  readonly servers: readonly string[];
  readonly namespace: Namespace;
  readonly nc: NatsConnection;
  readonly identity: Identity | undefined;
  readonly supervisor: Supervisor;
  readonly cluster: Cluster | undefined;
  readonly #nodes: Nodes;
  readonly #releases: Release[];
  #stopping: Promise<void> | undefined;

  /** Use {@link EmbeddedFabric.start}. */
  constructor(
    parts: Pick<EmbeddedFabric, 'servers' | 'namespace' | 'nc' | 'identity' | 'supervisor' | 'cluster'>,
    releases: Release[],
    nodes: Nodes,
  ) {
    this.servers = parts.servers;
    this.namespace = parts.namespace;
    this.nc = parts.nc;
    this.identity = parts.identity;
    this.supervisor = parts.supervisor;
    this.cluster = parts.cluster;
    this.#releases = releases;
    this.#nodes = nodes;
  }

  /** Resolves when everything answers and `fabric.json` is written. @throws FabricError, with nothing left running */
  static async start(options: FabricOptions): Promise<EmbeddedFabric> {
    const releases: Release[] = [];
    const nodes: Nodes = { keep: false, isUp: false };
    try {
      return await start(options, releases, nodes);
    } catch (error) {
      await releaseAll(releases, options.log);
      throw options.signal?.aborted ? options.signal.reason : error;
    }
  }

  /**
   * Stops what takes requests, lets the witness catch up, then stops the nodes. Safe to call twice. `keepNodes` lets the
   * nodes go on: their memory is the state, and the next `up` adopts them. So they do when the witness ended without being
   * able to store what it was given. Resolves with why they go on, undefined when nothing does.
   */
  async stop(log: Log, { keepNodes = false }: { keepNodes?: boolean } = {}): Promise<string | undefined> {
    if (keepNodes) this.cluster?.leave();
    this.#nodes.keep = keepNodes;
    this.#stopping ??= releaseAll(this.#releases, log);
    await this.#stopping;
    return this.#nodes.unstored;
  }
}

async function releaseAll(releases: Release[], log: Log): Promise<void> {
  for (let release = releases.pop(); release; release = releases.pop()) {
    await release().catch((error: unknown) => log.error({ err: error }, 'a part of the fabric did not stop cleanly'));
  }
}

async function start(options: FabricOptions, releases: Release[], nodes: Nodes): Promise<EmbeddedFabric> {
  const { config, log, signal } = options;
  const namespace = new Namespace(config.namespace);
  if (options.requirePolicies) await requirePoliciesDir(config.policies);
  const { policy } = await readGovernorPolicy(config.policies);
  await mkdir(config.data_dir, { recursive: true, mode: 0o700 });
  const lock = await lockDataDir(config.data_dir);
  releases.push(lock.release);
  signal?.throwIfAborted();

  const supervisor = new Supervisor({
    version: packageVersion(),
    log,
    // The end of the witness is the one step that nobody is left to witness.
    record: (id, event) => (id === 'witness' && event.type === 'STOPPED' ? undefined : recorder.record(id, event)),
    recorded: async () => await recorder.settled(1_000),
    onEscalation: (id, reason) => options.onEscalation(`the service ${id} was given up: ${reason}`),
  });
  const recorder = new ServiceRecorder(log);
  // Also on the way out of a start that failed early; later ones find nothing left to stop.
  releases.push(async () => await supervisor.stop());
  const services = new FabricServices(supervisor, config);
  // The processes load their code while the cluster forms.
  services.launch();

  const { servers, creds, identity, cluster } = await reachCluster(options, namespace, releases, nodes);
  signal?.throwIfAborted();
  const auth = authFromCreds(creds);
  const nc = await connectTo({
    servers,
    authenticator: auth.authenticator,
    inboxPrefix: auth.inboxPrefix,
    name: 'supervisor',
  });
  releases.push(async () => await nc.close());
  if (!cluster) await checkServers(nc);

  const instructions = {
    namespace: namespace.name,
    servers,
    creds,
    log_level: config.log_level,
    settings: serviceSettings(config, policy),
  };
  const gate = AuditGate.open(nc, namespace);
  releases.push(async () => {
    await services.stop();
    const reason = gate.unaudited?.reason;
    gate.close();
    // What the witness could not store is nowhere else than in their memory.
    if (!nodes.isUp || !cluster || config.storage !== 'memory' || typeof reason !== 'string') return;
    nodes.keep = true;
    nodes.unstored = reason;
  });
  const begin = async (aborted: AbortSignal | undefined): Promise<Epoch> => {
    const beginWitness = () => services.beginWitness(instructions);
    const where = { config, namespace, nc, beginWitness, onProgress: options.onProgress ?? (() => {}) };
    const { epoch } = await openLog({ ...where, ...(aborted ? { signal: aborted } : {}) });
    recorder.writeTo(new ActorStore({ log: new NatsRecordLog(nc, namespace, { epoch }), clock: systemClock, newId }));
    const running = services.begin(instructions);
    await Promise.race([running, ...(aborted ? [once(aborted, 'abort')] : [])]);
    aborted?.throwIfAborted();
    return epoch;
  };
  const epoch = await begin(signal);
  const recovery = new Recovery({
    nc,
    namespace,
    epoch,
    log,
    recover: async (aborted) => {
      recorder.pause();
      options.onProgress?.('the cluster has lost its memory; the services are stopped until it is restored');
      await services.abandon();
      services.launch();
      return await begin(aborted);
    },
    onFailure: (reason) =>
      options.onEscalation(`the cluster lost its memory, and the fabric could not begin again: ${reason}`),
  });
  releases.push(async () => await recovery.stop());

  const responder = new Responder({
    nc,
    namespace,
    service: 'supervisor',
    operations: supervisorRequests(supervisor),
    log,
    shared: false,
  });
  releases.push(async () => await responder.drain());
  await nc.flush();
  await recorder.settled(5_000);
  const metrics = await startMetricsServer({
    port: config.console_port,
    collect: async () => await collectMetrics(nc, namespace, witnessPath(config.data_dir)),
  });
  releases.push(async () => await metrics.close());
  const facts = {
    pid: process.pid,
    namespace: namespace.name,
    servers: [...servers],
    console_url: null,
    metrics_url: metrics.url,
    version: packageVersion(),
    started_at: Date.now(),
  };
  releases.push(async () => await removeFabricFile(config.data_dir));
  await writeFabricFile(config.data_dir, facts);
  nodes.keep = false;
  nodes.isUp = true;
  return new EmbeddedFabric({ servers, namespace, nc, identity, supervisor, cluster }, releases, nodes);
}

interface Reached {
  readonly servers: readonly string[];
  readonly creds: string;
  readonly identity: Identity | undefined;
  readonly cluster: Cluster | undefined;
}

/** The cluster that `--servers` names, or our own nodes. */
async function reachCluster(
  options: FabricOptions,
  namespace: Namespace,
  releases: Release[],
  nodes: Nodes,
): Promise<Reached> {
  const { config, onProgress = () => {}, signal } = options;
  if (config.servers.length > 0) {
    return {
      servers: config.servers,
      creds: await readCredentialsFile(config.creds),
      identity: undefined,
      cluster: undefined,
    };
  }
  const identity = await openIdentity(config.data_dir, namespace);
  await identity.operatorCreds();
  const binary = await obtainServer({ cacheDir: config.cache_dir, onProgress, ...(signal ? { signal } : {}) });
  const down = new Set<string>();
  const onEvent = (event: ClusterEvent) => {
    options.log.warn({ event }, 'a node of the cluster changed');
    if (event.type !== 'node_failed') return;
    down.add(event.node);
    if (down.size * 2 > config.nodes)
      options.onEscalation(`the nodes ${[...down].join(', ')} were given up: no majority is left`);
  };
  const cluster = await startCluster({
    binary: binary.path,
    dataDir: config.data_dir,
    nodes: config.nodes,
    storage: config.storage,
    basePort: config.port,
    clusterName: `${namespace.root}-cluster`,
    auth: identity,
    onEvent,
    maxMemoryStore: reservedBytes(config.max_log_bytes) + slackBytes,
    ...(signal ? { signal } : {}),
  });
  // Until the fabric runs, adopted nodes are not ours to end: a start that fails must not cost their memory.
  nodes.keep = cluster.adopted > 0;
  releases.push(async () => {
    if (nodes.keep) cluster.leave();
    else await cluster.stop();
  });
  if (cluster.adopted > 0) {
    onProgress(`adopted ${cluster.adopted} nodes that were still running: their memory is the state`);
    await tellRevocations(identity, cluster.servers);
  }
  return { servers: cluster.servers, creds: await identity.serviceCreds('fabric'), identity, cluster };
}

/** Nodes that ran on without us may have missed revocations. */
async function tellRevocations(identity: Identity, servers: readonly string[]): Promise<void> {
  const { authenticator, inboxPrefix } = authFromCreds(await identity.systemCreds());
  const system = await connectTo({ servers, authenticator, inboxPrefix, name: 'revocations' });
  try {
    await identity.publishAccount(system);
  } finally {
    await system.close();
  }
}
