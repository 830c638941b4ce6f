/**
 * The embedded cluster: nats-server processes on the loopback interface, formed, supervised, and adopted when they
 * outlived the process that started them. A start that fails or is aborted leaves nothing running that it started.
 */
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FabricError } from '../errors.ts';
import type { NodeAuth } from './auth.ts';
import type { ClusterListener } from './events.ts';
import { defaultRestartLimits, Node, type NodePhase, type RestartLimits } from './node.ts';
import { makeDataDir, type Storage } from './node-files.ts';
import { type Plan, planCluster } from './plan.ts';
import { versionOf } from './server-version.ts';

export interface ClusterOptions {
  /** A nats-server that runs here, as `obtainServer` gives it. */
  readonly binary: string;
  readonly dataDir: string;
  readonly nodes: 1 | 3;
  readonly storage: Storage;
  /** N: the nodes listen on N, N+1, N+2. 0: on any free ports. */
  readonly basePort: number;
  readonly clusterName: string;
  readonly auth: NodeAuth;
  readonly onEvent?: ClusterListener;
  /** Bytes that a node may hold in memory; default 8 GiB. A limit, nothing is reserved. */
  readonly maxMemoryStore?: number;
  /** Aborts the start; later it has no effect. */
  readonly signal?: AbortSignal;
  /** Milliseconds until all nodes must be healthy; default 60,000, since a large durable store takes its time. */
  readonly startTimeoutMs?: number;
  readonly restart?: RestartLimits;
}

export interface NodeView {
  readonly name: string;
  /** Null while it does not run. */
  readonly pid: number | null;
  readonly port: number;
  readonly http_port: number;
  readonly state: NodePhase;
}

export interface Cluster {
  /** How many nodes were found running. */
  readonly adopted: number;
  readonly name: string;
  /** `nats://127.0.0.1:<port>` of every node. */
  readonly servers: readonly string[];
  readonly nodes: readonly NodeView[];
  /** Ends all nodes, by force after 3 s. May be called again; all calls wait for the same end. */
  stop(): Promise<void>;
  /** Lets the nodes go on without supervision: the next start in the same data directory adopts them. */
  leave(): void;
}

const defaultMaxMemoryStore = 8 * 1024 ** 3;
const maxTries = 5;

/**
 * Resolves when every node is healthy.
 * @throws FabricError INVALID_REQUEST for options that cannot be met (a port in use, another number of nodes than those
 * that still run); CONFLICT when a node runs that cannot be adopted; UNAVAILABLE when a node does not start or the start
 * was aborted.
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const dataDir = resolve(options.dataDir);
  validate(options);
  await makeDataDir(dataDir);
  const version = await versionOf(options.binary, options.signal);
  for (let tries = 1; ; tries++) {
    throwIfAborted(options.signal);
    const plan = await planCluster({ ...options, dataDir });
    const nodes = makeNodes(plan, version, options);
    const started = nodes.filter((_, index) => !plan.nodes[index]?.survivor);
    try {
      await prepare(plan, started, options.storage);
      await Promise.all(started.map((node) => node.launch()));
      // Only a start from nothing loses nothing by being made again.
      const isFresh = options.storage === 'memory' && plan.adopted === 0 && tries < maxTries;
      await untilReady(nodes, isFresh ? { ...options, formationMs: formationMs * tries } : options);
    } catch (error) {
      await Promise.all(started.map((node) => node.stop()));
      // Someone took a port between its choice and its use.
      const another = error instanceof PortTaken || error instanceof NoLeader;
      if (another && tries < maxTries && !options.signal?.aborted) continue;
      throw error;
    }
    for (const node of nodes) node.supervise();
    return clusterOf(nodes, plan);
  }
}

function validate({ nodes, basePort }: ClusterOptions): void {
  if (nodes !== 1 && nodes !== 3) {
    throw new FabricError('INVALID_REQUEST', `a cluster has 1 or 3 nodes, not ${String(nodes)}`);
  }
  const highest = 65_535 - nodes + 1;
  if (!Number.isInteger(basePort) || basePort < 0 || basePort > highest) {
    throw new FabricError('INVALID_REQUEST', `the port ${basePort} is not valid: use 0 (any free) to ${highest}`);
  }
}

function makeNodes(plan: Plan, version: string, options: ClusterOptions): Node[] {
  const config = {
    binary: options.binary,
    version,
    storage: options.storage,
    nodes: options.nodes,
    clusterName: plan.clusterName,
    maxMemoryStore: options.maxMemoryStore ?? defaultMaxMemoryStore,
    auth: options.auth,
    routePorts: plan.nodes.map((node) => node.ports.route_port),
  };
  return plan.nodes.map(({ ports, files, survivor }) => {
    const node = new Node(ports, files, config, options.restart ?? defaultRestartLimits, options.onEvent ?? (() => {}));
    if (survivor) node.adopt(survivor.pid, survivor.start_time);
    return node;
  });
}

async function prepare(plan: Plan, started: readonly Node[], storage: Storage): Promise<void> {
  for (const { files } of started) {
    // Without survivors the memory of the last run is gone. What it left on disk would only slow down the election.
    if (storage === 'memory' && plan.adopted === 0) await files.clearStore('memory');
    await files.makeFolders(storage);
    await files.rotateLogs();
  }
}

class PortTaken extends FabricError {}

/**
 * Fresh nodes elect a leader within 0.4 s, or, when their first votes split, after their election time-out of several
 * seconds. Beginning anew is faster than waiting for that; each time with more patience, for a machine may just be slow.
 */
class NoLeader extends FabricError {}
const formationMs = 1_200;

/** Waits for the health of all; the first node that ends, the time limit or an abort ends the wait. */
async function untilReady(nodes: readonly Node[], options: ClusterOptions & { formationMs?: number }): Promise<void> {
  const over = new AbortController();
  const signal = options.signal ? AbortSignal.any([over.signal, options.signal]) : over.signal;
  const limitMs = options.startTimeoutMs ?? 60_000;
  try {
    await Promise.race([
      Promise.all(nodes.map((node) => node.untilHealthy(signal))),
      ...nodes.map((node) => node.exited().then((exit) => (over.signal.aborted ? undefined : ended(node, exit)))),
      delay(limitMs, undefined, { signal }).then(() => tooLate(nodes, limitMs)),
      ...(options.formationMs === undefined
        ? []
        : [
            delay(options.formationMs, undefined, { signal }).then(() => {
              throw new NoLeader('UNAVAILABLE', 'the nodes elected no leader in time; they are started again');
            }),
          ]),
    ]);
  } catch (error) {
    throwIfAborted(options.signal);
    throw error;
  } finally {
    over.abort();
  }
  throwIfAborted(options.signal);
}

async function ended(node: Node, exit: { code: number | null; signal: string | null }): Promise<never> {
  const complaints = await node.files.complaints();
  const how = exit.signal ?? (exit.code === null ? 'it was found running before' : `exit code ${exit.code}`);
  const message = [
    `node ${node.ports.name} ended during its start (${how}).`,
    ...complaints.map((line) => `  ${line}`),
    `Its log is ${node.files.log}.`,
  ].join('\n');
  // The system's own words, as the server repeats them: there is no code for it.
  const taken = complaints.some((line) => line.includes('address already in use'));
  throw taken ? new PortTaken('UNAVAILABLE', message) : new FabricError('UNAVAILABLE', message);
}

async function tooLate(nodes: readonly Node[], limitMs: number): Promise<never> {
  const health = await Promise.all(nodes.map((node) => node.isHealthy()));
  const sick = nodes.filter((_, index) => !health[index]);
  const list = sick.map((node) => `${node.ports.name} (process ${node.pid}, log ${node.files.log})`).join(', ');
  throw new FabricError('UNAVAILABLE', `the cluster was not ready within ${limitMs / 1000} s: not healthy: ${list}`);
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new FabricError('UNAVAILABLE', 'the start of the cluster was interrupted');
}

function clusterOf(nodes: readonly Node[], plan: Plan): Cluster {
  let stopped: Promise<void> | undefined;
  return {
    adopted: plan.adopted,
    name: plan.clusterName,
    servers: nodes.map((node) => `nats://127.0.0.1:${node.ports.port}`),
    get nodes(): NodeView[] {
      return nodes.map(({ ports, pid, phase }) => {
        return { name: ports.name, pid, port: ports.port, http_port: ports.http_port, state: phase };
      });
    },
    leave(): void {
      for (const node of nodes) node.leave();
    },
    stop(): Promise<void> {
      stopped ??= Promise.all(nodes.map((node) => node.stop())).then(() => {});
      return stopped;
    },
  };
}
