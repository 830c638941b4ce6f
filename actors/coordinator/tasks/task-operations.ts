/**
 * What swarms and operators do with tasks, and what time does to them. Each method is one transaction of the store:
 * validated input in, the task as replies show it out, FabricError for everything that is refused.
 */

import { operatorId } from '../../../machines/address.ts';
import type { Json } from '../../../machines/record.ts';
import type { SwarmState } from '../../../machines/swarm/context.ts';
import { swarmMachine } from '../../../machines/swarm/machine.ts';
import { sameCompletion } from '../../../machines/task/content.ts';
import type { TaskCost, TaskState } from '../../../machines/task/context.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import { holds } from '../../../machines/task/ownership.ts';
import { type Clock, systemClock } from '../../../src/clock.ts';
import { FabricError } from '../../../src/errors.ts';
import type { ActorStore, Cause, PlanView, Proposal, Send } from '../../../src/store/actor-store.ts';
import type { Lanes } from '../../../src/store/lanes.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { LeaseEnd } from '../leases/lease-ends.ts';
import { losesTasks } from './circuit-returns.ts';
import { allLoseTasks, type FleetFacts } from './fleet-plan.ts';
import { estimatedCost, givenBack } from './owner-money.ts';
import { PaidTurns } from './paid-turns.ts';
import { isRepeated } from './repeated.ts';
import { type ClaimAnswer, TaskClaims } from './task-claims.ts';
import { type NewTask, TaskCreation } from './task-creation.ts';
import { type Ending, ending } from './task-ending.ts';
import { existing, firstTask, isOwned, keyOf, notFound, only, send, type Task } from './task-plan.ts';
import type { TaskPolicy } from './task-policy.ts';
import { type TaskView, taskView } from './task-view.ts';

export interface TaskOperationsOptions {
  readonly store: ActorStore;
  readonly lanes: Lanes;
  readonly policy: TaskPolicy;
  readonly fleet: FleetFacts;
  /** Default: the system's. */
  readonly clock?: Pick<Clock, 'now'>;
  /** The number of the log's epoch. */
  readonly epoch: number;
  readonly newId: () => string;
  /** Ids of the tasks that are known to wait for one. */
  readonly dependentsOf: (task_id: string) => readonly string[];
}

type Change = Omit<Ending, 'dependents'>;

/** After so many conflicts a task ends by itself, and those that wait for it follow in commits of their own. */
const patience = 5;

export class TaskOperations {
  readonly #options: TaskOperationsOptions;
  readonly #store: ActorStore;
  readonly #creation: TaskCreation;
  readonly #claims: TaskClaims;
  readonly #turns: PaidTurns;

  constructor(options: TaskOperationsOptions) {
    this.#options = options;
    this.#store = options.store;
    const { store, clock = systemClock } = options;
    this.#turns = new PaidTurns({ ...options, clock, residents: store.residents });
    this.#creation = new TaskCreation(options);
    this.#claims = new TaskClaims({ ...options, turns: this.#turns });
  }

  /** As `TaskCreation.create`. */
  async create(by: string, task: NewTask): Promise<TaskView> {
    return await this.#creation.create(by, task);
  }

  /** As `TaskClaims.claim`. */
  async claim(by: string, task_id: string, options?: { fresh?: boolean }): Promise<ClaimAnswer> {
    return await this.#claims.claim(by, task_id, options);
  }

  /** @throws FabricError TASK_NOT_FOUND */
  async get(task_id: string): Promise<StoredRecord> {
    const stored = await this.#store.read({ kind: taskMachine.kind, id: task_id });
    if (!stored) throw notFound(task_id);
    return stored;
  }

  /** @throws FabricError TASK_NOT_FOUND, NOT_OWNER, STALE_TOKEN, TASK_NOT_AVAILABLE */
  async start(by: string, task_id: string, token: number): Promise<TaskView> {
    return await this.#store.transact({ by, trace_id: task_id }, async (view) => {
      const task = await existing(view, task_id);
      const { context } = task.snapshot;
      if (task.snapshot.value === 'in_progress' && holds(context, by, token)) return { answer: taskView(task.last!) };
      return only(send(task, { type: 'START', by, token }));
    });
  }

  /**
   * The task, when the caller holds it under this token and its lease runs. Rests on the log's leader.
   * @throws FabricError as `start`; TASK_NOT_AVAILABLE also for a blocked task, which has no lease
   */
  async held(by: string, task_id: string, token: number): Promise<StoredRecord> {
    return await this.#store.transact({ by, trace_id: task_id }, async (view): Promise<Proposal<StoredRecord>> => {
      const task = await existing(view, task_id);
      // Who may report a blocker is who holds the task under a lease.
      const refusal = taskMachine.explain(task.snapshot, { type: 'BLOCK', by, token, blocker_id: '', at: view.now });
      if (refusal) throw FabricError.refused(refusal);
      return { answer: task.last! };
    });
  }

  /** Gives a task back, and the attempt with it; the same again returns the task. @throws FabricError as `start` */
  async release(by: string, task_id: string, token: number): Promise<TaskView> {
    const event = { type: 'RELEASE', by, token };
    const decide = (task: Task): Change | 'repeated' =>
      isRepeated(task.last, event) ? 'repeated' : { event, owner: givenBack(task) };
    const end = async () => await this.#end({ by, trace_id: task_id }, task_id, decide);
    return await this.#turns.givingBack(by, task_id, end);
  }

  /**
   * Completes a task and settles its cost in the same commit: the one that the owner tells, or else, where money was
   * reserved, the estimate. The same completion again returns the task.
   * @throws FabricError as `start`
   */
  async complete(
    by: string,
    task_id: string,
    completion: { token?: number | undefined; result?: Json | undefined; cost?: TaskCost | undefined },
  ): Promise<TaskView> {
    const event = {
      type: 'COMPLETE' as const,
      by,
      result: completion.result ?? null,
      ...(completion.token === undefined ? {} : { token: completion.token }),
      ...(completion.cost === undefined ? {} : { cost: completion.cost }),
    };
    return await this.#byOwner(by, task_id, (task, view) => {
      const { value, context } = task.snapshot;
      if (sameCompletion(value as TaskState, context, { ...event, at: view.now })) return 'repeated';
      const cost = completion.cost ?? estimatedCost(context);
      const cost_usd = cost?.cost_usd ?? 0;
      const reserved = context.reserved_usd !== null;
      return {
        event: cost ? { ...event, cost } : event,
        owner: { type: 'SUCCESS', key: keyOf(task_id), cost_usd, reserved, half_life_ms: this.#halfLifeMs },
        cost_usd,
      };
    });
  }

  /** Ends an attempt; the task is available again, after its back-off, or has failed. The same again returns it. @throws FabricError as `start` */
  async fail(
    by: string,
    task_id: string,
    failure: { token: number; error: Json; retryable?: boolean | undefined },
  ): Promise<TaskView> {
    const { retryable = true, token, error } = failure;
    const event = { type: 'FAIL', by, token, error, retryable };
    return await this.#byOwner(by, task_id, (task) =>
      isRepeated(task.last, event) ? 'repeated' : { event, owner: this.#failure(task) },
    );
  }

  /** By its creator or an operator. @throws FabricError TASK_NOT_FOUND, UNAUTHORIZED, TASK_NOT_AVAILABLE */
  async cancel(by: string, task_id: string, reason: string | null): Promise<TaskView> {
    return await this.#end({ by, trace_id: task_id }, task_id, (task) => {
      const { value, context } = task.snapshot;
      if (value === 'cancelled' && (by === operatorId || by === context.created_by)) return 'repeated';
      return { event: { type: 'CANCEL', by, reason }, owner: givenBack(task) };
    });
  }

  /**
   * Leases of one owner are over: each task goes back, or has failed, and the swarm has a failure on record for it. Says of
   * each whether it is so: not where the ownership has ended, or the lease on record runs longer. One commit for all; who
   * waits for a task that has failed is told in a later one. @throws FabricError UNAVAILABLE
   */
  async leasesExpired(ends: readonly LeaseEnd[]): Promise<readonly boolean[]> {
    const plan = async (view: PlanView): Promise<Proposal<readonly boolean[]>> => {
      const outcomes = await Promise.all(ends.map(async (end) => await this.#expiry(view, end)));
      const answer = outcomes.map((sends) => sends.length > 0);
      const send = outcomes.flat();
      return send.length > 0 ? { send, answer: () => answer } : { answer };
    };
    return await this.#store.transact({ by: 'IF.coordinator', trace_id: ends[0]?.task_id ?? '' }, plan);
  }

  async #expiry(view: PlanView, { task_id, ...end }: LeaseEnd): Promise<Send[]> {
    const event = { type: 'LEASE_EXPIRED' as const, ...end };
    const runs = ({ snapshot }: Task) => taskMachine.explain(snapshot, { ...event, at: view.now }) !== undefined;
    let task: Task = await view.get(taskMachine, task_id);
    // Left out of a commit, so nothing else would notice that this was not the last record.
    if (runs(task)) task = await view.confirm(taskMachine, task_id);
    if (runs(task)) return [];
    return await ending(view, this.#options.fleet, task, { event, owner: this.#failure(task), dependents: [] });
  }

  /** The owner is gone: its task goes back, or has failed. What the owner no longer has is not an error. */
  async ownerLost(task_id: string, owner: string, reason: 'offline' | 'unregistered'): Promise<boolean> {
    return await this.#ofTime(task_id, async (task, view) => {
      if (!isOwned(task) || task.snapshot.context.owner !== owner) return 'repeated';
      // What a moment ago was true of it would take tasks from a swarm that is back.
      const swarm = (await view.confirm(swarmMachine, owner)).snapshot.value as SwarmState;
      const isThere = swarm.registration === 'registered' && swarm.liveness === 'online';
      return isThere ? 'repeated' : { event: { type: 'OWNER_LOST', owner, reason }, owner: givenBack(task) };
    });
  }

  /**
   * The circuit of the owner is open: its task goes back, and the attempt with it. Not where policy lets it keep its
   * tasks, nor for a pause that lets the swarm finish what it has. Says whether the task went back.
   */
  async circuitOpened(task_id: string, owner: string): Promise<boolean> {
    return await this.#ofTime(task_id, async (task, view) => {
      if (this.#options.policy.open_circuit_tasks !== 'return') return 'repeated';
      if (!isOwned(task) || task.snapshot.context.owner !== owner) return 'repeated';
      // Of a circuit that was reset a moment ago nobody loses anything.
      const swarm = await view.confirm(swarmMachine, owner);
      if (!losesTasks(swarm.snapshot.context) && !(await allLoseTasks(view, this.#options.fleet))) return 'repeated';
      return { event: { type: 'OWNER_LOST', owner, reason: 'circuit_open' }, owner: givenBack(task) };
    });
  }

  /** The time of a waiting task has come. A stale timer changes nothing. */
  async due(task_id: string): Promise<void> {
    await this.#store.transact({ by: 'IF.timers', trace_id: task_id }, async (view): Promise<Proposal<unknown>> => {
      const task = await view.get(taskMachine, task_id);
      const refusal = taskMachine.explain(task.snapshot, { type: 'DUE', at: view.now });
      return refusal ? { answer: undefined } : only(send(task, { type: 'DUE' }));
    });
  }

  #failure(task: Task): Change['owner'] {
    const reserved = task.snapshot.context.reserved_usd !== null;
    const threshold = this.#options.policy.circuit_breaker_failure_threshold;
    const half_life_ms = this.#halfLifeMs;
    return { type: 'FAILURE', key: keyOf(task.ref.id), cost_usd: 0, reserved, threshold, half_life_ms };
  }

  get #halfLifeMs(): number | null {
    return this.#options.policy.reputation_half_life_ms;
  }

  /** One owner's changes take turns: they write the same record of the swarm. */
  async #byOwner(
    by: string,
    task_id: string,
    decide: (task: Task, view: PlanView) => Change | 'repeated',
  ): Promise<TaskView> {
    return await this.#turns.ending(
      by,
      task_id,
      async () => await this.#end({ by, trace_id: task_id }, task_id, decide),
    );
  }

  /** What nobody asked for; says whether anything changed. */
  async #ofTime(
    task_id: string,
    decide: (task: Task, view: PlanView) => Change | 'repeated' | Promise<Change | 'repeated'>,
  ): Promise<boolean> {
    let changed = false;
    await this.#end({ by: 'IF.coordinator', trace_id: task_id }, task_id, async (task, view) => {
      const change = await decide(task, view);
      changed = change !== 'repeated';
      return change;
    });
    return changed;
  }

  async #end(
    cause: Cause,
    task_id: string,
    decide: (task: Task, view: PlanView) => Change | 'repeated' | Promise<Change | 'repeated'>,
  ): Promise<TaskView> {
    let tries = 0;
    const plan = async (view: PlanView): Promise<Proposal<TaskView>> => {
      const task = await existing(view, task_id);
      const change = await decide(task, view);
      if (change === 'repeated') return { answer: taskView(task.last!) };
      const dependents = tries++ < patience ? this.#options.dependentsOf(task_id) : [];
      return { send: await ending(view, this.#options.fleet, task, { ...change, dependents }), answer: firstTask };
    };
    try {
      return await this.#store.transact(cause, plan);
    } catch (error) {
      // More than a commit of these servers holds; that a task has many dependents must not keep it from ending.
      const isLarge = error instanceof FabricError && error.code === 'PAYLOAD_TOO_LARGE';
      if (!isLarge || tries > patience || this.#options.dependentsOf(task_id).length === 0) throw error;
      tries = patience;
      return await this.#store.transact(cause, plan);
    }
  }
}
