/**
 * The swarms as their last records say, kept by whoever sees the records, and a search for the best of them. A search
 * looks only at able swarms that have enough of what is asked, and gives what `rankSwarms` over all of them would.
 */
import {
  factorsOf,
  type MatchFactors,
  type MatchRequest,
  type MatchRules,
  meets,
  wantedBy,
} from '../../machines/governance/matching.ts';
import { compareStandings, isBehind, meritOf, type Standing } from '../../machines/governance/ranking.ts';
import { effectiveCapabilities, initialReputation, type SwarmContext } from '../../machines/swarm/context.ts';
import { FabricError } from '../../src/errors.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { AbleSwarms } from './able-swarms.ts';
import { type CapabilitySet, CapabilitySets } from './capability-set.ts';
import { Foremost } from './foremost.ts';
import { candidateOf, type KnownSwarm, knownSwarm, type Moment, type SwarmChange } from './known-swarm.ts';

/** The policy, the moment, and how many are asked for. */
export interface MatchOptions extends MatchRules, Moment {
  /** At least 1. Default: all. */
  readonly limit?: number | undefined;
}

export class SwarmIndex {
  readonly #swarms = new Map<string, KnownSwarm>();
  readonly #sets = new CapabilitySets();
  readonly #able = new AbleSwarms();
  /** Swarms by number, and the numbers by id. */
  readonly #byNumber: KnownSwarm[] = [];
  readonly #numbers = new Map<string, number>();
  /** By number, the price, and the reputation at its highest: most swarms are behind the best ones even so. */
  readonly #atBest: { readonly cost_per_hour: number; readonly reputation: number }[] = [];
  #sortedIds: string[] | undefined;

  /** Takes in a record of a swarm; undefined when something as new was known. */
  apply(stored: StoredRecord): SwarmChange | undefined {
    const { id } = stored.record;
    const before = this.#swarms.get(id);
    if (before && before.revision >= stored.revision) return undefined;
    const after = knownSwarm(stored, (context) => this.#shared(context));
    this.#swarms.set(id, after);
    this.#file(before, after);
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

  /**
   * The swarms that qualify, the best first, with what each was chosen by.
   * @throws FabricError INVALID_REQUEST for an empty `requires` without `unrestricted`, and for amounts that are none
   */
  match(request: MatchRequest, options: MatchOptions): readonly MatchFactors[] {
    const wanted = wantedBy(request, options);
    if (wanted.refusal) throw FabricError.refused(wanted.refusal);
    const { limit = Number.POSITIVE_INFINITY } = options;
    const best = new Foremost<Found>(limit, compareStandings);
    const required = wanted.requires.length;
    this.#able.visit(wanted.requires, wanted.needed, (number, matched) => {
      const atBest = this.#atBest[number]!;
      const { last } = best;
      const free = atBest.cost_per_hour === 0;
      if (last && isBehind(free, meritOf(atBest, matched, required), last)) return;
      const candidate = candidateOf(this.#byNumber[number]!, options);
      if (!meets(candidate, matched, wanted)) return;
      best.add({ swarm_id: candidate.swarm_id, free, merit: meritOf(candidate, matched, required), candidate });
    });
    return best.inOrder().map(({ candidate }) => factorsOf(candidate, wanted));
  }

  #file(before: KnownSwarm | undefined, after: KnownSwarm): void {
    const { swarm_id, able, capabilities } = after;
    const number = this.#numbers.get(swarm_id) ?? this.#byNumber.length;
    if (number === this.#byNumber.length) this.#numbers.set(swarm_id, number);
    this.#byNumber[number] = after;
    const { cost_per_hour, reputation } = after.context;
    // With time it only comes nearer to the middle.
    this.#atBest[number] = { cost_per_hour, reputation: Math.max(reputation, initialReputation) };
    if (before?.able === able && before.capabilities === capabilities) return;
    if (before?.able) this.#able.remove(number, before.capabilities.names);
    if (able) this.#able.add(number, capabilities.names);
  }

  #shared(context: SwarmContext): CapabilitySet {
    const swarms = this.#swarms;
    return this.#sets.of(effectiveCapabilities(context), {
      count: swarms.size,
      *sets() {
        for (const { capabilities } of swarms.values()) yield capabilities;
      },
    });
  }
}

interface Found extends Standing {
  readonly candidate: ReturnType<typeof candidateOf>;
}
