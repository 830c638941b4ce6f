/** A fabric with two coordinators and two swarms, and what tests ask of it about tasks, with each swarm's credentials. */
import type { TaskView } from '../../actors/coordinator/tasks/task-view.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { freshId } from '../store/fixtures.ts';
import { startFabric, type TestFabric } from './in-process.ts';

export interface Claimed {
  readonly claimed: boolean;
  readonly task: TaskView;
  readonly token: number;
  readonly reason?: string;
  readonly owner?: string;
}

export interface TaskWorld {
  readonly fabric: TestFabric;
  readonly alpha: FabricClient;
  readonly beta: FabricClient;
  readonly operator: FabricClient;
  get(task_id: string): Promise<TaskView>;
  /** A new task of `alpha`, or of who is named; its id. */
  created(content?: Record<string, unknown>, by?: FabricClient): Promise<string>;
  stop(): Promise<void>;
}

export const ask = async (who: FabricClient, op: string, body: Record<string, unknown>): Promise<TaskView> =>
  await who.request<TaskView>('task', op, body);

export const claim = async (who: FabricClient, task_id: string): Promise<Claimed> =>
  await who.request<Claimed>('task', 'claim', { task_id });

export const refusal = async (promise: Promise<unknown>): Promise<string | undefined> =>
  await promise.then(
    () => 'no error',
    (error: { code?: string }) => error.code,
  );

export async function startTaskWorld(): Promise<TaskWorld> {
  const fabric = await startFabric();
  try {
    return await worldOn(fabric);
  } catch (error) {
    await fabric.stop();
    throw error;
  }
}

async function worldOn(fabric: TestFabric): Promise<TaskWorld> {
  // Two of them: what one has not seen itself, it must find in the log.
  await fabric.coordinator();
  await fabric.coordinator();
  const alpha = await fabric.client('alpha', { encoding: 'json' });
  const beta = await fabric.client('beta');
  const operator = await fabric.client('operator');
  for (const swarm of [alpha, beta])
    await swarm.request('swarm', 'register', { capabilities: ['code:ts'], cost_per_hour: 1 });
  return {
    fabric,
    alpha,
    beta,
    operator,
    get: async (task_id) => await ask(operator, 'get', { task_id }),
    async created(content = {}, by = alpha) {
      const task_id = freshId('t');
      await ask(by, 'create', { task_id, task_type: 'build', ...content });
      return task_id;
    },
    stop: async () => await fabric.stop(),
  };
}
