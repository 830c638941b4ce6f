/**
 * Whether there is money for a claim at the moment: of the swarm, within its hour and its day, and of the whole fabric.
 * As all that is known here it only tells which claims are worth trying. What had to be left for want of money is offered
 * again when there may be more.
 */
import { remaining, windowEnd } from '../../../machines/budget.ts';
import type { FleetKnown } from '../../fleet-known.ts';
import type { KnownSwarm, SwarmChange } from '../../swarm-index/known-swarm.ts';
import type { Delayed } from './delayed.ts';

export interface FundsOptions {
  readonly fleet: Pick<FleetKnown, 'budget'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly delayed: Delayed;
  /** What was too expensive may be affordable now. */
  readonly onMore: () => void;
}

/** By so much the clock of the process that decides may be behind, milliseconds. */
const afterWindowMs = 20;

export class Funds {
  readonly #options: FundsOptions;
  #leftOfFleet = Number.POSITIVE_INFINITY;
  /** Whether a task was left because the fabric as a whole had no money for it. */
  #isFleetShort = false;
  #waitsForWindow = false;

  constructor(options: FundsOptions) {
    this.#options = options;
  }

  /** Whether a task at this price, US dollars, can be paid. */
  cover(swarm: KnownSwarm, price: number): boolean {
    if (price === 0) return true;
    const { fleet, now } = this.#options;
    const at = now();
    const ofSwarm = swarm.context.budget;
    if (price > remaining(ofSwarm, at)) {
      if (price <= swarm.remaining_usd) this.#afterWindow(at);
      return false;
    }
    const { budget } = fleet;
    if (budget === null || price <= remaining(budget, at)) return true;
    if (price <= remaining(budget)) this.#afterWindow(at);
    this.#isFleetShort = true;
    return false;
  }

  /** Whether the swarm has more for this hour and day than before. */
  hasMore({ before, after }: SwarmChange): boolean {
    const now = this.#options.now();
    return after.able && before !== undefined && left(before, now) < left(after, now);
  }

  /** A record of the whole fabric was seen. */
  fleetChanged(): void {
    const { fleet, now, onMore } = this.#options;
    const left = fleet.budget === null ? Number.POSITIVE_INFINITY : remaining(fleet.budget, now());
    const hasMore = left > this.#leftOfFleet;
    this.#leftOfFleet = left;
    if (!hasMore || !this.#isFleetShort) return;
    this.#isFleetShort = false;
    onMore();
  }

  /** An hour that ends may end a day, too. */
  #afterWindow(at: number): void {
    if (this.#waitsForWindow) return;
    this.#waitsForWindow = true;
    this.#options.delayed.after(windowEnd('hour', at) - at + afterWindowMs, () => {
      this.#waitsForWindow = false;
      this.#options.onMore();
    });
  }
}

function left({ context }: KnownSwarm, at: number): number {
  return remaining(context.budget, at);
}
