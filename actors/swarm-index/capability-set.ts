/** Capabilities that swarms have in common. Equal sets are one object, so that what was found out is found out once. */
import { capabilityMatch } from '../../machines/capability.ts';

/** Answers that a set remembers. */
const mostMatches = 1_000;

/** The capabilities that some swarms have in common, with what was found out about them. */
export class CapabilitySet {
  /** The same for equal sets. */
  readonly key: string;
  readonly names: readonly string[];
  readonly #matches = new Map<string, number>();

  constructor(names: readonly string[], key: string) {
    this.names = names;
    this.key = key;
  }

  /** The share of what is required that is there, 0 to 1. `requires_key` is the same for equal lists. */
  match(requires: readonly string[], requires_key: string): number {
    if (requires.length === 0) return 1;
    let match = this.#matches.get(requires_key);
    if (match === undefined) {
      match = capabilityMatch(this.names, requires);
      if (this.#matches.size >= mostMatches) this.#matches.clear();
      this.#matches.set(requires_key, match);
    }
    return match;
  }
}

/** The sets that are in use. */
export class CapabilitySets {
  readonly #sets = new Map<string, CapabilitySet>();

  /** The one set of these names. `inUse` are the sets of all swarms, for when unused ones are to be forgotten. */
  of(names: readonly string[], inUse: { readonly count: number; sets(): Iterable<CapabilitySet> }): CapabilitySet {
    const sorted = [...names].sort();
    const key = JSON.stringify(sorted);
    const present = this.#sets.get(key);
    if (present) return present;
    if (this.#sets.size > 2 * inUse.count + 16) {
      this.#sets.clear();
      for (const set of inUse.sets()) this.#sets.set(set.key, set);
    }
    const set = new CapabilitySet(sorted, key);
    this.#sets.set(key, set);
    return set;
  }
}
