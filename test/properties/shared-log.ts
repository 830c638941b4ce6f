/** The log that all processes of a test share. It also keeps which records were committed together, and tells followers. */
import { type ActorRef, formatRef } from '../../machines/address.ts';
import { refOf } from '../../machines/record.ts';
import { MemoryRecordLog } from '../../src/store/memory-record-log.ts';
import type { Appended, StoredRecord, Write } from '../../src/store/record-log.ts';

export class SharedLog extends MemoryRecordLog {
  /** The records of each commit, oldest first. */
  readonly commits: StoredRecord[][] = [];
  readonly #ofActor = new Map<string, StoredRecord[]>();
  readonly #followers = new Set<(committed: readonly StoredRecord[]) => void>();
  #revision = 0;

  override async append(writes: readonly Write[]): Promise<Appended> {
    const appended = await super.append(writes);
    if (!appended.committed) return appended;
    const committed = structuredClone(
      writes.map(({ record }, i): StoredRecord => ({ record, revision: appended.revisions[i]! })),
    );
    this.commits.push(committed);
    this.#revision = appended.revisions.at(-1)!;
    for (const stored of committed) {
      const key = formatRef(refOf(stored.record));
      const known = this.#ofActor.get(key);
      if (known) known.push(stored);
      else this.#ofActor.set(key, [stored]);
    }
    for (const follower of this.#followers) follower(committed);
    return appended;
  }

  /** Answers with a function that ends it. */
  follow(follower: (committed: readonly StoredRecord[]) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** The revision of the last commit. */
  get revision(): number {
    return this.#revision;
  }

  /** Every record of an actor, oldest first. */
  of(ref: ActorRef): readonly StoredRecord[] {
    return this.#ofActor.get(formatRef(ref)) ?? [];
  }

  /** The last record of an actor up to a revision. */
  lastOf(ref: ActorRef, revision = this.#revision): StoredRecord | undefined {
    return this.of(ref).findLast((stored) => stored.revision <= revision);
  }

  /** The last record of every actor, in commit order. */
  get heads(): StoredRecord[] {
    return [...this.#ofActor.values()].map((records) => records.at(-1)!).sort((a, b) => a.revision - b.revision);
  }
}
