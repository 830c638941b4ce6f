/** The answers of swarms that were asked to help. An answer that is on record already changes nothing. */
import { helperOf } from '../../../machines/blocker/context.ts';
import type { BlockerEvent } from '../../../machines/blocker/events.ts';
import { blockerMachine } from '../../../machines/blocker/machine.ts';
import { FabricError } from '../../../src/errors.ts';
import type { PlanView, Proposal } from '../../../src/store/actor-store.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { type Blocker, isResolved, notFound, toBlocker } from './blocker-plan.ts';
import { type HelperSource, hasPlaceToJoin } from './helper-choice.ts';

/** @throws FabricError TARGET_NOT_FOUND, UNAUTHORIZED, CONFLICT, POLICY_VIOLATION */
export async function planJoin(
  view: PlanView,
  by: string,
  blocker_id: string,
  helpers: HelperSource,
): Promise<Proposal<StoredRecord>> {
  const blocker = await existing(view, blocker_id);
  const { context } = blocker.snapshot;
  if (!isResolved(blocker) && helperOf(context, by)?.answer === 'joined') return { answer: blocker.last };
  const event = { type: 'JOIN' as const, by };
  // Whether the caller may join at all comes before whether there is a place.
  const refusal = blockerMachine.explain(blocker.snapshot, { ...event, at: view.now } as BlockerEvent);
  if (refusal) throw FabricError.refused(refusal);
  if (!hasPlaceToJoin(context, helpers)) {
    const { max_swarms_per_task } = helpers.policy.current;
    throw new FabricError(
      'POLICY_VIOLATION',
      `as many swarms help with the blocker ${blocker_id} as may (max_swarms_per_task is ${max_swarms_per_task}, the ` +
        'blocked one included); there is nothing left to do for it',
      { max_swarms_per_task },
    );
  }
  return { send: [toBlocker(blocker, event)], answer: ([joined]) => joined! };
}

/** @throws FabricError TARGET_NOT_FOUND, UNAUTHORIZED, CONFLICT */
export async function planDecline(
  view: PlanView,
  by: string,
  blocker_id: string,
  reason: string | null,
): Promise<Proposal<StoredRecord>> {
  const blocker = await existing(view, blocker_id);
  const helper = helperOf(blocker.snapshot.context, by);
  if (helper?.answer === 'declined' && helper.reason === reason) return { answer: blocker.last };
  return { send: [toBlocker(blocker, { type: 'DECLINE', by, reason })], answer: ([declined]) => declined! };
}

async function existing(view: PlanView, blocker_id: string): Promise<Blocker & { last: StoredRecord }> {
  const blocker = await view.get(blockerMachine, blocker_id);
  if (!blocker.last) throw notFound(blocker_id);
  return { ...blocker, last: blocker.last };
}
