/**
 * What a process knows of the whole fabric: whether all claims are paused, and whether there is a fabric-wide budget. It
 * is about a millisecond old and costs no read. What a fabric-wide budget covers is decided by the commits that take
 * from it; a claim without a price notices a pause when this does.
 */
import { type FleetContext, fleetRef } from '../machines/fleet/context.ts';
import type { StoredRecord } from '../src/store/record-log.ts';

export class FleetKnown {
  #context: FleetContext | undefined;
  #revision = 0;

  /** Takes in a record of whatever kind, in any order, also twice; true when it said something new of the fleet. */
  apply({ record, revision }: StoredRecord): boolean {
    if (record.kind !== fleetRef.kind || record.id !== fleetRef.id || revision <= this.#revision) return false;
    this.#revision = revision;
    this.#context = record.snapshot.context as FleetContext;
    return true;
  }

  /** Who paused all claims, how and when; null when nobody did. */
  get paused(): FleetContext['pause'] {
    return this.#context?.pause ?? null;
  }

  get hasBudget(): boolean {
    return this.budget !== null;
  }

  /** Null: money is limited swarm by swarm only. */
  get budget(): FleetContext['budget'] {
    return this.#context?.budget ?? null;
  }
}
