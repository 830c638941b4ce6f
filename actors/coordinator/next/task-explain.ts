/**
 * Why a task is where it is: what it waits for, and of each swarm whether it qualifies, or why not. The rules are those
 * of the machines that decide about a claim; the facts about swarms and keys are those of the moment, at most about a
 * millisecond old.
 */
import { factorsOf, type MatchFactors, wantedBy } from '../../../machines/governance/matching.ts';
import type { GovernorPolicy } from '../../../machines/policy/values.ts';
import { stateName } from '../../../machines/record.ts';
import type { TaskContext, TaskState } from '../../../machines/task/context.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { FleetKnown } from '../../fleet-known.ts';
import { fittingSwarms } from '../../swarm-index/fitting-swarms.ts';
import { candidateOf, type KnownSwarm } from '../../swarm-index/known-swarm.ts';
import type { SwarmIndex } from '../../swarm-index/swarm-index.ts';
import type { Page } from '../lists.ts';
import { concurrencyLimit } from '../tasks/semaphore-plan.ts';
import { notFound } from '../tasks/task-plan.ts';
import { type ClaimRule, claimRefusal } from './claim-verdict.ts';
import type { SemaphoresKnown } from './semaphores-known.ts';

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
  /** It is kept for this swarm, or, where it is null, for one that is being chosen; until then, milliseconds since 1970. */
  assigned_to?: string | null;
  assigned_until?: number;
  /** Who works on it. */
  owner?: string;
  blocker_id?: string;
}

/** Whether a swarm may claim the task, and what it would be chosen by. */
export interface ExplainedSwarm extends Omit<MatchFactors, 'matched' | 'missing'> {
  readonly qualifies: boolean;
  /** The first rule that excludes it, and why, as a claim would be refused. */
  readonly rule?: ClaimRule;
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
  readonly swarms: SwarmIndex;
  readonly semaphores: SemaphoresKnown;
  readonly fleet: Pick<FleetKnown, 'paused' | 'budget'>;
  /** The policy in force, whenever it is asked. */
  readonly policy: { readonly current: Pick<GovernorPolicy, 'min_capability_match' | 'reputation_half_life_ms'> };
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
    const most = Math.min(limit, fittingSwarms(task.requires));
    const ids = swarms.ids({ after: cursor, limit: most + 1 });
    const shown = ids.slice(0, most);
    return {
      task_id,
      state,
      waiting_for: this.#waitingFor(state, task),
      swarms: shown.map((id) => this.#judge(task_id, state, task, swarms.get(id)!)),
      cursor: ids.length > most ? shown.at(-1)! : null,
    };
  }

  #waitingFor(state: TaskState, task: TaskContext): WaitingFor | null {
    const { open_dependencies: open, failed_dependencies: failed, due_at, owner, blocker_id } = task;
    if (state === 'waiting') {
      if (open.length === 0) return due_at === null ? null : { due_at };
      return failed.length === 0 ? { dependencies: open } : { dependencies: open, failed_dependencies: failed };
    }
    if (state === 'available') return this.#keptBy(task);
    if (owner === null || (state !== 'claimed' && state !== 'in_progress' && state !== 'blocked')) return null;
    return blocker_id === null ? { owner } : { owner, blocker_id };
  }

  /** What keeps a task that is available from a swarm that could claim it. */
  #keptBy(task: TaskContext): WaitingFor | null {
    const { concurrency_key, assignment } = task;
    if (assignment != null && this.#options.now() < assignment.until) {
      return { assigned_to: assignment.to, assigned_until: assignment.until };
    }
    if (concurrency_key === null) return null;
    const holders = this.#options.semaphores.holders(concurrency_key);
    const concurrency_limit = concurrencyLimit(task);
    return holders.length < concurrency_limit ? null : { concurrency_key, concurrency_limit, holders };
  }

  #judge(task_id: string, state: TaskState, task: TaskContext, known: KnownSwarm): ExplainedSwarm {
    const { policy, fleet, now } = this.#options;
    const { min_capability_match, reputation_half_life_ms: half_life_ms } = policy.current;
    const at = now();
    const wanted = wantedBy({ requires: task.requires, unrestricted: true }, { min_capability_match });
    const {
      swarm_id,
      matched: _,
      missing: __,
      ...factors
    } = factorsOf(candidateOf(known, { now: at, half_life_ms }), wanted);
    const refusal = claimRefusal({ task_id, state, task, fleet, min_capability_match, at }, known);
    if (!refusal) return { swarm_id, qualifies: true, ...factors };
    const { rule, code, message: reason } = refusal;
    return { swarm_id, qualifies: false, rule, code, reason, ...factors };
  }
}
