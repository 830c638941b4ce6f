/** What each worker says it did, counted; and how long a number of things took. */
import type { WorkerEvent } from '../sdk/worker.ts';

/** Milliseconds, to a hundredth; null of nothing. A type, so that it is also `Json`. */
export type Latency = { count: number; p50_ms: number | null; p99_ms: number | null; max_ms: number | null };

export class Tally {
  readonly #counts = new Map<WorkerEvent['type'], number>();

  add({ type }: WorkerEvent): void {
    this.#counts.set(type, this.of(type) + 1);
  }

  /** How often a worker told of this. */
  of(type: WorkerEvent['type']): number {
    return this.#counts.get(type) ?? 0;
  }
}

/** Percentiles by the nearest-rank method. */
export function latencyOf(ms: readonly number[]): Latency {
  const sorted = [...ms].sort((a, b) => a - b);
  const at = (share: number): number | null => {
    const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
    return value === undefined ? null : Math.round(value * 100) / 100;
  };
  return { count: sorted.length, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) };
}
