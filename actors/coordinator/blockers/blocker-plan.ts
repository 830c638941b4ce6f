/** What the plans of other operations do about blockers, and the blocker as all of them read it. */
import type { BlockerContext } from '../../../machines/blocker/context.ts';
import { blockerMachine } from '../../../machines/blocker/machine.ts';
import { FabricError } from '../../../src/errors.ts';
import type { PlanView, Send } from '../../../src/store/actor-store.ts';
import type { ActorState } from '../../../src/store/reading.ts';
import type { Task } from '../tasks/task-plan.ts';

export type Blocker = ActorState<BlockerContext>;

/** Who resolves a blocker that nobody has to resolve any more. */
export const mootedBy = 'IF.coordinator';

export function toBlocker(blocker: Blocker, event: Send['event']): Send {
  return { machine: blockerMachine, id: blocker.ref.id, event, trace_id: blocker.snapshot.context.trace_id };
}

export function isResolved({ snapshot }: Blocker): boolean {
  return snapshot.value === 'resolved';
}

/**
 * For a task that leaves `blocked` in another way than by its blocker: the end of that blocker, to be committed with it.
 * Nothing where the blocker is resolved already, or archived.
 */
export async function moot(view: PlanView, task: Task, why = 'its ownership has ended'): Promise<Send[]> {
  const { blocker_id } = task.snapshot.context;
  if (blocker_id === null) return [];
  const blocker = await view.get(blockerMachine, blocker_id);
  if (!blocker.last || isResolved(blocker)) return [];
  const resolution = `the task is no longer blocked: ${why}`;
  return [toBlocker(blocker, { type: 'RESOLVE', by: mootedBy, resolution })];
}

export function notFound(blocker_id: string): FabricError {
  return new FabricError('TARGET_NOT_FOUND', `there is no blocker ${blocker_id}; blocker.list shows those there are`);
}
