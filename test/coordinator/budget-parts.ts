/** Coordinators on one real cluster, swarms and tasks with money, and what is on record of budgets. */
import type { Budget } from '../../machines/budget.ts';
import { type FleetContext, fleetRef } from '../../machines/fleet/context.ts';
import { fleetMachine } from '../../machines/fleet/machine.ts';
import type { SwarmContext } from '../../machines/swarm/context.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import { freshId, withStreams } from '../store/fixtures.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { type Coordinating, type Parts, startCoordinating } from './coordinating.ts';

export const operator = { by: 'operator', trace_id: 'test' };

/** A cluster, and what one test after the other starts and creates on it. */
export class BudgetWorld {
  readonly #cluster: TestCluster;
  readonly #running: Coordinating[] = [];
  readonly #created: string[] = [];

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
  }

  async start(parts?: Parts): Promise<Coordinating> {
    const one = await startCoordinating(this.#cluster, parts);
    this.#running.push(one);
    return one;
  }

  async tasks(at: Coordinating, count: number, content: object = {}): Promise<string[]> {
    const ids = Array.from({ length: count }, () => freshId('t'));
    this.#created.push(...ids);
    await Promise.all(
      ids.map(async (task_id) => await at.tasks.create('operator', { task_id, task_type: 'build', ...content })),
    );
    return ids;
  }

  /** After a test: nothing of it is left to claim, the fabric has neither pause nor budget, and nothing runs. */
  async clear(): Promise<void> {
    const [one] = this.#running;
    for (const id of this.#created.splice(0))
      await one?.tasks.cancel('operator', id, 'the test is over').catch(() => {});
    if (one && (await fleetOf(one)).pause) await tellFleet(one, { type: 'RESUME' });
    if (one && (await fleetOf(one)).budget) await tellFleet(one, { type: 'ALLOCATE', budget_usd: null });
    for (const each of this.#running.splice(0)) await each.stop();
  }

  async stop(): Promise<void> {
    await this.#cluster.stop();
  }
}

export async function startBudgetWorld(): Promise<BudgetWorld> {
  const cluster = await startTestCluster({ nodes: 1 });
  try {
    await withStreams(cluster, 1);
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return new BudgetWorld(cluster);
}

export async function swarm(at: Coordinating, budget_usd: number, limits: object = {}): Promise<string> {
  const id = freshId('s').toLowerCase();
  await at.register(id);
  await at.store.dispatch(swarmMachine, id, { type: 'ALLOCATE', budget_usd, ...limits }, operator);
  return id;
}

export async function tellFleet(
  { store }: Coordinating,
  event: { type: string; [field: string]: unknown },
): Promise<void> {
  await store.dispatch(fleetMachine, fleetRef.id, { by: 'operator', ...event }, operator);
}

export async function fleetOf({ store }: Coordinating): Promise<FleetContext> {
  const stored = await store.read(fleetRef);
  return (stored?.record.snapshot.context ?? fleetMachine.absent.context) as FleetContext;
}

export async function swarmOf({ store }: Coordinating, id: string): Promise<SwarmContext> {
  return (await store.read({ kind: 'swarm', id }))!.record.snapshot.context as SwarmContext;
}

export async function taskOf({ store }: Coordinating, id: string): Promise<TaskContext> {
  return (await store.read({ kind: 'task', id }))!.record.snapshot.context as TaskContext;
}

export const money = ({ reserved_usd, spent_usd, overrun_usd }: Budget) => ({ reserved_usd, spent_usd, overrun_usd });

export async function claimed(at: Coordinating, task_id: string, owner: string): Promise<number> {
  const answer = await at.tasks.claim(owner, task_id);
  if (!answer.claimed) throw new Error(`not claimed: ${answer.reason}`);
  return answer.token;
}
