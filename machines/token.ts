/**
 * Fencing tokens. A token names one ownership of one task: it is greater than every earlier token of that task, also
 * after the fabric was restored under a new epoch, where the count may have been lost.
 */
const ownershipsPerEpoch = 2 ** 32;

/** The largest epoch whose tokens are safe integers. */
export const maxEpoch = 2 ** 21 - 1;

/** The token of the `ownerships`-th ownership of a task, given out in this epoch of the log. */
export function tokenOf(epoch: number, ownerships: number): number {
  return epoch * ownershipsPerEpoch + ownerships;
}

/** The epoch in which a token was given out. */
export function epochOf(token: number): number {
  return Math.floor(token / ownershipsPerEpoch);
}

/** Which ownership of the task it names, counted from 1; the same in every epoch. */
export function ownershipOf(token: number): number {
  return token % ownershipsPerEpoch;
}
