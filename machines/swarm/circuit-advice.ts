/** What closes an open circuit, in words. */
import type { CircuitReason } from './context.ts';

const ways: Readonly<Record<string, string>> = {
  failures: 'an operator can reset it',
  budget: 'an operator can allocate more',
  paused: 'an operator can resume the swarm',
} satisfies Record<CircuitReason, string>;

/** Why a circuit is open and what to do: `open (budget); an operator can allocate more`. */
export function openCircuit(reasons: readonly string[]): string {
  return `open (${reasons.join(', ')}); ${reasons.map((reason) => ways[reason]).join(', and ')}`;
}
