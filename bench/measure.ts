/** Times and ratios: percentiles of samples, and how a thing compares with its floor in the same run. */

/** Milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Runs `operation` once and gives its duration in milliseconds. */
export async function timed(operation: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await operation();
  return performance.now() - start;
}

export function percentiles(samples: readonly number[]): Percentiles {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** Runs all operations with `inFlight` of them at a time and gives operations per second. */
export async function throughput(operations: ReadonlyArray<() => Promise<unknown>>, inFlight: number): Promise<number> {
  const start = performance.now();
  let next = 0;
  const lane = async () => {
    while (next < operations.length) await operations[next++]!();
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return (operations.length / (performance.now() - start)) * 1_000;
}

export function rounded(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}
