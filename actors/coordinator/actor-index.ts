/**
 * Which actors of one kind exist, in which state and whose: a small entry for each, kept by following the log, for lists
 * and sweeps. What a list shows of an actor is then read from the log itself.
 */
import { stateName } from '../../machines/record.ts';
import { ownedStates, type TaskContext } from '../../machines/task/context.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';

export interface IndexEntry {
  readonly state: string;
  /** Who owns the task; null for other kinds. */
  readonly owner: string | null;
  /** When a task that waits for nothing else is due, milliseconds since 1970. */
  readonly due_at: number | null;
  /** When an actor that is in a final state came into it, milliseconds since 1970. */
  readonly ended_at: number | null;
  readonly revision: number;
}

/** So many ids of actors that are gone are kept in any case, so that few are never looked through often. */
const mostGone = 16;

export class ActorIndex {
  readonly #entries = new Map<string, IndexEntry>();
  /** Waiting tasks that wait for nothing but their time. */
  readonly #timed = new Set<string>();
  /** Owned tasks, by owner. */
  readonly #owned = new Map<string, Set<string>>();
  /** Actors in the order in which they were seen to have ended; some may be gone. */
  #ended: string[] = [];
  /** The ids in order, but for the newest; it may hold some that are gone. */
  #sorted: string[] = [];
  #newest: string[] = [];

  apply({ record, revision }: StoredRecord): void {
    const { id } = record;
    const present = this.#entries.get(id);
    if (present && present.revision >= revision) return;
    if (!present) this.#newest.push(id);
    const state = stateName(record.snapshot.value);
    const { owner = null, due_at = null, open_dependencies = [] } = record.snapshot.context as Partial<TaskContext>;
    const entry = {
      state,
      owner,
      due_at: state === 'waiting' && open_dependencies.length === 0 ? due_at : null,
      ended_at: record.snapshot.status === 'done' ? record.at : null,
      revision,
    };
    this.#unlink(id, present);
    this.#entries.set(id, entry);
    if (entry.due_at !== null) this.#timed.add(id);
    if (owner !== null && isOwnedState(state)) addTo(this.#owned, owner, id);
    if (entry.ended_at !== null && present?.ended_at == null) this.#ended.push(id);
  }

  /** Forgets an actor whose records were archived. */
  remove(id: string): void {
    this.#unlink(id, this.#entries.get(id));
    this.#entries.delete(id);
    this.#dropGone();
  }

  get(id: string): IndexEntry | undefined {
    return this.#entries.get(id);
  }

  /** Forgets actors that ended before this time, milliseconds since 1970: their records are being archived. */
  forgetTerminal(before: number): void {
    let gone = 0;
    for (const id of this.#ended) {
      const ended_at = this.#entries.get(id)?.ended_at ?? null;
      if (ended_at !== null && ended_at >= before) break;
      if (ended_at !== null) this.remove(id);
      gone++;
    }
    if (gone > 0) this.#ended = this.#ended.slice(gone);
  }

  /** Tasks whose time had come by `now`, milliseconds since 1970; at most `limit`. */
  due(now: number, limit: number): string[] {
    const due: string[] = [];
    for (const id of this.#timed) {
      if (due.length >= limit) break;
      if ((this.#entries.get(id)?.due_at ?? Number.POSITIVE_INFINITY) <= now) due.push(id);
    }
    return due;
  }

  /** Everyone who owns a task now. */
  owners(): string[] {
    return [...this.#owned.keys()];
  }

  /** Ids of the tasks that a swarm owns now. */
  ownedBy(owner: string): string[] {
    return [...(this.#owned.get(owner) ?? [])];
  }

  #unlink(id: string, entry: IndexEntry | undefined): void {
    if (!entry) return;
    this.#timed.delete(id);
    if (entry.owner === null) return;
    const owned = this.#owned.get(entry.owner);
    if (owned?.delete(id) && owned.size === 0) this.#owned.delete(entry.owner);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Ids in order, those after `after`, whose entry passes the test; ends early at `limit`. */
  select(test: (entry: IndexEntry) => boolean, options: { after?: string | undefined; limit: number }): string[] {
    const ids = this.#ids();
    const found: string[] = [];
    for (
      let i = options.after === undefined ? 0 : firstAfter(ids, options.after);
      i < ids.length && found.length < options.limit;
      i++
    ) {
      const id = ids[i]!;
      const entry = this.#entries.get(id);
      if (entry && test(entry)) found.push(id);
    }
    return found;
  }

  /** Where nobody asks for a list, the ids of those that are gone must not pile up. */
  #dropGone(): void {
    if (this.#sorted.length + this.#newest.length <= 2 * this.#entries.size + mostGone) return;
    const isThere = (id: string) => this.#entries.has(id);
    this.#sorted = this.#sorted.filter(isThere);
    this.#newest = this.#newest.filter(isThere);
  }

  /** The newest ids are few and are merged in: sorting all of them for each list would stop everything else. */
  #ids(): readonly string[] {
    if (this.#newest.length === 0) return this.#sorted;
    const newest = this.#newest.sort();
    const merged: string[] = [];
    let next = 0;
    const takeNewest = () => {
      const id = newest[next++]!;
      if (merged.at(-1) !== id) merged.push(id);
    };
    for (const id of this.#sorted) {
      if (!this.#entries.has(id)) continue;
      while (next < newest.length && newest[next]! < id) takeNewest();
      merged.push(id);
    }
    while (next < newest.length) takeNewest();
    this.#newest = [];
    this.#sorted = merged;
    return merged;
  }
}

export function isOwnedState(state: string): boolean {
  return (ownedStates as readonly string[]).includes(state);
}

function addTo(sets: Map<string, Set<string>>, key: string, id: string): void {
  const set = sets.get(key);
  if (set) set.add(id);
  else sets.set(key, new Set([id]));
}

/** The position of the first id that is greater; the list is sorted. */
function firstAfter(ids: readonly string[], after: string): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ids[middle]! <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}
