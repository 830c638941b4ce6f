/**
 * Actors that this process knows: a bounded cache of their last records, so that a commit needs no read first. What is
 * here may be out of date; a commit compares revisions, and any other decision is checked against the log's leader.
 */
import { LRUCache } from 'lru-cache';
import { type ActorRef, formatRef } from '../../machines/address.ts';
import { refOf } from '../../machines/record.ts';
import type { StoredRecord } from './record-log.ts';

export interface Resident {
  readonly stored: StoredRecord;
  /** When it was last known to be the actor's last record, milliseconds since 1970. */
  readonly verifiedAt: number;
}

export class Residents {
  readonly #cache: LRUCache<string, Resident>;

  /** `max` actors are kept; the least recently used gives way. */
  constructor(max: number) {
    this.#cache = new LRUCache({ max });
  }

  get(ref: ActorRef): Resident | undefined {
    return this.#cache.get(formatRef(ref));
  }

  /** Keeps the newest of what is known: a late answer never replaces a later record. */
  put(stored: StoredRecord, verifiedAt: number): void {
    const key = formatRef(refOf(stored.record));
    const present = this.#cache.peek(key);
    if (present && present.stored.revision > stored.revision) return;
    const known = present?.stored.revision === stored.revision ? present.verifiedAt : 0;
    this.#cache.set(key, { stored, verifiedAt: Math.max(known, verifiedAt) });
  }

  drop(ref: ActorRef): void {
    this.#cache.delete(formatRef(ref));
  }

  clear(): void {
    this.#cache.clear();
  }

  get size(): number {
    return this.#cache.size;
  }
}
