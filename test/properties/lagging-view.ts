/** The log as a process follows it: what others commit is seen later, one record per turn, in order. */
import type { Follower } from '../../src/store/follower.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import type { Reach } from './reach.ts';
import type { SharedLog } from './shared-log.ts';

export interface LaggingViewOptions {
  readonly shared: SharedLog;
  readonly reach: Reach;
  readonly onRecord: (stored: StoredRecord) => void;
}

export class LaggingView implements Follower {
  readonly failed = new Promise<never>(() => {});
  readonly #options: LaggingViewOptions;
  readonly #unseen: StoredRecord[] = [];
  readonly #waiting = new Set<{ readonly revision: number; readonly resolve: () => void }>();
  #position = 0;

  constructor(options: LaggingViewOptions) {
    this.#options = options;
    const { shared, reach } = options;
    const unfollow = shared.follow((committed) => {
      for (const stored of committed) {
        this.#unseen.push(stored);
        void reach.turn('sees a commit').then(() => this.#seeNext());
      }
    });
    void reach.death.then(unfollow);
  }

  /** Takes in the last record of every actor. */
  start(): void {
    const { shared, onRecord } = this.#options;
    for (const stored of shared.heads) onRecord(structuredClone(stored));
    this.#position = shared.revision;
  }

  get position(): number {
    return this.#position;
  }

  async reached(revision: number): Promise<void> {
    if (revision > this.#position) await new Promise<void>((resolve) => this.#waiting.add({ revision, resolve }));
  }

  async stop(): Promise<void> {}

  #seeNext(): void {
    const next = this.#unseen.shift()!;
    this.#options.onRecord(structuredClone(next));
    this.#position = Math.max(this.#position, next.revision);
    for (const waiter of this.#waiting) {
      if (waiter.revision > this.#position) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
  }
}
