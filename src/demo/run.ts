/**
 * The demo from start to end: a fabric of its own, a board of tasks about a real directory, workers in processes of their
 * own that race for them, and an audit of what the witness wrote down. Whatever ends it, no process is left.
 */
import { join as joinPath } from 'node:path';
import { EmbeddedFabric } from '../../actors/fabric/embedded-fabric.ts';
import { witnessPath } from '../../actors/witness/witness.ts';
import type { Config } from '../config/settings.ts';
import { FabricError } from '../errors.ts';
import { openIdentity } from '../identity/identity.ts';
import type { Log } from '../log.ts';
import { Namespace } from '../namespace.ts';
import { join } from '../sdk/join.ts';
import { orAborted } from '../sdk/or-aborted.ts';
import type { Task } from '../sdk/task.ts';
import { type Audit, auditWitness } from './audit.ts';
import type { BoardTask } from './board.ts';
import { BoardWatch } from './board-watch.ts';
import type { Summary } from './measure.ts';
import type { Progress } from './progress.ts';
import { type ClaimTally, Tally } from './tally.ts';
import { WorkerChild } from './worker-child.ts';

export interface DemoOptions {
  /** Of the fabric; its data directory is the caller's to make and to remove. */
  readonly config: Config;
  /** Of `boardFor`. */
  readonly board: readonly BoardTask[];
  /** One process each. */
  readonly swarmIds: readonly string[];
  readonly log: Log;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface DemoWorker extends ClaimTally {
  readonly swarm_id: string;
  readonly pid: number;
}

/** How long each part took, milliseconds. */
export interface DemoTimes {
  readonly fabric: number;
  /** Importing the board, while the workers join. */
  readonly import: number;
  /** From the first claim to the last completion. */
  readonly work: number;
  readonly stop: number;
  readonly verify: number;
}

export interface DemoResult {
  readonly tasks: readonly Task[];
  readonly workers: readonly DemoWorker[];
  readonly total: ClaimTally;
  readonly report: Summary;
  readonly audit: Audit;
  readonly times: DemoTimes;
}

/** @throws FabricError when the fabric, a worker or a task fails; the signal's reason when it aborts */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  const fail = (reason: FabricError) => failure.abort(reason);
  const run = new DemoRun(options, signal, fail);
  try {
    return await run.all();
  } finally {
    await run.release();
  }
}

class DemoRun {
  readonly #options: DemoOptions;
  readonly #signal: AbortSignal;
  readonly #fail: (reason: FabricError) => void;
  readonly #tallies = new Map<string, Tally>();
  readonly #times: { -readonly [Part in keyof DemoTimes]: number } = {
    fabric: 0,
    import: 0,
    work: 0,
    stop: 0,
    verify: 0,
  };
  #workers: WorkerChild[] = [];
  #fabric: EmbeddedFabric | undefined;

  constructor(options: DemoOptions, signal: AbortSignal, fail: (reason: FabricError) => void) {
    this.#options = options;
    this.#signal = signal;
    this.#fail = fail;
  }

  async all(): Promise<DemoResult> {
    const { progress, config } = this.#options;
    this.#signal.throwIfAborted();
    progress.say(
      `starting a fabric: ${config.nodes} nodes, coordinator, witness; and ${this.#options.swarmIds.length} workers, each a process of its own`,
    );
    // The workers load while the nodes form their cluster.
    this.#startWorkers();
    const fabric = await this.#timed('fabric', async () => await this.#startFabric());
    progress.say(
      `the fabric is ready after ${seconds(this.#times.fabric)}; workers: ${this.#workers.map(({ swarmId, pid }) => `${swarmId} (process ${pid})`).join(', ')}`,
    );
    const { tasks, report } = await this.#work(fabric);
    progress.say('all tasks are completed; stopping: workers, services, witness, nodes');
    await this.#timed('stop', async () => await this.release());
    this.#signal.throwIfAborted();
    progress.say('verifying the witness database');
    const audit = await this.#timed('verify', async () => auditWitness(witnessPath(config.data_dir)));
    const workers = this.#workers.map(({ swarmId, pid }) => ({
      swarm_id: swarmId,
      pid,
      ...this.#tallies.get(swarmId)!.result(),
    }));
    return { tasks, report, workers, total: Tally.total(this.#tallies.values()), audit, times: this.#times };
  }

  /** Ends what runs, workers first; may be called again. */
  async release(): Promise<void> {
    const graceful = !this.#signal.aborted;
    await Promise.all(this.#workers.map(async (worker) => await worker.stop(graceful)));
    await this.#fabric?.stop(this.#options.log);
  }

  #startWorkers(): void {
    for (const swarmId of this.#options.swarmIds) {
      const tally = new Tally();
      this.#tallies.set(swarmId, tally);
      this.#workers.push(new WorkerChild({ swarmId, onEvent: (event) => tally.add(event), onCrash: this.#fail }));
    }
  }

  async #startFabric(): Promise<EmbeddedFabric> {
    const { config, log, progress } = this.#options;
    this.#fabric = await EmbeddedFabric.start({
      config,
      log,
      signal: this.#signal,
      onProgress: (line) => progress.say(line),
      onEscalation: (reason) =>
        this.#fail(
          new FabricError('UNAVAILABLE', `${reason}; see ${joinPath(config.data_dir, 'logs')} (--keep keeps it)`),
        ),
    });
    this.#signal.throwIfAborted();
    return this.#fabric;
  }

  async #work(fabric: EmbeddedFabric): Promise<{ tasks: Task[]; report: Summary }> {
    const { config, board, progress } = this.#options;
    const namespace = new Namespace(config.namespace);
    const identity = await openIdentity(config.data_dir, namespace);
    const { client, close } = await join({
      servers: fabric.servers,
      namespace: namespace.name,
      creds: await identity.operatorCreds(),
    });
    const measures = board.filter(({ task_type }) => task_type === 'measure');
    const told = (completed: number) =>
      progress.count(
        `${completed} of ${board.length} tasks completed, ${this.#racesLost()} races lost`,
        completed,
        board.length,
      );
    const watch = new BoardWatch({ client, namespace, onChange: told, onFailure: this.#fail });
    try {
      await this.#timed('import', async () => {
        await this.#orFail(
          Promise.all([
            watch.ready,
            ...this.#workers.map(async (worker) => {
              const creds = await identity.mintSwarm(worker.swarmId);
              worker.send({ join: { servers: fabric.servers, namespace: namespace.name, creds } });
              await worker.joined;
            }),
            ...measures.map(async (task) => await client.request('task', 'create', task)),
          ]),
        );
      });
      return await this.#timed('work', async () => {
        for (const worker of this.#workers) worker.send({ go: true });
        await this.#orFail(watch.completed(measures.map(({ task_id }) => task_id)));
        const last = summaryTask(board);
        await this.#orFail(client.request('task', 'create', last));
        await this.#orFail(watch.completed([last.task_id]));
        const { tasks } = await this.#orFail(client.request<{ tasks: Task[] }>('task', 'list', { limit: 1_000 }));
        const report = tasks.find(({ task_id }) => task_id === last.task_id)?.result as Summary;
        return { tasks, report };
      });
    } finally {
      watch.close();
      await close();
    }
  }

  #racesLost(): number {
    return Tally.total(this.#tallies.values()).races_lost;
  }

  async #timed<T>(part: keyof DemoTimes, run: () => Promise<T>): Promise<T> {
    const begun = performance.now();
    const result = await run();
    this.#times[part] = Math.round(performance.now() - begun);
    return result;
  }

  /** Rejects with the reason as soon as the demo is interrupted or has failed. */
  async #orFail<T>(promise: Promise<T>): Promise<T> {
    return await orAborted(promise, this.#signal);
  }
}

/** The task that adds up what the others measured; it is created when they are completed, and names them. */
function summaryTask(board: readonly BoardTask[]) {
  const last = board.find((task) => task.task_type === 'summarise')!;
  const { depends_on, metadata, ...rest } = last;
  return { ...rest, metadata: { ...metadata, measured: depends_on } };
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
