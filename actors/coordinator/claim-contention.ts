/**
 * How often claims are lost to other processes, and how far they should therefore spread out. Without contention the
 * first task is tried, always; the more claims are lost, the more of the first tasks are chosen from at random.
 */
const weightOfOne = 0.05;
/** Below this share of lost claims the order is kept exactly. */
const tolerated = 0.02;
const mostChoices = 16;

export class ClaimContention {
  /** The share of claims that were lost, of late: 0 to 1. */
  #lost = 0;

  sample(outcome: 'won' | 'lost'): void {
    this.#lost += weightOfOne * ((outcome === 'lost' ? 1 : 0) - this.#lost);
  }

  /** Of how many of the first tasks one should be chosen at random; 1 to 16. */
  get choices(): number {
    if (this.#lost < tolerated) return 1;
    return Math.min(mostChoices, 1 + Math.ceil(this.#lost * 2 * mostChoices));
  }
}
