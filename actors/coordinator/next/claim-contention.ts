/**
 * How much processes get in each other's way. As long as no claim is lost, the first task is the one to try, always. Each
 * lost claim widens the range of first tasks from which one is chosen at random, each that is won narrows it a little,
 * and so does time; so about three claims in a hundred are lost, however many processes there are.
 */
const onLoss = 2;
const onWin = 0.98;
const widest = 1_024;
/** The range halves in this time, milliseconds. */
const halfLifeMs = 5_000;
/** How much a claim changes the average of how long they take. */
const weightOfOne = 0.1;

export class ClaimContention {
  readonly #now: () => number;
  #range = 1;
  #at: number;
  #claimMs = 1;

  /** `now` in milliseconds, from any time on. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#at = now();
  }

  /** A claim was won, or lost to someone else, after so many milliseconds. */
  sample(outcome: 'won' | 'lost', ms: number): void {
    this.#claimMs += weightOfOne * (ms - this.#claimMs);
    const range = this.#aged();
    this.#range = outcome === 'lost' ? Math.min(widest, range * onLoss) : Math.max(1, range * onWin);
  }

  /** From how many of the first tasks one is to be chosen at random; 1: the first. */
  get range(): number {
    return Math.floor(this.#aged());
  }

  /**
   * How long it takes until a claim that began elsewhere is seen here, by what claims take on average, milliseconds; more
   * when many are lost, for then some take far longer.
   */
  get patienceMs(): number {
    return this.#claimMs * (1 + Math.log2(this.#aged()) / 2);
  }

  #aged(): number {
    const now = this.#now();
    this.#range = Math.max(1, this.#range * 0.5 ** ((now - this.#at) / halfLifeMs));
    this.#at = now;
    return this.#range;
  }
}
