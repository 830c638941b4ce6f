/**
 * Why a task is where it is: what it waits for, and of each swarm whether it qualifies, or why not. The rules are those
 * of the machines that decide about a claim; the facts about swarms and keys are those of the moment, at most about a
 * millisecond old.
 */
import { stateName } from '../../../machines/record.ts';
import { unreserve } from '../../../machines/swarm/budget.ts';
import type { SwarmContext } from '../../../machines/swarm/context.ts';
import { swarmMachine } from '../../../machines/swarm/machine.ts';
import type { TaskContext, TaskState } from '../../../machines/task/context.ts';
import { explainFitness } from '../../../machines/task/rules.ts';
import { maxEpoch } from '../../../machines/token.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { Page } from '../lists.ts';
import { concurrencyLimit } from '../tasks/semaphore-plan.ts';
import { factsOf, keyOf, notFound, reservationFor } from '../tasks/task-plan.ts';
import type { SemaphoresKnown } from './semaphores-known.ts';
import type { KnownSwarm, SwarmsKnown } from './swarm-facts.ts';

/** What has to happen before a task goes on; only what applies is there. */
export interface WaitingFor {
  /** Tasks that have to be completed first. */
  dependencies?: readonly string[];
  /** Those of them that failed or were cancelled: somebody has to decide. */
  failed_dependencies?: readonly string[];
  /** The time at which it is due, milliseconds since 1970. */
  due_at?: number;
  /** All places of this key are taken, by these tasks. */
  concurrency_key?: string;
  concurrency_limit?: number;
  holders?: readonly string[];
  /** Who works on it. */
  owner?: string;
  blocker_id?: string;
}

export interface ExplainedSwarm {
  readonly swarm_id: string;
  readonly qualifies: boolean;
  /** Why not, as a claim would be refused. */
  readonly code?: string;
  readonly reason?: string;
}

export interface Explanation {
  readonly task_id: string;
  readonly state: string;
  /** Null when nothing is in the way, or all is over. */
  readonly waiting_for: WaitingFor | null;
  /** By id. */
  readonly swarms: readonly ExplainedSwarm[];
  readonly cursor: string | null;
}

export interface TaskExplainOptions {
  /** The last record of a task, from the leader of the log. @throws FabricError UNAVAILABLE */
  readonly readTask: (task_id: string) => Promise<StoredRecord | undefined>;
  /** Resolves when every record of a swarm that was committed before the call was taken in. @throws FabricError UNAVAILABLE */
  readonly catchUp: () => Promise<void>;
  readonly swarms: SwarmsKnown;
  readonly semaphores: SemaphoresKnown;
  readonly minCapabilityMatch: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Swarms in one answer. */
const defaultLimit = 1_000;

export class TaskExplain {
  readonly #options: TaskExplainOptions;

  constructor(options: TaskExplainOptions) {
    this.#options = options;
  }

  /** @throws FabricError TASK_NOT_FOUND, UNAVAILABLE */
  async explain({ task_id, limit = defaultLimit, cursor }: { task_id: string } & Page): Promise<Explanation> {
    const { readTask, catchUp, swarms } = this.#options;
    const [stored] = await Promise.all([readTask(task_id), catchUp()]);
    if (!stored) throw notFound(task_id);
    const state = stateName(stored.record.snapshot.value) as TaskState;
    const task = stored.record.snapshot.context as TaskContext;
    const ids = swarms.ids({ after: cursor, limit: limit + 1 });
    const shown = ids.slice(0, limit);
    return {
      task_id,
      state,
      waiting_for: this.#waitingFor(state, task),
      swarms: shown.map((id) => this.#judge(task_id, task, swarms.get(id)!)),
      cursor: ids.length > limit ? shown.at(-1)! : null,
    };
  }

  #waitingFor(state: TaskState, task: TaskContext): WaitingFor | null {
    const { open_dependencies: open, failed_dependencies: failed, due_at, owner, blocker_id } = task;
    if (state === 'waiting') {
      if (open.length === 0) return due_at === null ? null : { due_at };
      return failed.length === 0 ? { dependencies: open } : { dependencies: open, failed_dependencies: failed };
    }
    if (state === 'available') return this.#fullKey(task);
    if (owner === null || (state !== 'claimed' && state !== 'in_progress' && state !== 'blocked')) return null;
    return blocker_id === null ? { owner } : { owner, blocker_id };
  }

  #fullKey(task: TaskContext): WaitingFor | null {
    const { concurrency_key } = task;
    if (concurrency_key === null) return null;
    const holders = this.#options.semaphores.holders(concurrency_key);
    const concurrency_limit = concurrencyLimit(task);
    return holders.length < concurrency_limit ? null : { concurrency_key, concurrency_limit, holders };
  }

  /** As a claim is judged: by the task's machine, then by the swarm's where the claim reserves something there. */
  #judge(task_id: string, task: TaskContext, known: KnownSwarm): ExplainedSwarm {
    const { swarm_id, state: value } = known;
    const key = keyOf(task_id);
    const context = without(known.context, key);
    const snapshot = { status: 'active' as const, value, context };
    const ref = { kind: swarmMachine.kind, id: swarm_id };
    const at = this.#options.now();
    const reservation = reservationFor(task, context);
    const refusal =
      explainFitness(task, {
        type: 'CLAIM',
        at,
        owner: swarm_id,
        // Which epoch it is has nothing to do with the swarm.
        epoch: maxEpoch,
        swarm: factsOf({ ref, revision: known.revision, n: 0, snapshot, last: undefined }),
        min_capability_match: this.#options.minCapabilityMatch,
        reserve_usd: reservation,
      }) ??
      (reservation === null
        ? undefined
        : swarmMachine.explain(snapshot, { type: 'RESERVE', at, key, token: null, amount_usd: reservation }));
    if (!refusal) return { swarm_id, qualifies: true };
    return { swarm_id, qualifies: false, code: refusal.code, reason: refusal.message };
  }
}

/** The swarm without what it holds for this task already, which it would not need a second time. */
function without(swarm: SwarmContext, key: string): SwarmContext {
  if (!Object.hasOwn(swarm.reservations, key)) return swarm;
  const { [key]: reservation, ...reservations } = swarm.reservations;
  return { ...swarm, reservations, budget: unreserve(swarm.budget, reservation?.amount_usd ?? 0) };
}
