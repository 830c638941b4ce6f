/**
 * One of several processes that hand out tasks: a coordinator, and workers in the same process that ask it for the next
 * task, complete it and ask again. Started by `next-conflicts.ts`, which says what to do over the channel between them.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Coordinator } from '../actors/coordinator/coordinator.ts';
import type { NextTaskStats } from '../actors/coordinator/next/next-task.ts';
import { connectTo } from '../src/bus/connection.ts';
import { FabricError } from '../src/errors.ts';
import { authFromCreds } from '../src/identity/connect-auth.ts';
import { createLog } from '../src/log.ts';
import { Namespace } from '../src/namespace.ts';
import { throughput } from './measure.ts';
import { benchSettings } from './settings.ts';

/** What a process is told at first; it answers when it is ready. */
export interface Start {
  readonly servers: readonly string[];
  readonly creds: string;
  readonly dataDir: string;
  /** One worker for each. */
  readonly swarms: readonly string[];
}

export type Order =
  /** Creates tasks: as fast as it can, or so many milliseconds apart. Answered when they are there. */
  | { readonly type: 'create'; readonly ids: readonly string[]; readonly everyMs: number }
  /** Works, so many milliseconds at each task, until nothing was handed out for a while. Answered with the outcome. */
  | { readonly type: 'work'; readonly workMs: number }
  | { readonly type: 'stop' };

export interface Outcome {
  readonly stats: NextTaskStats;
  /** The tasks that were handed out here. */
  readonly tasks: readonly string[];
  /** How long it took until the last of them, milliseconds. */
  readonly ms: number;
}

const quietMs = 1_000;

class NextProcess {
  readonly #coordinator: Coordinator;
  readonly #swarms: readonly string[];

  constructor(coordinator: Coordinator, swarms: readonly string[]) {
    this.#coordinator = coordinator;
    this.#swarms = swarms;
  }

  async create(ids: readonly string[], everyMs: number): Promise<void> {
    const one = async (task_id: string) => {
      await this.#coordinator.tasks.create('bench', { task_id, task_type: 'bench' });
    };
    if (everyMs > 0) for (const id of ids) await Promise.all([one(id), delay(everyMs)]);
    else
      await throughput(
        ids.map((id) => async () => await one(id)),
        64,
      );
  }

  async work(workMs: number): Promise<Outcome> {
    const { next } = this.#coordinator;
    const before = next.stats();
    const tasks: string[] = [];
    const begunAt = performance.now();
    let lastAt = begunAt;
    const worker = async (swarm: string) => {
      for (;;) {
        const { task } = await patiently(async () => await next.next(swarm, { wait_ms: quietMs }));
        if (!task) return;
        tasks.push(task.task_id);
        lastAt = performance.now();
        if (workMs > 0) await delay(workMs);
        await patiently(async () => await this.#coordinator.tasks.complete(swarm, task.task_id, {}));
      }
    };
    await Promise.all(this.#swarms.map(worker));
    const after = next.stats();
    const stats = {
      ...after,
      claims: after.claims - before.claims,
      conflicts: after.conflicts - before.conflicts,
      wakeups: after.wakeups - before.wakeups,
    };
    return { stats, tasks, ms: lastAt - begunAt };
  }
}

/** Again, when a machine that is too busy for the benchmark let a time limit pass. */
async function patiently<Result>(ask: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof FabricError && error.retryable)) throw error;
      process.stderr.write(`bench: asked again after: ${error.message}\n`);
    }
  }
}

/** Runs as the child of `next-conflicts.ts`. */
async function main(): Promise<void> {
  const { servers, creds, dataDir, swarms } = await new Promise<Start>((resolve) => process.once('message', resolve));
  const { authenticator, inboxPrefix } = authFromCreds(creds);
  const nc = await connectTo({ servers: [...servers], authenticator, inboxPrefix, name: 'bench' });
  const log = createLog({ level: 'warn', service: 'bench' });
  // The workers ask without a bus in between, so that no request of theirs is a sign of life.
  const settings = { ...benchSettings(dataDir), liveness_ms: 3_600_000 };
  const coordinator = await Coordinator.start({ nc, namespace: new Namespace(), log, settings });
  for (const swarm of swarms) await coordinator.swarms.register(swarm, { capabilities: [], cost_per_hour: 0 });
  const here = new NextProcess(coordinator, swarms);
  const perform = async (order: Order): Promise<unknown> => {
    if (order.type === 'create') return await here.create(order.ids, order.everyMs);
    if (order.type === 'work') return await here.work(order.workMs);
    await coordinator.stop();
    return await nc.close();
  };
  // Whoever orders is gone.
  process.on('disconnect', () => process.exit());
  process.on('message', (order: Order) => {
    void perform(order).then((outcome) => {
      process.send?.({ type: order.type, outcome });
      if (order.type === 'stop') process.disconnect();
    });
  });
  process.send?.({ type: 'ready' });
}

if (process.send) await main();
