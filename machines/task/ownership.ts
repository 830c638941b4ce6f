/**
 * Ownership of a task: who holds it now, who held it once, and what is left when it ends. At most one swarm holds a
 * task, and it proves so with its token.
 */
import { ownershipOf } from '../token.ts';
import { maxPastOwners, type TaskContext } from './context.ts';

/**
 * Whether the caller is the present owner; a token, where one is shown, must be of the present ownership. That is the
 * present token, or one that the same ownership had before the log was lost and restored: an owner that did not notice
 * goes on.
 */
export function holds(context: TaskContext, by: string, token: number | undefined): boolean {
  if (context.owner !== by) return false;
  return token === undefined || token === context.token || isOfPresentOwnership(context, by, token);
}

/** The earliest token of the present ownership is among the past ones only if the ownership was restored. */
function isOfPresentOwnership({ token: present, past_owners }: TaskContext, owner: string, token: number): boolean {
  const earliest = Object.hasOwn(past_owners, owner) ? past_owners[owner] : undefined;
  if (present === null || earliest === undefined || ownershipOf(earliest) !== ownershipOf(present)) return false;
  return earliest <= token && token <= present && ownershipOf(token) === ownershipOf(present);
}

/** The past owners with the present token among them, unless an earlier one of the same ownership is. */
export function restoredOwners(context: TaskContext): TaskContext['past_owners'] {
  const { owner, token, past_owners } = context;
  if (owner === null || token === null) return past_owners;
  const earliest = Object.hasOwn(past_owners, owner) ? past_owners[owner] : undefined;
  const isKept = earliest !== undefined && ownershipOf(earliest) === ownershipOf(token);
  return isKept ? past_owners : remembered(context);
}

/** Whether the caller owns the task or once did. */
export function everOwned(context: TaskContext, by: string): boolean {
  return context.owner === by || Object.hasOwn(context.past_owners, by);
}

/** What ends with an ownership in any case: its lease, its reservations and its blocker. */
export const settled = {
  lease_expires_at: null,
  reserved_usd: null,
  fleet_reserved_usd: null,
  blocker_id: null,
  blocked_from: null,
  blocked_at: null,
} as const satisfies Partial<TaskContext>;

/** The task without its owner, who is remembered with the last token. */
export function disowned(context: TaskContext): Partial<TaskContext> {
  return {
    ...settled,
    owner: null,
    token: null,
    claimed_at: null,
    started_at: null,
    past_owners: remembered(context),
  };
}

function remembered(context: TaskContext): TaskContext['past_owners'] {
  if (context.owner === null || context.token === null) return context.past_owners;
  const owners = { ...context.past_owners, [context.owner]: context.token };
  const names = Object.keys(owners);
  if (names.length <= maxPastOwners) return owners;
  // The order of keys is not kept by every encoding, that of tokens is: the smallest one is the oldest ownership.
  const oldest = names.reduce((a, b) => ((owners[a] ?? 0) < (owners[b] ?? 0) ? a : b));
  return Object.fromEntries(Object.entries(owners).filter(([name]) => name !== oldest));
}
