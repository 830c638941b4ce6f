/**
 * A task in a new epoch of the log: everything is as it was recorded, but an ownership gets the token of the new epoch,
 * greater than all before, and a lease that starts over, since nobody could renew it meanwhile.
 */
import type { Restored, Restoring } from '../machine.ts';
import type { Snapshot } from '../record.ts';
import { tokenOf } from '../token.ts';
import type { TaskContext } from './context.ts';
import { ownedStates } from './context.ts';
import { restoredOwners } from './ownership.ts';
import { latestEpoch } from './rules.ts';

export const restoringTask: Restoring<TaskContext> = {
  explain: ({ context }, { epoch }) => {
    const latest = latestEpoch(context);
    // Every token names its epoch, so that a task that was never claimed has none to compare.
    const isLater = context.ownerships === 0 || epoch > latest;
    if (isLater) return undefined;
    return {
      code: 'CONFLICT',
      message: `the task has a token of epoch ${latest}; it can be restored into a later epoch, not into ${epoch}`,
      details: { epoch: latest },
    };
  },
  step: (snapshot, event) => (isOwned(snapshot) ? takenOver(snapshot.context, event) : {}),
};

function isOwned({ value, context }: Snapshot<TaskContext>): boolean {
  return (ownedStates as readonly unknown[]).includes(value) && context.owner !== null && context.token !== null;
}

function takenOver(task: TaskContext, { epoch, at }: Restored): Partial<TaskContext> {
  return {
    token: tokenOf(epoch, task.ownerships),
    past_owners: restoredOwners(task),
    lease_expires_at: task.lease_expires_at === null ? null : at + task.lease_ms,
  };
}
