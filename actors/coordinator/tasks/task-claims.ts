/**
 * Claiming a task. A claim and what it takes from the swarm (a slot, money) and from a shared key are one commit; losing
 * a race is an answer, not an error.
 */
import type { Code } from '../../../machines/codes.ts';
import { type Json, stateName } from '../../../machines/record.ts';
import { swarmMachine } from '../../../machines/swarm/machine.ts';
import type { TaskContext } from '../../../machines/task/context.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import { tokenOf } from '../../../machines/token.ts';
import { FabricError } from '../../../src/errors.ts';
import type { ActorStore, PlanView, Proposal, Send } from '../../../src/store/actor-store.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { type FleetFacts, isPaused, reserveOfFleet } from './fleet-plan.ts';
import type { PaidTurns } from './paid-turns.ts';
import { acquire, concurrencyLimit, concurrencySemaphore } from './semaphore-plan.ts';
import { existing, factsOf, isOwned, keyOf, reservationFor, type Task } from './task-plan.ts';
import type { TaskPolicy } from './task-policy.ts';
import { type TaskView, taskView } from './task-view.ts';

/** What the tasks that came before brought, by their ids. */
export type DependencyResults = { readonly [task_id: string]: Json };

export type ClaimAnswer =
  | {
      readonly claimed: true;
      readonly task: TaskView;
      readonly token: number;
      /** Of a task that has dependencies. Beyond 4 MiB together results are left out: `task.get` has them. */
      readonly dependency_results?: DependencyResults;
    }
  | {
      readonly claimed: false;
      readonly reason: Code;
      readonly owner?: string;
      /** Where not the swarm but the key of the task has no capacity left. */
      readonly concurrency_key?: string;
      /** Where the task is kept for a swarm that was chosen for it, or, null, while one is being chosen; and until when. */
      readonly assigned_to?: string | null;
      readonly until?: number;
    };

/** Refusals of a claim that are answers: the request was right, only the state was not. */
const claimAnswers: ReadonlySet<Code> = new Set([
  'TASK_NOT_AVAILABLE',
  'SWARM_OFFLINE',
  'CIRCUIT_OPEN',
  'BUDGET_EXHAUSTED',
  'CAPABILITY_MISSING',
  'CAPACITY_EXCEEDED',
]);

const mostResultBytes = 4 * 1024 * 1024;

export class TaskClaims {
  readonly #store: ActorStore;
  readonly #policy: TaskPolicy;
  readonly #fleet: FleetFacts;
  readonly #turns: PaidTurns;
  readonly #epoch: number;

  /** `epoch` is the number of the log's epoch; tokens grow with it. */
  constructor(options: {
    store: ActorStore;
    policy: TaskPolicy;
    fleet: FleetFacts;
    turns: PaidTurns;
    epoch: number;
  }) {
    this.#store = options.store;
    this.#policy = options.policy;
    this.#fleet = options.fleet;
    this.#turns = options.turns;
    this.#epoch = options.epoch;
  }

  /**
   * A claim by the present owner returns the same token; or, where it has to be `fresh`, is refused as anyone else's.
   * @throws FabricError TASK_NOT_FOUND, SWARM_NOT_FOUND
   */
  async claim(by: string, task_id: string, { fresh = false } = {}): Promise<ClaimAnswer> {
    try {
      const plan = async (view: PlanView) => await this.#plan(view, by, task_id, fresh);
      const claiming = async () => await this.#store.transact({ by, trace_id: task_id }, plan);
      const answer = await this.#turns.claiming(by, task_id, claiming);
      return answer.claimed ? await this.#withResults(answer) : answer;
    } catch (error) {
      if (!(error instanceof FabricError && claimAnswers.has(error.code))) throw error;
      const { owner, assigned_to, until } = (error.details ?? {}) as { [field: string]: unknown };
      return {
        claimed: false,
        reason: error.code,
        ...(typeof owner === 'string' ? { owner } : {}),
        ...(typeof until === 'number' ? { assigned_to: assigned_to as string | null, until } : {}),
      };
    }
  }

  async #plan(view: PlanView, by: string, task_id: string, fresh: boolean): Promise<Proposal<ClaimAnswer>> {
    const task = await existing(view, task_id);
    const { context } = task.snapshot;
    if (isOwned(task)) {
      if (fresh || context.owner !== by)
        return { answer: { claimed: false, reason: 'TASK_NOT_AVAILABLE', owner: context.owner! } };
      return { answer: claimed(task.last!) };
    }
    if (await isPaused(view, this.#fleet)) return { answer: { claimed: false, reason: 'CIRCUIT_OPEN' } };
    const sends = await this.#claim(view, by, task);
    const key = context.concurrency_key;
    if (key !== null && stateName(task.snapshot.value) === 'available') {
      const place = await acquire(view, {
        id: concurrencySemaphore(key),
        holder: task_id,
        token: tokenOf(this.#epoch, context.ownerships + 1),
        limit: concurrencyLimit(context),
        trace_id: context.trace_id,
      });
      if ('refusal' in place) return { answer: { claimed: false, reason: 'CAPACITY_EXCEEDED', concurrency_key: key } };
      sends.push(place.send);
    }
    return { send: sends, answer: ([record]) => claimed(record!) };
  }

  async #claim(view: PlanView, by: string, task: Task): Promise<Send[]> {
    const { ref, snapshot } = task;
    const { context } = snapshot;
    const swarm = await view.get(swarmMachine, by);
    const reservation = reservationFor(context, swarm.snapshot.context);
    const ofFleet = await reserveOfFleet(view, this.#fleet, { task, swarm_id: by, amount_usd: reservation ?? 0 });
    const { trace_id } = context;
    const claim: Send = {
      machine: taskMachine,
      id: ref.id,
      trace_id,
      event: {
        type: 'CLAIM',
        owner: by,
        epoch: this.#epoch,
        swarm: factsOf(swarm),
        min_capability_match: this.#policy.min_capability_match,
        reserve_usd: reservation,
        fleet_reserve_usd: ofFleet ? reservation : null,
      },
    };
    if (reservation === null) return [claim];
    const token = tokenOf(this.#epoch, context.ownerships + 1);
    const event = { type: 'RESERVE', key: keyOf(ref.id), token, amount_usd: reservation };
    return [claim, { machine: swarmMachine, id: by, trace_id, event }, ...(ofFleet ? [ofFleet] : [])];
  }

  async #withResults(answer: ClaimAnswer & { claimed: true }): Promise<ClaimAnswer> {
    const { depends_on } = answer.task;
    if (depends_on.length === 0) return answer;
    const found = await Promise.all(
      depends_on.map(async (id) => await this.#store.read({ kind: taskMachine.kind, id })),
    );
    const results: { [task_id: string]: Json } = {};
    let bytes = 0;
    for (const [i, stored] of found.entries()) {
      if (!stored || stateName(stored.record.snapshot.value) !== 'completed') continue;
      const { result } = stored.record.snapshot.context as TaskContext;
      bytes += Buffer.byteLength(JSON.stringify(result));
      if (bytes > mostResultBytes) break;
      results[depends_on[i]!] = result;
    }
    return { ...answer, dependency_results: results };
  }
}

function claimed(stored: StoredRecord): ClaimAnswer & { claimed: true } {
  return { claimed: true, task: taskView(stored), token: (stored.record.snapshot.context as TaskContext).token! };
}
