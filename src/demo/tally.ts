/** What each worker says it did, added up: claims, races lost, how long claims took. */
import type { WorkerEvent } from '../sdk/worker.ts';

/** Milliseconds, to a hundredth; null without claims. A type, so that it is also `Json`. */
export type Latency = { count: number; p50_ms: number | null; p99_ms: number | null; max_ms: number | null };

export interface ClaimTally {
  /** Claims that were won. */
  readonly claims: number;
  /** Claims of a task that another swarm had a moment before. */
  readonly races_lost: number;
  /** Of all claims, won and lost. */
  readonly latency: Latency;
}

export class Tally {
  #claims = 0;
  #racesLost = 0;
  readonly #ms: number[] = [];

  add(event: WorkerEvent): void {
    if (event.type !== 'claimed' && event.type !== 'race_lost') return;
    if (event.type === 'claimed') this.#claims++;
    else this.#racesLost++;
    this.#ms.push(event.ms);
  }

  result(): ClaimTally {
    return { claims: this.#claims, races_lost: this.#racesLost, latency: latencyOf(this.#ms) };
  }

  /** Of several workers together. */
  static total(tallies: Iterable<Tally>): ClaimTally {
    const all = new Tally();
    for (const tally of tallies) {
      all.#claims += tally.#claims;
      all.#racesLost += tally.#racesLost;
      for (const ms of tally.#ms) all.#ms.push(ms);
    }
    return all.result();
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
