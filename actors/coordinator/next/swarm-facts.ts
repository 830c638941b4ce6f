/**
 * What is known of each swarm at the moment, from its last record that was seen. It is about a millisecond old, so it
 * only tells which claims are worth trying; the transaction of the claim decides.
 */
import { capabilityMatch } from '../../../machines/capability.ts';
import { remaining } from '../../../machines/swarm/budget.ts';
import {
  activeTasks,
  effectiveCapabilities,
  type SwarmContext,
  type SwarmState,
} from '../../../machines/swarm/context.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';

export interface KnownSwarm {
  readonly swarm_id: string;
  readonly revision: number;
  readonly state: SwarmState;
  /** Without the metadata, which decides nothing and may be large. */
  readonly context: SwarmContext;
  readonly capabilities: CapabilitySet;
  /** Registered, online and with a closed circuit. */
  readonly able: boolean;
  /** How many tasks more it may own; infinite where they are not limited. */
  readonly free_slots: number;
  readonly remaining_usd: number;
}

export interface SwarmChange {
  readonly before: KnownSwarm | undefined;
  readonly after: KnownSwarm;
}

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

const mostMatches = 1_000;

export class SwarmsKnown {
  readonly #swarms = new Map<string, KnownSwarm>();
  readonly #capabilities = new Map<string, CapabilitySet>();
  #sortedIds: string[] | undefined;

  /** Takes in a record of a swarm; undefined when something as new was known. */
  apply(stored: StoredRecord): SwarmChange | undefined {
    const { record, revision } = stored;
    const before = this.#swarms.get(record.id);
    if (before && before.revision >= revision) return undefined;
    const state = record.snapshot.value as unknown as SwarmState;
    const context: SwarmContext = { ...(record.snapshot.context as SwarmContext), metadata: {} };
    const slots = context.on_trial ? 1 : (context.max_concurrent_tasks ?? Number.POSITIVE_INFINITY);
    const after: KnownSwarm = {
      swarm_id: record.id,
      revision,
      state,
      context,
      capabilities: this.#shared(effectiveCapabilities(context)),
      able: state.registration === 'registered' && state.liveness === 'online' && state.circuit === 'closed',
      free_slots: slots - activeTasks(context),
      remaining_usd: remaining(context.budget),
    };
    this.#swarms.set(record.id, after);
    if (!before) this.#sortedIds = undefined;
    return { before, after };
  }

  get(swarmId: string): KnownSwarm | undefined {
    return this.#swarms.get(swarmId);
  }

  get size(): number {
    return this.#swarms.size;
  }

  /** Ids in order, those after `after`; at most `limit`. */
  ids({ after, limit }: { after?: string | undefined; limit: number }): string[] {
    this.#sortedIds ??= [...this.#swarms.keys()].sort();
    const from = after === undefined ? 0 : this.#sortedIds.findIndex((id) => id > after);
    return from < 0 ? [] : this.#sortedIds.slice(from, from + limit);
  }

  #shared(names: readonly string[]): CapabilitySet {
    const sorted = [...names].sort();
    const key = JSON.stringify(sorted);
    const present = this.#capabilities.get(key);
    if (present) return present;
    this.#forgetUnused();
    const set = new CapabilitySet(sorted, key);
    this.#capabilities.set(key, set);
    return set;
  }

  /** Sets that no swarm has any more, now and then. */
  #forgetUnused(): void {
    if (this.#capabilities.size <= 2 * this.#swarms.size + 16) return;
    this.#capabilities.clear();
    for (const { capabilities } of this.#swarms.values()) this.#capabilities.set(capabilities.key, capabilities);
  }
}

/** Whether the swarm may have tasks now that it could not have before. */
export function hasWidened({ before, after }: SwarmChange): boolean {
  if (!after.able || after.free_slots <= 0) return false;
  if (!before?.able || before.free_slots <= 0) return true;
  if (after.remaining_usd > before.remaining_usd || after.free_slots > before.free_slots) return true;
  return after.capabilities !== before.capabilities;
}
