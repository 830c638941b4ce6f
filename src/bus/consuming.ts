/**
 * How messages are pulled from a stream. A node that dies takes the requests that wait there with it, without a word; a
 * client notices by heartbeats that do not come. The library's own interval would leave half a minute of silence.
 */
export const soonMissed = { expires: 10_000, idle_heartbeat: 1_000 } as const;
