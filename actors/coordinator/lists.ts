/**
 * Lists of tasks and swarms, page by page, ordered by id. A list shows every actor whose commit was acknowledged before
 * the request: the index is brought up to the log's end first, and what is shown is read from the log.
 */
import { FabricError } from '../../src/errors.ts';
import type { ActorStore } from '../../src/store/actor-store.ts';
import type { Follower } from '../../src/store/follower.ts';
import type { RecordLog, StoredRecord } from '../../src/store/record-log.ts';
import { ActorIndex, type IndexEntry } from './actor-index.ts';
import { type BlockerView, blockerView } from './blockers/blocker-view.ts';
import { type SwarmView, swarmView } from './swarms/swarm-view.ts';
import { type TaskView, taskView } from './tasks/task-view.ts';

export interface Page {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

const defaultLimit = 100;
/** A page ends behind the item with which it has more bytes than this, so that it fits a message of 8 MB. */
const mostBytes = 4 * 1024 * 1024;
/** How many records are read at the same time; each may have up to 4 MiB. */
const readAtOnce = 16;
/** The kinds that are indexed. */
export const listedKinds = ['task', 'swarm', 'blocker'] as const;
type ListedKind = (typeof listedKinds)[number];

export class ActorLists {
  readonly #store: ActorStore;
  readonly #log: RecordLog;
  readonly #indexes: Readonly<Record<ListedKind, ActorIndex>> = {
    task: new ActorIndex(),
    swarm: new ActorIndex(),
    blocker: new ActorIndex(),
  };
  #follower: Follower | undefined;

  constructor(options: { store: ActorStore; log: RecordLog }) {
    this.#store = options.store;
    this.#log = options.log;
  }

  /** Takes in a record, from the log or from a commit of this process. */
  apply(stored: StoredRecord): void {
    this.#indexes[stored.record.kind as ListedKind]?.apply(stored);
  }

  /** Whether nothing newer than this revision of an actor is missing here. */
  knows(kind: string, id: string, revision: number): boolean {
    return (this.#indexes[kind as ListedKind]?.get(id)?.revision ?? 0) >= revision;
  }

  followedBy(follower: Follower): void {
    this.#follower = follower;
  }

  async tasks(
    filter: Page & { state?: string | undefined; owner?: string | undefined },
  ): Promise<{ tasks: TaskView[]; cursor: string | null }> {
    const { state, owner } = filter;
    const matches = (entry: { state: string; owner: string | null }) =>
      (state === undefined || entry.state === state) && (owner === undefined || entry.owner === owner);
    const page = await this.#page('task', filter, matches, (stored) => {
      const view = taskView(stored);
      return matches(view) ? view : undefined;
    });
    return { tasks: page.items, cursor: page.cursor };
  }

  async swarms(page: Page): Promise<{ swarms: SwarmView[]; cursor: string | null }> {
    const { items, cursor } = await this.#page('swarm', page, () => true, swarmView);
    return { swarms: items, cursor };
  }

  async blockers(
    filter: Page & { state?: string | undefined },
  ): Promise<{ blockers: BlockerView[]; cursor: string | null }> {
    const matches = ({ state }: { state: string }) => filter.state === undefined || state === filter.state;
    const { items, cursor } = await this.#page('blocker', filter, matches, (stored) => {
      const view = blockerView(stored);
      return matches(view) ? view : undefined;
    });
    return { blockers: items, cursor };
  }

  /** Ids of the tasks that a swarm owns now. @throws FabricError UNAVAILABLE */
  async ownedBy(swarmId: string): Promise<string[]> {
    await this.catchUp('task');
    return this.#indexes.task.ownedBy(swarmId);
  }

  /** What is known of all actors of a kind at the moment, for sweeps. */
  entries(kind: ListedKind): ActorIndex {
    return this.#indexes[kind];
  }

  async #page<View>(
    kind: ListedKind,
    { limit = defaultLimit, cursor }: Page,
    test: (entry: IndexEntry) => boolean,
    show: (stored: StoredRecord) => View | undefined,
  ) {
    await this.catchUp(kind);
    const index = this.#indexes[kind];
    const ids = index.select(test, { after: cursor, limit: limit + 1 });
    const shown = ids.slice(0, limit);
    const items: View[] = [];
    let bytes = 0;
    for (let from = 0; from < shown.length; from += readAtOnce) {
      const some = shown.slice(from, from + readAtOnce);
      const stored = await Promise.all(some.map(async (id) => await this.#store.read({ kind, id })));
      for (const [i, one] of stored.entries()) {
        const id = some[i]!;
        if (!one) index.remove(id);
        const view = one && show(one);
        if (view === undefined) continue;
        bytes += Buffer.byteLength(JSON.stringify(view));
        items.push(view);
        if (bytes > mostBytes && id !== ids.at(-1)) return { items, cursor: id };
      }
    }
    return { items, cursor: ids.length > limit ? shown.at(-1)! : null };
  }

  /** Resolves when every record of this kind that was committed before the call was taken in. @throws FabricError UNAVAILABLE */
  async catchUp(kind: ListedKind): Promise<void> {
    if (!this.#follower) throw new FabricError('UNAVAILABLE', 'lists are not ready yet; try again');
    await this.#follower.reached(await this.#log.lastRevision(kind));
  }
}
