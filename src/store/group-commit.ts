/**
 * Group commit: transactions that arrive while others are under way share one atomic commit, as databases do. A lone
 * transaction is passed on at once, so nothing is slower for waiting; a crowd needs far fewer commits.
 *
 * Nothing changes in what a transaction means: a group that is refused because one revision moved on took no effect, and
 * each of its members is then tried by itself.
 */
import type { ActorRef } from '../../machines/address.ts';
import { formatRef } from '../../machines/address.ts';
import { refOf } from '../../machines/record.ts';
import { FabricError } from '../errors.ts';
import type { Appended, RecordLog, StoredRecord, Write } from './record-log.ts';

export interface GroupCommitOptions {
  /** Commits under way before transactions begin to share one. Default 4. */
  readonly maxInFlight?: number;
  /** The most writes that share a commit. Default 64; a larger transaction goes alone. */
  readonly maxGroup?: number;
}

interface Member {
  readonly writes: readonly Write[];
  readonly deadline: number;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: unknown) => void;
}

/** Errors that are about one transaction, and must not reach those that shared a commit with it. */
const ofOneMember: ReadonlySet<string> = new Set(['PAYLOAD_TOO_LARGE', 'INTERNAL']);

export class GroupCommit implements RecordLog {
  readonly #log: RecordLog;
  readonly #maxInFlight: number;
  readonly #maxGroup: number;
  #waiting: Member[] = [];
  #inFlight = 0;

  constructor(log: RecordLog, options: GroupCommitOptions = {}) {
    this.#log = log;
    this.#maxInFlight = options.maxInFlight ?? 4;
    this.#maxGroup = options.maxGroup ?? 64;
  }

  async read(ref: ActorRef): Promise<StoredRecord | undefined> {
    return await this.#log.read(ref);
  }

  async lastRevision(kind: string): Promise<number> {
    return await this.#log.lastRevision(kind);
  }

  history(ref: ActorRef): AsyncIterable<StoredRecord> {
    return this.#log.history(ref);
  }

  async append(writes: readonly Write[], deadline: number): Promise<Appended> {
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ writes, deadline, resolve, reject });
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#inFlight < this.#maxInFlight && this.#waiting.length > 0) {
      const group = this.#nextGroup();
      this.#inFlight++;
      void this.#commit(group).finally(() => {
        this.#inFlight--;
        this.#pump();
      });
    }
  }

  /** The members that waited longest; no actor twice, for the second write could not know its revision. */
  #nextGroup(): Member[] {
    const group: Member[] = [];
    const left: Member[] = [];
    const actors = new Set<string>();
    let size = 0;
    for (const member of this.#waiting) {
      const keys = member.writes.map(({ record }) => formatRef(refOf(record)));
      const fits = group.length === 0 || (size + keys.length <= this.#maxGroup && !keys.some((key) => actors.has(key)));
      // Whoever waits for an actor keeps his place before those who come later for it.
      for (const key of keys) actors.add(key);
      if (fits) {
        group.push(member);
        size += keys.length;
      } else left.push(member);
    }
    this.#waiting = left;
    return group;
  }

  async #commit(group: readonly Member[]): Promise<void> {
    if (group.length === 1) return await this.#alone(group[0]!);
    let appended: Appended;
    try {
      const deadline = Math.min(...group.map((member) => member.deadline));
      appended = await this.#log.append(
        group.flatMap(({ writes }) => writes),
        deadline,
      );
    } catch (error) {
      if (error instanceof FabricError && ofOneMember.has(error.code)) await this.#eachAlone(group);
      else for (const member of group) member.reject(error);
      return;
    }
    if (!appended.committed) return await this.#eachAlone(group);
    let from = 0;
    for (const { writes, resolve } of group) {
      resolve({ committed: true, revisions: appended.revisions.slice(from, from + writes.length) });
      from += writes.length;
    }
  }

  async #eachAlone(group: readonly Member[]): Promise<void> {
    await Promise.all(group.map(async (member) => await this.#alone(member)));
  }

  async #alone({ writes, deadline, resolve, reject }: Member): Promise<void> {
    await this.#log.append(writes, deadline).then(resolve, reject);
  }
}
