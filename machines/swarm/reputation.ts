/**
 * The reputation of a swarm: 0 to 1, half for one of which nothing is known. Each outcome moves it a tenth of the way to
 * 1 or 0; in between it comes back to the middle by half in every half-life, so that the past counts less and less.
 */
import { initialReputation, type SwarmContext } from './context.ts';

/** How far one outcome moves the reputation towards 1 or 0. */
export const reputationStep = 0.1;

type Reputed = Pick<SwarmContext, 'reputation' | 'reputation_at'>;

/**
 * The reputation at a time, with six decimals: 0.5 + (r - 0.5) * 2^(-(at - reputation_at) / half_life_ms). Without a
 * half-life, before the first outcome, and by a clock that went back it is as it was.
 */
export function reputationAt({ reputation, reputation_at }: Reputed, at: number, half_life_ms: number | null): number {
  if (half_life_ms === null || reputation_at === null || at <= reputation_at) return bounded(reputation);
  const left = 2 ** (-(at - reputation_at) / half_life_ms);
  return bounded(initialReputation + (reputation - initialReputation) * left);
}

/** The fields that an outcome changes: 1 for a success, 0 for a failure. */
export function afterOutcome(
  swarm: Reputed,
  outcome: 0 | 1,
  event: { readonly at: number; readonly half_life_ms?: number | null },
): Reputed {
  const before = reputationAt(swarm, event.at, event.half_life_ms ?? null);
  return {
    reputation: bounded(before + reputationStep * (outcome - before)),
    reputation_at: Math.max(event.at, swarm.reputation_at ?? event.at),
  };
}

function bounded(reputation: number): number {
  return Math.min(1, Math.max(0, Math.round(reputation * 1e6) / 1e6));
}
