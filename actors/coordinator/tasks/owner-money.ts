/** What the end of an ownership means for what the owner's claim reserved. */
import type { TaskContext, TaskCost } from '../../../machines/task/context.ts';
import type { Send } from '../../../src/store/actor-store.ts';
import { isOwned, keyOf, type Task } from './task-plan.ts';

/** What is settled where nobody tells a cost: what was reserved for the task. */
export function estimatedCost({ reserved_usd }: TaskContext): TaskCost | undefined {
  return reserved_usd === null || reserved_usd === 0 ? undefined : { cost_usd: reserved_usd, estimated: true };
}

/** What a claim reserved goes back to the swarm. */
export function givenBack(task: Task): Send['event'] | undefined {
  if (!isOwned(task) || task.snapshot.context.reserved_usd === null) return undefined;
  return { type: 'UNRESERVE', key: keyOf(task.ref.id) };
}
