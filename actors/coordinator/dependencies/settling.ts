/**
 * What follows the end of a task where the commit that ended it could not hold all of its dependents: the others are
 * unlocked, or failed, in further commits. Any process may do it at any time, several at once and again after a crash:
 * the index says who may still wait, the log decides, and whoever no longer waits is passed over.
 */
import type { Code } from '../../../machines/codes.ts';
import { stateName } from '../../../machines/record.ts';
import { finalStates, type TaskContext } from '../../../machines/task/context.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import { FabricError } from '../../../src/errors.ts';
import type { Log } from '../../../src/log.ts';
import type { ActorStore, Proposal } from '../../../src/store/actor-store.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { endOf } from '../tasks/task-ending.ts';
import type { Dependents } from './dependents.ts';
import { unlocking } from './unlocking.ts';

export interface SettlingOptions {
  readonly store: ActorStore;
  readonly dependents: Dependents;
  /** The view of the log that the index is built from. @throws FabricError UNAVAILABLE when it lags too far behind */
  readonly follower: { reached(revision: number): Promise<void> };
  /** The state of a task as far as it is known without asking the log; undefined when nothing is known of it. */
  readonly stateOf: (task_id: string) => string | undefined;
  readonly log: Log;
  /** Dependents per commit. Default 200. */
  readonly batch?: number;
  /** Dependencies that are settled at the same time; the others wait in line. Default 4. */
  readonly atOnce?: number;
}

/** How often the plan of a batch runs before the batch is halved: somebody else works on the same tasks. */
const mostRuns = 6;

const by = 'IF.coordinator';

export class Settling {
  readonly #options: SettlingOptions;
  readonly #batch: number;
  readonly #atOnce: number;
  /** Ended tasks with the revision that the index must have reached before it is asked about them. */
  #unseen = new Map<string, number>();
  #seeing: Promise<void> | undefined;
  /** Ended tasks whose turn comes, and whether it was this process that ended them. */
  readonly #line = new Map<string, boolean>();
  readonly #running = new Map<string, Promise<void>>();
  /** Dependencies of which the log holds nothing; told once. */
  readonly #missing = new Set<string>();
  #stopped = false;

  constructor(options: SettlingOptions) {
    this.#options = options;
    this.#batch = options.batch ?? 200;
    this.#atOnce = options.atOnce ?? 4;
  }

  /**
   * A record that this process committed: the end of a task concerns those that wait for it, and a task that is new may
   * wait for one that ended in the meantime. Returns at once, as `settle`.
   */
  committed({ record, revision }: StoredRecord): void {
    if (record.kind !== taskMachine.kind) return;
    if (record.snapshot.status === 'done') this.settle(record.id, revision);
    else if (record.event.type === 'CREATE')
      for (const dependency of (record.snapshot.context as TaskContext).open_dependencies)
        this.settle(dependency, revision);
  }

  /** The end of this task was committed at this revision. Returns at once; failures are logged and left to the sweep. */
  settle(dependency: string, revision: number): void {
    if (this.#stopped) return;
    this.#unseen.set(dependency, Math.max(revision, this.#unseen.get(dependency) ?? 0));
    this.#seeing ??= this.#see().finally(() => {
      this.#seeing = undefined;
    });
  }

  /** Takes up every ended task that others are still known to wait for. Returns at once. */
  sweep(): void {
    if (this.#stopped) return;
    for (const dependency of this.#options.dependents.dependencies())
      if (this.#mayHaveEnded(dependency)) this.#queue(dependency, false);
    for (const dependency of this.#missing)
      if (!this.#options.dependents.isAwaited(dependency)) this.#missing.delete(dependency);
    this.#next();
  }

  /** Resolves when nothing is under way or in line. */
  async idle(): Promise<void> {
    while (this.#seeing || this.#running.size > 0) await (this.#seeing ?? Promise.race(this.#running.values()));
  }

  /** Finishes the commits that are under way, and begins none. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unseen.clear();
    this.#line.clear();
    await this.idle();
  }

  /** What is unknown here may have been archived, or not be known yet: the log tells. */
  #mayHaveEnded(dependency: string): boolean {
    const state = this.#options.stateOf(dependency);
    return state === undefined ? !this.#missing.has(dependency) : isFinal(state);
  }

  /** One wait for all ends that came in meanwhile: most of them have no dependents, and cost no more than that. */
  async #see(): Promise<void> {
    while (this.#unseen.size > 0) {
      const ended = this.#unseen;
      this.#unseen = new Map();
      let last = 0;
      for (const revision of ended.values()) last = Math.max(last, revision);
      try {
        await this.#options.follower.reached(last);
      } catch (error) {
        this.#options.log.warn({ err: error }, 'dependents of ended tasks are left to the sweep');
        continue;
      }
      if (this.#stopped) return;
      for (const dependency of ended.keys()) if (this.#mayHaveEnded(dependency)) this.#queue(dependency, true);
      this.#next();
    }
  }

  #queue(dependency: string, isOurs: boolean): void {
    this.#line.set(dependency, isOurs || (this.#line.get(dependency) ?? false));
  }

  #next(): void {
    for (const [dependency, isOurs] of this.#line) {
      if (this.#running.size >= this.#atOnce) return;
      // One that is under way stays in line for another round.
      if (this.#running.has(dependency)) continue;
      this.#line.delete(dependency);
      if (!this.#options.dependents.isAwaited(dependency)) continue;
      const round = this.#round(dependency, isOurs)
        .catch((error: unknown) =>
          this.#options.log.warn(
            { err: error, task_id: dependency },
            'dependents of an ended task are left to the sweep',
          ),
        )
        .finally(() => {
          this.#running.delete(dependency);
          this.#next();
        });
      this.#running.set(dependency, round);
    }
  }

  /** Batch after batch, until nobody is known to wait or a whole round has changed nothing. */
  async #round(dependency: string, isOurs: boolean): Promise<void> {
    const { dependents } = this.#options;
    for (let changed = true; changed; ) {
      changed = false;
      const waiting = dependents.of(dependency);
      // The most important ones come first; of several processes that sweep at once each begins somewhere else.
      const first = isOurs ? 0 : Math.floor(Math.random() * waiting.length);
      const order = [...waiting.slice(first), ...waiting.slice(0, first)];
      for (let from = 0; from < order.length; from += this.#batch) {
        // Those that are waiting no longer by now were taken by another process, or by a sweep of this one.
        const batch = order.slice(from, from + this.#batch).filter((id) => dependents.has(dependency, id));
        if (batch.length > 0 && (await this.#settleBatch(dependency, batch))) changed = true;
      }
    }
  }

  /** Whether anything became of it. A batch that fails is halved, so that nobody is held back by another. */
  async #settleBatch(dependency: string, batch: readonly string[]): Promise<boolean> {
    if (this.#stopped) return false;
    try {
      return await this.#commit(dependency, batch);
    } catch (error) {
      if (isOutage(error)) throw error;
      if (batch.length === 1) {
        const [task_id] = batch;
        this.#options.log.warn(
          { err: error, task_id, dependency },
          'a dependent could not be settled; the sweep tries again',
        );
        return false;
      }
    }
    const half = Math.ceil(batch.length / 2);
    const first = await this.#settleBatch(dependency, batch.slice(0, half));
    return (await this.#settleBatch(dependency, batch.slice(half))) || first;
  }

  async #commit(dependency: string, batch: readonly string[]): Promise<boolean> {
    const { store, dependents } = this.#options;
    let runs = 0;
    let passedOver: StoredRecord[] = [];
    const committed = await store.transact(
      { by, trace_id: dependency },
      async (view): Promise<Proposal<readonly StoredRecord[]>> => {
        if (++runs > mostRuns && batch.length > 1) throw new Contended();
        passedOver = [];
        const task = await view.get(taskMachine, dependency);
        const state = stateName(task.snapshot.value);
        if (!isFinal(state)) {
          if (!task.last) this.#miss(dependency);
          return { answer: [] };
        }
        const ended = { id: dependency, ...endOf(state, task.snapshot.context) };
        const send = await unlocking(view, ended, batch, { onPassedOver: ({ last }) => last && passedOver.push(last) });
        return send.length > 0 ? { send, answer: (records) => records } : { answer: [] };
      },
    );
    const size = dependents.size;
    for (const stored of [...committed, ...passedOver]) dependents.apply(stored);
    return committed.length > 0 || dependents.size < size;
  }

  /** The log holds nothing of a task that others wait for. An operator can cancel those. */
  #miss(dependency: string): void {
    if (this.#missing.has(dependency)) return;
    this.#missing.add(dependency);
    const dependents = this.#options.dependents.of(dependency);
    this.#options.log.error(
      { task_id: dependency, dependents: dependents.length, first: dependents[0] },
      'tasks wait for one that is not in the log; cancel them, or create them again',
    );
  }
}

/** Others write the tasks of the batch all the time. */
class Contended extends Error {}

/** What would meet every batch alike. */
const outages: ReadonlySet<string> = new Set<Code>(['UNAVAILABLE', 'TIMEOUT', 'RATE_LIMITED']);

function isOutage(error: unknown): boolean {
  return error instanceof FabricError && outages.has(error.code);
}

function isFinal(state: string): boolean {
  return (finalStates as readonly string[]).includes(state);
}
