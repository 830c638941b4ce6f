/**
 * Available tasks that are kept for a swarm, or for whoever will be chosen, as their last records say; and how many are
 * on offer to each swarm, so that none is offered more than it can take.
 */
import { stateName } from '../../../machines/record.ts';
import { isOpenToAll } from '../../../machines/task/assignment.ts';
import type { TaskContext } from '../../../machines/task/context.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';

export interface KeptTask {
  readonly revision: number;
  /** null: a swarm is still to be chosen. */
  readonly to: string | null;
  /** The end of the while in which nobody else can claim it, milliseconds since 1970. */
  readonly until: number;
  /** When it was kept for `to`, milliseconds since 1970; 0 without one. */
  readonly since: number;
}

export class KeptTasks {
  readonly #tasks = new Map<string, KeptTask>();
  readonly #offers = new Map<string, Set<string>>();

  /** Takes in a record of a task; undefined where it is not kept, or something as new was known. */
  apply({ record, revision }: StoredRecord): KeptTask | undefined {
    const { id, snapshot } = record;
    const before = this.#tasks.get(id);
    if (before && before.revision >= revision) return undefined;
    const { assignment } = snapshot.context as TaskContext;
    const isKept = stateName(snapshot.value) === 'available' && !isOpenToAll(snapshot.context as TaskContext);
    this.#drop(id, before);
    if (!isKept || assignment == null) return undefined;
    const { to, until, asked } = assignment;
    const kept = { revision, to, until, since: to === null ? 0 : (asked.at(-1)?.at ?? 0) };
    this.#tasks.set(id, kept);
    if (kept.to !== null) {
      const offers = this.#offers.get(kept.to) ?? new Set();
      this.#offers.set(kept.to, offers.add(id));
    }
    return kept;
  }

  /** Whether a record of this task in this state could change what is known. */
  concerns(id: string, state: string): boolean {
    return state === 'available' || this.#tasks.has(id);
  }

  /** Forgets a task of which nothing newer than this revision is known. */
  remove(id: string, revision = Number.POSITIVE_INFINITY): void {
    const kept = this.#tasks.get(id);
    if (kept && kept.revision <= revision) this.#drop(id, kept);
  }

  /** How many tasks, besides this one, the swarm was offered and has not claimed. */
  offeredTo(swarm_id: string, besides: string): number {
    const offers = this.#offers.get(swarm_id);
    if (!offers) return 0;
    return offers.has(besides) ? offers.size - 1 : offers.size;
  }

  /** Ids of the tasks that are kept for a swarm. */
  keptFor(swarm_id: string): string[] {
    return [...(this.#offers.get(swarm_id) ?? [])];
  }

  /** The swarms that tasks are kept for. */
  swarms(): string[] {
    return [...this.#offers.keys()];
  }

  /** The tasks that are kept for a swarm at this time, with their ids. */
  *assigned(now: number): Iterable<readonly [id: string, kept: KeptTask & { readonly to: string }]> {
    for (const [id, kept] of this.#tasks)
      if (kept.to !== null && now < kept.until) yield [id, { ...kept, to: kept.to }];
  }

  /** Ids of the tasks for which a swarm is to be chosen at this time, milliseconds since 1970. */
  *unassigned(now: number): Iterable<string> {
    for (const [id, { to, until }] of this.#tasks) if (to === null || until <= now) yield id;
  }

  #drop(id: string, kept: KeptTask | undefined): void {
    this.#tasks.delete(id);
    if (!kept || kept.to === null) return;
    const offers = this.#offers.get(kept.to);
    if (offers?.delete(id) && offers.size === 0) this.#offers.delete(kept.to);
  }
}
