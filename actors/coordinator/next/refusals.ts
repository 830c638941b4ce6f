/**
 * What claims of a swarm were refused that looked right from here. It is not tried again until a newer record of the swarm
 * is seen, or after a pause: what is known here is either behind by a moment, or wrong.
 */

import type { Delayed } from './delayed.ts';
import type { TaskProfile } from './task-profile.ts';

interface Refused {
  /** Of the swarm's record that was known then. */
  readonly revision: number;
  anything: boolean;
  /** Tasks of this price, US dollars, and above. */
  from_usd: number;
  /** Tasks that require these capabilities. */
  readonly requires: Set<string>;
}

export class Refusals {
  readonly #delayed: Delayed;
  readonly #pauseMs: number;
  readonly #over: (swarmId: string) => void;
  readonly #swarms = new Map<string, Refused>();

  /** `over` is called when the pause of a swarm is over. */
  constructor(options: { delayed: Delayed; pauseMs: number; over: (swarmId: string) => void }) {
    this.#delayed = options.delayed;
    this.#pauseMs = options.pauseMs;
    this.#over = options.over;
  }

  /** A claim was refused for this; `profile` is that of the task. */
  note(swarmId: string, revision: number, what: 'anything' | 'price' | 'requires', profile: TaskProfile): void {
    const refused = this.#swarms.get(swarmId) ?? this.#begin(swarmId, revision);
    if (what === 'anything') refused.anything = true;
    else if (what === 'price') refused.from_usd = Math.min(refused.from_usd, profile.cost_estimate);
    else refused.requires.add(profile.requires_key);
  }

  /** A record of the swarm was seen; true when it ends a pause. */
  endedBy(swarmId: string, revision: number): boolean {
    const refused = this.#swarms.get(swarmId);
    return refused !== undefined && refused.revision < revision && this.#swarms.delete(swarmId);
  }

  /** Whether claims of the swarm are not tried at all. */
  coversAll(swarmId: string): boolean {
    return this.#swarms.get(swarmId)?.anything ?? false;
  }

  covers(swarmId: string, { cost_estimate, requires_key }: TaskProfile): boolean {
    const refused = this.#swarms.get(swarmId);
    return (
      refused !== undefined &&
      (refused.anything || cost_estimate >= refused.from_usd || refused.requires.has(requires_key))
    );
  }

  #begin(swarmId: string, revision: number): Refused {
    const refused: Refused = { revision, anything: false, from_usd: Number.POSITIVE_INFINITY, requires: new Set() };
    this.#swarms.set(swarmId, refused);
    this.#delayed.after(this.#pauseMs, () => {
      if (this.#swarms.get(swarmId) !== refused) return;
      this.#swarms.delete(swarmId);
      this.#over(swarmId);
    });
    return refused;
  }
}
