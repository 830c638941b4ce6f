/**
 * One node under supervision: a node that ends is started again on the same ports with the same store, at growing
 * distances, until it has ended too often. `stop` always wins: after it, no process of the node is left.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Backoff, backoffMs } from '../backoff.ts';
import { FabricError } from '../errors.ts';
import type { ClusterListener } from './events.ts';
import { isHealthy, untilHealthy } from './health.ts';
import { type ClusterConfig, type NodePorts, nodeArguments, nodeEnvironment } from './node-config.ts';
import type { NodeFiles } from './node-files.ts';
import { adoptProcess, type Exit, type NodeProcess, spawnProcess } from './node-process.ts';

/** `starting` until it is first healthy, `failed` once supervision gave up. */
export type NodePhase = 'starting' | 'running' | 'restarting' | 'failed' | 'stopped';

export interface RestartLimits {
  readonly backoff: Backoff;
  /** At most so many restarts in any window of `windowMs` milliseconds; one more end, and the node has failed. */
  readonly cap: number;
  readonly windowMs: number;
  /** A node that was up for so long, in milliseconds, starts again with the shortest distance. */
  readonly settledMs: number;
}

export const defaultRestartLimits: RestartLimits = {
  backoff: { first: 100, max: 5_000 },
  cap: 20,
  windowMs: 120_000,
  settledMs: 10_000,
};

/** How long a node may take to end by itself before it is killed. */
const stopGraceMs = 3_000;

export class Node {
  readonly ports: NodePorts;
  readonly files: NodeFiles;
  readonly #cluster: ClusterConfig;
  readonly #limits: RestartLimits;
  readonly #listener: ClusterListener;
  readonly #stopping = new AbortController();
  #phase: NodePhase = 'starting';
  #process: NodeProcess | undefined;
  #launching: Promise<void> | undefined;

  constructor(
    ports: NodePorts,
    files: NodeFiles,
    cluster: ClusterConfig,
    limits: RestartLimits,
    listener: ClusterListener,
  ) {
    this.ports = ports;
    this.files = files;
    this.#cluster = cluster;
    this.#limits = limits;
    this.#listener = listener;
  }

  get phase(): NodePhase {
    return this.#phase;
  }
  /** Null while no process runs. */
  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  /** Takes a process that was found running. */
  adopt(pid: number, startTime: string): void {
    this.#process = adoptProcess(pid, startTime);
  }

  /** Starts the node's process; it is not healthy yet. */
  launch(): Promise<void> {
    this.#launching = this.#launch();
    return this.#launching;
  }

  /** Resolves with how the present process ended. */
  exited(): Promise<Exit> {
    return this.#process?.exited ?? Promise.resolve({ code: null, signal: null });
  }

  async untilHealthy(signal: AbortSignal): Promise<boolean> {
    return untilHealthy(this.ports.http_port, signal, true);
  }

  isHealthy(): Promise<boolean> {
    return isHealthy(this.ports.http_port);
  }

  /** From now on the node counts as running, and is started again whenever it ends. */
  supervise(): void {
    this.#phase = 'running';
    void this.#supervise();
  }

  /** Ends the process, by force after 3 s, and forgets its state file. Stores and logs stay. */
  /** Lets it go on without supervision, for whoever adopts it. */
  leave(): void {
    this.#stopping.abort();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#launching?.catch(() => {});
    if (this.#process) {
      this.#process.send('SIGTERM');
      if (!(await endsWithin(this.#process.exited, stopGraceMs))) {
        this.#process.send('SIGKILL');
        await endsWithin(this.#process.exited, stopGraceMs);
      }
    }
    this.#process = undefined;
    this.#phase = 'stopped';
    await this.files.forget();
  }

  async #launch(): Promise<void> {
    const { binary, version, storage, nodes, clusterName, auth } = this.#cluster;
    await this.files.makeFolders(storage);
    await auth.writeResolver(this.files.accounts);
    const state = { ...this.ports, version, storage, nodes, cluster_name: clusterName };
    // Before the process exists, so that a node whose starter dies in between is still found, by its pid file.
    await this.files.writeState({ ...state, pid: null, start_time: null });
    if (this.#stopping.signal.aborted) throw new FabricError('UNAVAILABLE', `node ${this.ports.name} is being stopped`);
    const env = nodeEnvironment(this.ports, this.files, this.#cluster);
    this.#process = await spawnProcess(binary, nodeArguments(this.files), env, this.files.lastWords);
    await this.files.writeState({ ...state, pid: this.#process.pid, start_time: this.#process.start_time });
  }

  async #supervise(): Promise<void> {
    const restarts: number[] = [];
    let inARow = 0;
    let upSince = performance.now();
    while (this.#process) {
      const { pid, exited } = this.#process;
      const exit = await exited;
      if (this.#stopping.signal.aborted) return;
      const downSince = performance.now();
      if (downSince - upSince >= this.#limits.settledMs) inARow = 0;
      this.#process = undefined;
      this.#phase = 'restarting';
      this.#listener({ type: 'node_exit', node: this.ports.name, pid, ...exit });

      while (!this.#process) {
        if (!this.#mayRestart(restarts)) return this.#fail(restarts.length);
        await this.#pause(backoffMs(this.#limits.backoff, inARow++));
        // A launch that fails, for want of disk or memory, counts as a node that ended.
        if (!this.#stopping.signal.aborted) await this.launch().catch(() => {});
        if (this.#stopping.signal.aborted) return;
      }
      upSince = performance.now();
      void this.#announce(this.#process, downSince);
    }
  }

  #mayRestart(restarts: number[]): boolean {
    const now = performance.now();
    while (restarts[0] !== undefined && now - restarts[0] > this.#limits.windowMs) restarts.shift();
    if (restarts.length >= this.#limits.cap) return false;
    restarts.push(now);
    return true;
  }

  async #fail(restarts: number): Promise<void> {
    this.#phase = 'failed';
    const complaints = await this.files.complaints(1);
    const message = [
      `node ${this.ports.name} ended again after ${restarts} restarts within ${this.#limits.windowMs / 1000} s;`,
      `its log is ${this.files.log}${complaints.length > 0 ? `, with ${complaints.join(' ')}` : ''}`,
    ].join(' ');
    this.#listener({ type: 'node_failed', node: this.ports.name, restarts, message });
  }

  /** Tells when the node is healthy again, unless it ends before that. */
  async #announce(process: NodeProcess, downSince: number): Promise<void> {
    const life = new AbortController();
    void process.exited.then(() => life.abort());
    const signal = AbortSignal.any([life.signal, this.#stopping.signal]);
    if (!(await untilHealthy(this.ports.http_port, signal, false))) return;
    this.#phase = 'running';
    const down_ms = Math.round(performance.now() - downSince);
    this.#listener({ type: 'node_restarted', node: this.ports.name, pid: process.pid, down_ms });
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { ref: false, signal: this.#stopping.signal }).catch(() => {});
  }
}

async function endsWithin(exited: Promise<Exit>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  try {
    const late = delay(ms, false, { signal: timer.signal }).catch(() => false);
    return await Promise.race([exited.then(() => true), late]);
  } finally {
    timer.abort();
  }
}
