/**
 * How messages are pulled from a stream. A node that dies takes the requests that wait there with it, without a word; a
 * client notices by heartbeats that do not come, and asks again as often as a request expires. The library's own
 * intervals would leave half a minute of silence.
 */
export const soonMissed = { expires: 2_000, idle_heartbeat: 1_000 } as const;
