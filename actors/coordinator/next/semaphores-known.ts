/**
 * How many places of each concurrency key are taken, from the semaphores' last records that were seen. Like all that is
 * known of other actors it only tells which claims are worth trying.
 */
import type { SemaphoreContext } from '../../../machines/semaphore/context.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { RecentRevisions } from '../recent-revisions.ts';
import { concurrencySemaphore } from '../tasks/semaphore-plan.ts';

interface KnownSemaphore {
  readonly holders: readonly string[];
  readonly revision: number;
}

const prefix = concurrencySemaphore('');

export class SemaphoresKnown {
  readonly #semaphores = new Map<string, KnownSemaphore>();
  readonly #gone = new RecentRevisions();

  /** Takes in a record of a semaphore; answers with its key when a place has become free. */
  apply({ record, revision }: StoredRecord): string | undefined {
    if (!record.id.startsWith(prefix)) return undefined;
    const key = record.id.slice(prefix.length);
    const present = this.#semaphores.get(key);
    if ((present?.revision ?? 0) >= revision || this.#gone.covers(key, revision)) return undefined;
    const holders = (record.snapshot.context as SemaphoreContext).holders.map(({ task_id }) => task_id);
    if (holders.length > 0) {
      this.#semaphores.set(key, { holders, revision });
      this.#gone.forget(key);
    } else {
      this.#semaphores.delete(key);
      this.#gone.note(key, revision);
    }
    return holders.length < (present?.holders.length ?? 0) ? key : undefined;
  }

  /** The tasks that hold a place. */
  holders(concurrencyKey: string): readonly string[] {
    return this.#semaphores.get(concurrencyKey)?.holders ?? [];
  }
}
