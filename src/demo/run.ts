/**
 * The demo from start to end: a fabric of its own, a race for one task, what the governor does for swarms and against
 * them, a board of tasks about a real directory that workers in processes of their own do while a node and a worker are
 * killed, and an audit of what the witness wrote down. Whatever ends it, no process is left.
 */
import { join as joinPath } from 'node:path';
import { EmbeddedFabric } from '../../actors/fabric/embedded-fabric.ts';
import type { Config } from '../config/settings.ts';
import { FabricError } from '../errors.ts';
import { openIdentity } from '../identity/identity.ts';
import type { Log } from '../log.ts';
import { join } from '../sdk/join.ts';
import { orAborted } from '../sdk/or-aborted.ts';
import type { Task } from '../sdk/task.ts';
import { witnessPath } from '../witness/files.ts';
import { type Audit, auditWitness } from './audit.ts';
import { type BoardTask, recheckTaskId, summariseTaskId } from './board.ts';
import { BoardWatch } from './board-watch.ts';
import { timesTold } from './circuit.ts';
import { type Governance, govern, governanceTasks } from './governance.ts';
import { Guests } from './guests.ts';
import { killLeader, type LeaderKill, nodeIsBack } from './leader-kill.ts';
import type { Summary } from './measure.ts';
import { type OfflineReceipt, takeReceipt } from './offline-receipt.ts';
import type { Progress } from './progress.ts';
import { holdRace, type Race } from './race.ts';
import type { Stage } from './stage.ts';
import { Tally } from './tally.ts';
import type { Recheck } from './work.ts';
import { WorkerChild } from './worker-child.ts';
import { killWorker, type WorkerKill } from './worker-kill.ts';

export interface DemoOptions {
  /** Of the fabric; its data directory is the caller's to make and to remove. */
  readonly config: Config;
  /** Of `boardFor`. */
  readonly board: readonly BoardTask[];
  /** One process each; at least two. */
  readonly swarmIds: readonly string[];
  /** Where the receipt and the public key stay. */
  readonly receiptDir: string;
  readonly log: Log;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface DemoWorker {
  readonly swarm_id: string;
  readonly pid: number;
  /** Tasks that it was handed on asking for the next one. */
  readonly handed_out: number;
}

/** How long each part took, milliseconds. */
export interface DemoTimes {
  /** Until it is ready and the workers have joined. */
  readonly fabric: number;
  readonly race: number;
  /** Help for a stuck swarm, a budget, a circuit. */
  readonly governance: number;
  /** Importing the board, before anybody works on it. */
  readonly import: number;
  /** From then to the last completion, kills included. */
  readonly work: number;
  readonly stop: number;
  /** The database, and the receipt in a process of its own. */
  readonly verify: number;
}

/** What the acts have shown. */
export interface Acts {
  readonly race: Race;
  readonly governance: Governance;
  /** How often people were told of the open circuit, asked at the end. */
  readonly times_told: number;
  readonly leader_kill: LeaderKill;
  readonly worker_kill: WorkerKill;
}

export interface DemoResult extends Acts {
  readonly tasks: readonly Task[];
  readonly workers: readonly DemoWorker[];
  readonly report: Summary;
  readonly recheck: Recheck;
  readonly audit: Audit;
  readonly receipt: OfflineReceipt;
  readonly times: DemoTimes;
}

/** The leader is killed when this part of the board is done. */
const shareBeforeKill = 0.25;

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
    race: 0,
    governance: 0,
    import: 0,
    work: 0,
    stop: 0,
    verify: 0,
  };
  readonly #workers: WorkerChild[] = [];
  readonly #closing: Array<() => Promise<void>> = [];
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
      `starting a fabric: ${config.nodes} nodes, coordinator, governor, witness; and ${this.#options.swarmIds.length} workers, each a process of its own`,
    );
    // The workers load while the nodes form their cluster.
    this.#startWorkers();
    const stage = await this.#timed('fabric', async () => await this.#setUp(await this.#startFabric()));
    progress.say(
      `the fabric is ready after ${seconds(this.#times.fabric)}; workers: ${this.#workers.map(({ swarmId, pid }) => `${swarmId} (process ${pid})`).join(', ')}`,
    );
    const { tasks, ...acts } = await this.#acts(stage);
    const resultOf = (id: string) => tasks.find(({ task_id }) => task_id === id)?.result;
    progress.say('all tasks are completed; stopping: workers, services, witness, nodes');
    await this.#timed('stop', async () => await this.release());
    this.#signal.throwIfAborted();
    progress.say('verifying the witness database');
    const database = witnessPath(config.data_dir);
    const [audit, receipt] = await this.#timed('verify', async () => [
      auditWitness(database),
      await takeReceipt(database, config.data_dir, recheckTaskId, this.#options.receiptDir, this.#signal),
    ]);
    return {
      ...acts,
      tasks,
      report: resultOf(summariseTaskId) as Summary,
      recheck: resultOf(recheckTaskId) as Recheck,
      workers: this.#workers.map(({ swarmId, pid }) => ({
        swarm_id: swarmId,
        pid,
        handed_out: this.#tallies.get(swarmId)!.of('claimed'),
      })),
      audit,
      receipt,
      times: this.#times,
    };
  }

  /** Ends what runs, workers first; may be called again. What cannot be ended does not keep the rest from it. */
  async release(): Promise<void> {
    const { log } = this.#options;
    const graceful = !this.#signal.aborted;
    const failed = (error: unknown) => log.error({ err: error }, 'a part of the demo did not stop cleanly');
    for (let close = this.#closing.pop(); close; close = this.#closing.pop()) await close().catch(failed);
    await Promise.all(this.#workers.map(async (worker) => await worker.stop(graceful).catch(failed)));
    await this.#fabric?.stop(log);
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

  /** An operator joins and watches, and the workers join. */
  async #setUp(fabric: EmbeddedFabric): Promise<Stage> {
    const { config, board, progress } = this.#options;
    const { servers, namespace } = fabric;
    const identity = await openIdentity(config.data_dir, namespace);
    const how = { servers, namespace: namespace.name };
    const guests = new Guests(identity, how);
    this.#closing.push(async () => await guests.close());
    const { client, close } = await join({ ...how, creds: await identity.operatorCreds() });
    this.#closing.push(close);
    // The race is one more.
    const all = board.length + 1 + governanceTasks;
    const onChange = (completed: number) => progress.count(`${completed} of ${all} tasks completed`, completed, all);
    const watch = new BoardWatch({ client, onChange, onFailure: this.#fail });
    this.#closing.push(async () => watch.close());
    await this.#orFail(
      Promise.all([
        watch.ready,
        ...this.#workers.map(async (worker) => {
          worker.send({ join: { ...how, creds: await identity.mintSwarm(worker.swarmId) } });
          await worker.joined;
        }),
      ]),
    );
    const admit: Stage['admit'] = async (swarm_id, registration) => await guests.admit(swarm_id, registration);
    return { fabric, client, watch, workers: this.#workers, admit, progress, signal: this.#signal };
  }

  async #acts(stage: Stage): Promise<Acts & Pick<DemoResult, 'tasks'>> {
    const { board } = this.#options;
    const { client, watch, fabric, progress } = stage;
    const race = await this.#timed('race', async () => await this.#orFail(holdRace(stage)));
    progress.say(
      `${race.winners.join(', ')} won a race of ${this.#workers.length} for one task; next: what the governor does`,
    );
    const governance = await this.#timed('governance', async () => await this.#orFail(govern(stage)));
    progress.say('the circuit is closed again; importing the board');
    await this.#timed('import', async () => {
      const [measures, others] = [board.filter(isMeasure), board.filter((task) => !isMeasure(task))];
      await this.#orFail(Promise.all(measures.map(async (task) => await client.request('task', 'create', task))));
      for (const task of others) await this.#orFail(client.request('task', 'create', task));
    });
    return await this.#timed('work', async () => {
      const ids = board.map(({ task_id }) => task_id);
      const killing = killLeader(stage, ids, shareBeforeKill);
      for (const worker of this.#workers) worker.send({ go: true });
      const killed = await this.#orFail(killing);
      const back = nodeIsBack(fabric, killed, this.#signal);
      const rechecking = watch.sighted(recheckTaskId, ({ state }) => state === 'in_progress');
      const worker_kill = await this.#orFail(killWorker(stage, recheckTaskId));
      await this.#orFail(watch.completed(ids));
      const { seen_at } = await this.#orFail(rechecking);
      // With hardly any board, everything else may be over before the leader is dead.
      const pause = watch.longestPause(killed.at, seen_at > killed.at ? seen_at : performance.now());
      const { node, pid, open_tasks, at } = killed;
      const leader_kill = {
        node,
        pid,
        open_tasks,
        pause_ms: Math.round(pause.ms),
        recovered_after_ms: Math.round(pause.ended_at - at),
        node_back_after_ms: await this.#orFail(back),
      };
      const { tasks } = await this.#orFail(client.request<{ tasks: Task[] }>('task', 'list', { limit: 1_000 }));
      const times_told = await this.#orFail(timesTold(client));
      return { race, governance, times_told, leader_kill, worker_kill, tasks };
    });
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

function isMeasure({ task_type }: BoardTask): boolean {
  return task_type === 'measure';
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
