/** How long a list of swarms may be that says of each what of the required capabilities is there and what is not. */

/** Half of what a message may have, which is 8 MB. */
const mostBytes = 4 * 1024 * 1024;
/** What is said of a swarm besides; bytes. */
const bytesBesides = 1_024;

/** How many swarms surely fit into one message; at least 1. */
export function fittingSwarms(requires: readonly string[]): number {
  return Math.max(1, Math.floor(mostBytes / (Buffer.byteLength(JSON.stringify(requires)) + bytesBesides)));
}
