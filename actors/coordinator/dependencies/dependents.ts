/**
 * Which waiting tasks wait for which: an index from a dependency to its dependents, kept by following the log. It says
 * where to look; whether a task really waits is decided on the log when it is unlocked, and what was found there may be
 * applied here, so that a mistake of the index does not last.
 */
import { stateName } from '../../../machines/record.ts';
import type { TaskContext } from '../../../machines/task/context.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';

interface Waiting {
  readonly id: string;
  readonly priority: number;
  readonly created_at: number;
  revision: number;
  on: readonly Dependency[];
}

interface Dependency {
  readonly id: string;
  /** Most dependencies have one dependent, and a set of one takes many times the memory. */
  dependents: Waiting | Set<Waiting> | undefined;
}

export class Dependents {
  readonly #dependencies = new Map<string, Dependency>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #newest: (task_id: string) => number;
  #size = 0;

  /**
   * `newest` gives the revision of the last record of a task that is known elsewhere, 0 when none is: an older one that
   * arrives late then does not bring back what is over. Without it, it may, until the task's next record.
   */
  constructor(newest: (task_id: string) => number = () => 0) {
    this.#newest = newest;
  }

  /** Takes in a record; one that is older than what is known changes nothing. */
  apply({ record, revision }: StoredRecord): void {
    if (record.kind !== taskMachine.kind) return;
    const { id } = record;
    const known = this.#waiting.get(id);
    if (known ? known.revision >= revision : this.#newest(id) > revision) return;
    const context = record.snapshot.context as TaskContext;
    const awaited = stateName(record.snapshot.value) === 'waiting' ? awaitedBy(context) : none;
    if (awaited.size === 0) {
      this.remove(id);
      return;
    }
    const waiting = known ?? { id, priority: context.priority, created_at: context.created_at, revision, on: [] };
    waiting.revision = revision;
    this.#waiting.set(id, waiting);
    this.#change(waiting, awaited);
  }

  /** Forgets a task that does not wait, or of which the log holds nothing any more. */
  remove(task_id: string): void {
    const waiting = this.#waiting.get(task_id);
    if (!waiting) return;
    this.#change(waiting, none);
    this.#waiting.delete(task_id);
  }

  /** Ids of the tasks that wait for this one: highest priority first, then oldest. */
  of(dependency: string): readonly string[] {
    const dependents = this.#dependencies.get(dependency)?.dependents;
    if (dependents === undefined) return [];
    return dependents instanceof Set ? [...dependents].sort(byImportance).map(({ id }) => id) : [dependents.id];
  }

  /** Whether this task is known to wait for that one. */
  has(dependency: string, task_id: string): boolean {
    return this.#waiting.get(task_id)?.on.some(({ id }) => id === dependency) ?? false;
  }

  /** Whether any task is known to wait for this one. */
  isAwaited(dependency: string): boolean {
    return this.#dependencies.has(dependency);
  }

  /** The tasks that others wait for. */
  dependencies(): IterableIterator<string> {
    return this.#dependencies.keys();
  }

  /** How many pairs of a waiting task and one that it waits for there are. */
  get size(): number {
    return this.#size;
  }

  /** Links and unlinks what differs; `awaited` is used up. */
  #change(waiting: Waiting, awaited: ReadonlySet<string>): void {
    const added = new Set(awaited);
    const kept = waiting.on.filter((dependency) => {
      if (added.delete(dependency.id)) return true;
      this.#unlink(dependency, waiting);
      return false;
    });
    if (added.size === 0 && kept.length === waiting.on.length) return;
    // Not by spreading, which leaves room for 16 more in each of these lists.
    waiting.on = kept.concat(Array.from(added, (id) => this.#link(id, waiting)));
  }

  #link(id: string, waiting: Waiting): Dependency {
    const dependency = this.#dependencies.get(id) ?? { id, dependents: undefined };
    const { dependents } = dependency;
    if (dependents === undefined) {
      dependency.dependents = waiting;
      this.#dependencies.set(id, dependency);
    } else if (dependents instanceof Set) dependents.add(waiting);
    else dependency.dependents = new Set([dependents, waiting]);
    this.#size++;
    return dependency;
  }

  #unlink(dependency: Dependency, waiting: Waiting): void {
    const { dependents } = dependency;
    this.#size--;
    if (dependents instanceof Set && dependents.size > 1) dependents.delete(waiting);
    else this.#dependencies.delete(dependency.id);
  }
}

const none: ReadonlySet<string> = new Set();

/** That a dependency failed is announced to a task once, so it waits for no further news of it. */
function awaitedBy({ open_dependencies, failed_dependencies }: TaskContext): Set<string> {
  const awaited = new Set(open_dependencies);
  for (const id of failed_dependencies) awaited.delete(id);
  return awaited;
}

function byImportance(a: Waiting, b: Waiting): number {
  return b.priority - a.priority || a.created_at - b.created_at || (a.id < b.id ? -1 : 1);
}
