/** Which leases run, as recorded: a small entry for each owned task, kept by following the log, for the sweep. */
import { stateName } from '../../../machines/record.ts';
import type { TaskContext } from '../../../machines/task/context.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { RecentRevisions } from '../recent-revisions.ts';

export interface RunningLease {
  readonly task_id: string;
  readonly owner: string;
  readonly token: number;
  /** Its end, milliseconds since 1970; as recorded, or as known by now. */
  readonly at: number;
  readonly lease_ms: number;
}

/** The lease on record; undefined for a task without one: not owned, or blocked. */
export function leaseOf(stored: StoredRecord | undefined): RunningLease | undefined {
  if (stored?.record.kind !== taskMachine.kind) return undefined;
  const state = stateName(stored.record.snapshot.value);
  if (state !== 'claimed' && state !== 'in_progress') return undefined;
  const { owner, token, lease_expires_at: at, lease_ms } = stored.record.snapshot.context as TaskContext;
  if (owner === null || token === null || at === null) return undefined;
  return { task_id: stored.record.id, owner, token, at, lease_ms };
}

export class RunningLeases {
  readonly #leases = new Map<string, RunningLease & { readonly revision: number }>();
  readonly #ended = new RecentRevisions();

  /** Takes in a record of a task; true when a lease that was known has ended with it. */
  apply(stored: StoredRecord): boolean {
    const { revision, record } = stored;
    const { id } = record;
    const present = this.#leases.get(id);
    if (present ? present.revision >= revision : this.#ended.covers(id, revision)) return false;
    const lease = leaseOf(stored);
    if (lease) {
      const { task_id, owner, token, lease_ms } = lease;
      const at = present?.token === token ? Math.max(present.at, lease.at) : lease.at;
      // Written out: an object that is made by spreading another takes four times the memory.
      this.#leases.set(id, { task_id, owner, token, at, lease_ms, revision });
      return false;
    }
    this.#ended.note(id, revision);
    return this.#leases.delete(id);
  }

  /** Its end is known to be later, or the lease is known to be gone. */
  note({ task_id, token }: RunningLease, until: number | undefined): void {
    const present = this.#leases.get(task_id);
    if (present?.token !== token) return;
    if (until === undefined) this.#leases.delete(task_id);
    else if (until > present.at) this.#leases.set(task_id, { ...present, at: until });
  }

  /** Leases that ended before this time, as far as is known; at most `limit`. */
  endedBefore(time: number, limit: number): RunningLease[] {
    const found: RunningLease[] = [];
    for (const lease of this.#leases.values()) {
      if (lease.at >= time) continue;
      if (found.push(lease) >= limit) break;
    }
    return found;
  }

  get size(): number {
    return this.#leases.size;
  }
}
