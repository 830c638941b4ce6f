/**
 * A chaos run: a whole fabric, swarms in processes of their own, a board that grows all the time, and faults at random.
 * At the end the faults stop, the work is finished, and everything that is on record is held against everything that
 * anyone was told.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import pino from 'pino';
import { EmbeddedFabric } from '../../actors/fabric/embedded-fabric.ts';
import { resolveConfig } from '../../src/config/resolve.ts';
import { join as joinFabric, type Membership } from '../../src/sdk/join.ts';
import { openReadOnly } from '../../src/witness/read-only.ts';
import { planFaults } from './fault-plan.ts';
import { type Fault, Faults } from './faults.ts';
import { numbers } from './numbers.mjs';
import { SwarmProcess } from './swarm-processes.ts';

export interface ChaosOptions {
  readonly seed: number;
  /** How long there are faults, seconds. */
  readonly seconds: number;
  readonly tasks: number;
  readonly workers: number;
  /** Where everything is kept; empty. */
  readonly dir: string;
  /** Ends the faults early. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (line: string) => void;
}

/** What a run leaves behind, to be judged. */
export interface ChaosEvidence {
  readonly witnessDb: string;
  /** Where the requests of all swarms are written down. */
  readonly opsDir: string;
  readonly created: readonly { readonly task_id: string; readonly depends_on: readonly string[] }[];
  readonly faults: readonly Fault[];
  readonly skippedFaults: number;
  /** How the fabric showed some of the tasks when all was done. */
  readonly shown: readonly { readonly task_id: string; readonly n: number; readonly revision: number }[];
  /** What went wrong during the run. */
  readonly findings: readonly string[];
}

/** How long until all swarms are there; after the faults, until all is whole again, and until the witness has it all. */
const patienceMs = { swarms: 120_000, whole: 60_000, witness: 30_000 };
/** A board on which nothing is completed for so long is stuck, milliseconds. */
const stuckMs = 30_000;
/** Tasks that are read again at the end. */
const sampleSize = 200;

export async function runChaos(options: ChaosOptions): Promise<ChaosEvidence> {
  const { dir, onProgress = () => {} } = options;
  const findings: string[] = [];
  const flags = { data_dir: join(dir, 'fabric'), nodes: 3, coordinators: 3, liveness_ms: 5_000, log_level: 'warn' };
  const { config } = await resolveConfig({ flags, env: process.env, cwd: dir });
  const fabric = await EmbeddedFabric.start({
    config,
    log: pino({ level: 'silent' }),
    onEscalation: (reason) => findings.push(`given up: ${reason}`),
  });
  const run = new ChaosRun(options, fabric, findings);
  try {
    return await run.run();
  } finally {
    onProgress('stopping');
    await run.stop();
    await fabric.stop(pino({ level: 'silent' }));
  }
}

class ChaosRun {
  readonly #options: ChaosOptions;
  readonly #fabric: EmbeddedFabric;
  readonly #findings: string[];
  readonly #created: { task_id: string; depends_on: string[] }[] = [];
  readonly #workers: SwarmProcess[] = [];
  #creator: SwarmProcess | undefined;
  #isBoardWhole = false;
  #operator: Membership | undefined;

  constructor(options: ChaosOptions, fabric: EmbeddedFabric, findings: string[]) {
    this.#options = options;
    this.#fabric = fabric;
    this.#findings = findings;
  }

  async run(): Promise<ChaosEvidence> {
    const { seed, seconds, workers, dir, signal, onProgress = () => {} } = this.#options;
    const random = numbers(seed);
    const plan = planFaults(random, seconds);
    const opsDir = join(dir, 'ops');
    await mkdir(opsDir);
    const creds = await this.#fabric.identity!.operatorCreds();
    this.#operator = await joinFabric({ servers: this.#fabric.servers, creds, timeoutMs: 60_000 });
    this.#startSwarms(opsDir, random);
    await this.#until('all swarms are there', patienceMs.swarms, async () => (await this.#online()) > workers);

    onProgress(`${plan.length} faults in ${seconds} s`);
    const faults = new Faults({
      fabric: this.#fabric,
      workers: () => this.#workers.flatMap(({ name, pid }) => (pid === null ? [] : [{ name, pid }])),
    });
    const over = new AbortController();
    const timer = setTimeout(() => over.abort(), seconds * 1_000);
    signal?.addEventListener('abort', () => over.abort());
    if (signal?.aborted) over.abort();
    const watching = this.#replaceTripped(over.signal);
    await faults.carryOut(plan, over.signal);
    clearTimeout(timer);
    over.abort();
    await watching;
    onProgress(`${faults.done.length} faults done; waiting until all is whole and the board is done`);
    await this.#until('every node is whole', patienceMs.whole, async () => await faults.isWhole());
    const settled = new AbortController();
    const stillWatching = this.#replaceTripped(settled.signal);
    await this.#untilDone();
    settled.abort();
    await stillWatching;
    await Promise.all(this.#workers.map(async (worker) => await worker.stop()));
    const shown = await Promise.all(this.#sample().map(async (task_id) => await this.#show(task_id)));
    await this.#settle();
    return {
      witnessDb: join(dir, 'fabric', 'witness.db'),
      opsDir,
      created: this.#created,
      faults: faults.done,
      skippedFaults: faults.skipped,
      shown,
      findings: this.#findings,
    };
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.#workers, ...(this.#creator ? [this.#creator] : [])].map(async (one) => await one.stop()),
    );
    await this.#operator?.close();
  }

  #startSwarms(logDir: string, random: () => number): void {
    const { tasks, seconds, workers } = this.#options;
    const { servers, identity } = this.#fabric;
    const common = {
      servers,
      logDir,
      credsOf: async (name: string) => await identity!.mintSwarm(name),
      onFailure: (name: string, reason: string) => this.#failed(name, reason),
    };
    const seedOfSwarm = () => Math.floor(random() * 2 ** 32);
    for (let i = 0; i < workers; i++) {
      const style = i % 2 === 0 ? 'sdk' : 'unruly';
      const instructions = { seed: seedOfSwarm(), style };
      this.#workers.push(new SwarmProcess({ ...common, name: `${style}-${i}`, program: 'worker.mjs', instructions }));
    }
    this.#creator = new SwarmProcess({
      ...common,
      name: 'creator',
      program: 'creator.mjs',
      instructions: { seed: seedOfSwarm(), tasks, seconds: seconds * 0.9 },
      onMessage: ({ created, done }) => {
        if (created) this.#created.push(created as { task_id: string; depends_on: string[] });
        if (done) this.#isBoardWhole = true;
      },
    });
  }

  /** A process that ends again and again says it once. */
  #failed(name: string, reason: string): void {
    if (this.#findings.some((finding) => finding.startsWith(`${name} `))) return;
    this.#findings.push(`${name} ended by itself: ${reason}`);
  }

  /** How many swarms are registered. */
  async #online(): Promise<number> {
    const { swarms } = await this.#ask<{ swarms: unknown[] }>('swarm', 'list', { limit: 1_000 });
    return swarms.length;
  }

  /** Everything that was to be created is there, and completed. */
  async #isDone(): Promise<boolean> {
    if (!this.#isBoardWhole) return false;
    for (const state of ['waiting', 'available', 'claimed', 'in_progress', 'blocked']) {
      const { tasks } = await this.#ask<{ tasks: unknown[] }>('task', 'list', { state, limit: 1 });
      if (tasks.length > 0) return false;
    }
    return true;
  }

  /** Too many leases lost in a row open a swarm's circuit, and only an operator closes it: another swarm takes over. */
  async #replaceTripped(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(1_000, undefined, { signal }).catch(() => {});
      const listed = await this.#ask<{ swarms: { swarm_id: string; circuit: string }[] }>('swarm', 'list', {
        limit: 1_000,
      }).catch(() => ({ swarms: [] }));
      const open = new Set(listed.swarms.filter(({ circuit }) => circuit === 'open').map(({ swarm_id }) => swarm_id));
      for (const worker of this.#workers) if (open.has(worker.name)) worker.succeed();
    }
  }

  /** Waits until the board is done, as long as something is completed now and then. */
  async #untilDone(): Promise<void> {
    let completed = 0;
    let since = performance.now();
    while (!(await this.#isDone().catch(() => false))) {
      const now = this.#witnessed("SELECT count(*) AS number FROM entries WHERE event = 'COMPLETE'");
      if (now > completed) since = performance.now();
      completed = now;
      if (performance.now() - since > stuckMs) {
        this.#findings.push(`the board is stuck: nothing was completed for ${stuckMs / 1_000} s`);
        return;
      }
      await delay(500);
    }
  }

  #sample(): string[] {
    const every = Math.ceil(this.#created.length / sampleSize);
    return this.#created.filter((_, i) => i % every === 0).map(({ task_id }) => task_id);
  }

  async #show(task_id: string): Promise<ChaosEvidence['shown'][number]> {
    const { n, revision } = await this.#ask<{ n: number; revision: number }>('task', 'get', { task_id });
    return { task_id, n, revision };
  }

  /** Waits for the witness. */
  async #settle(): Promise<void> {
    const jsm = await jetstreamManager(this.#fabric.nc, { checkAPI: false });
    const { last_seq } = (await jsm.streams.info(this.#fabric.namespace.actorsStream)).state;
    const newest = "SELECT max(seq) AS number FROM entries WHERE chain LIKE 'IF_actors/%'";
    await this.#until('the witness has everything', patienceMs.witness, () => this.#witnessed(newest) >= last_seq);
  }

  /** One number of the witness. */
  #witnessed(sql: string): number {
    const { sqlite, close } = openReadOnly(join(this.#options.dir, 'fabric', 'witness.db'));
    try {
      return sqlite.prepare<[], { number: number | null }>(sql).get()?.number ?? 0;
    } finally {
      close();
    }
  }

  async #ask<Result>(service: string, op: string, body: Readonly<Record<string, unknown>>): Promise<Result> {
    return await this.#operator!.client.request<Result>(service, op, body, { timeoutMs: 5_000 });
  }

  /** What does not come true is a finding; the run goes on to show what there is. */
  async #until(what: string, withinMs: number, condition: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + withinMs;
    const holds = async () => await condition();
    while (!(await holds().catch(() => false))) {
      if (performance.now() > deadline) {
        this.#findings.push(`not within ${withinMs / 1_000} s: ${what}`);
        return;
      }
      await delay(100);
    }
  }
}
