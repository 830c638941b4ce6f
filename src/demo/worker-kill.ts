/** Third act: a worker is killed while it owns a task. When the lease is over, another takes the task up. */
import { FabricError } from '../errors.ts';
import type { Stage } from './stage.ts';

export interface WorkerKill {
  readonly task_id: string;
  readonly swarm_id: string;
  readonly pid: number;
  readonly new_owner: string;
  /** When another swarm had the task, and when it was completed, counted from the kill; milliseconds. */
  readonly reclaimed_after_ms: number;
  readonly completed_after_ms: number;
}

export async function killWorker({ watch, workers, progress }: Stage, task_id: string): Promise<WorkerKill> {
  const { owner } = await watch.sighted(task_id, ({ state }) => state === 'in_progress');
  const victim = workers.find(({ swarmId }) => swarmId === owner);
  if (!victim) throw new FabricError('INTERNAL', `${task_id} is owned by ${owner}, which is no worker of the demo`);
  const at = performance.now();
  victim.kill();
  const { swarmId: swarm_id, pid } = victim;
  progress.say(`killed ${swarm_id} (process ${pid}), which owned ${task_id}; waiting for the end of its lease`);
  const taken = await watch.sighted(task_id, (task) => task.owner !== null && task.owner !== swarm_id);
  const done = await watch.sighted(task_id, ({ state }) => state === 'completed');
  return {
    task_id,
    swarm_id,
    pid,
    new_owner: taken.owner!,
    reclaimed_after_ms: Math.round(taken.seen_at - at),
    completed_after_ms: Math.round(done.seen_at - at),
  };
}
