/** The machine's monotonic clock, in milliseconds: the same one in all of its processes, never set. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
