/**
 * Leases of one owner that end at the same time. Each end is a failure on the owner's record, so ends that would wait for
 * each other go into one commit instead: those that come while one is under way are the next.
 */

/** The end of one ownership's lease; `lease_expires_at` is when, renewals included, milliseconds since 1970. */
export interface LeaseEnd {
  readonly task_id: string;
  readonly token: number;
  readonly lease_expires_at: number;
}

interface Member {
  readonly end: LeaseEnd;
  readonly resolve: (ended: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** Each is a record of the task and one of the swarm. */
const mostTogether = 32;

export class LeaseEnds {
  readonly #expire: (ends: readonly LeaseEnd[]) => Promise<readonly boolean[]>;
  /** Those that wait, by owner; an owner is here as long as a commit for it is under way. */
  readonly #waiting = new Map<string, Member[]>();

  /** `expire` says of each lease whether it ended with this. */
  constructor(expire: (ends: readonly LeaseEnd[]) => Promise<readonly boolean[]>) {
    this.#expire = expire;
  }

  /** False when that lease does not run any more, or runs longer on record. @throws FabricError of `expire` */
  async end(owner: string, end: LeaseEnd): Promise<boolean> {
    return await new Promise((resolve, reject) => {
      const member = { end, resolve, reject };
      const waiting = this.#waiting.get(owner);
      if (waiting) waiting.push(member);
      else void this.#run(owner, [member]);
    });
  }

  async #run(owner: string, first: Member[]): Promise<void> {
    const waiting: Member[] = first;
    this.#waiting.set(owner, waiting);
    while (waiting.length > 0) await this.#together(waiting.splice(0, mostTogether));
    this.#waiting.delete(owner);
  }

  async #together(members: readonly Member[]): Promise<void> {
    try {
      const ended = await this.#expire(members.map(({ end }) => end));
      for (const [i, { resolve }] of members.entries()) resolve(ended[i] ?? false);
    } catch (error) {
      if (members.length === 1) members[0]!.reject(error);
      // Whichever it is that cannot end, the others can.
      else for (const member of members) await this.#together([member]);
    }
  }
}
