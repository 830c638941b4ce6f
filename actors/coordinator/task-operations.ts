/**
 * What swarms and operators do with tasks. Each method is one transaction of the store: validated input in, the task as
 * replies show it out, FabricError for everything that is refused.
 */

import { formatRef, operatorId } from '../../machines/address.ts';
import type { Code } from '../../machines/codes.ts';
import type { Json } from '../../machines/record.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { sameCompletion, sameContent } from '../../machines/task/content.ts';
import type { TaskContent, TaskContext, TaskCost, TaskState } from '../../machines/task/context.ts';
import type { CreateTask } from '../../machines/task/events.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { tokenOf } from '../../machines/token.ts';
import { FabricError } from '../../src/errors.ts';
import type { ActorStore, PlanView, Proposal, Send } from '../../src/store/actor-store.ts';
import type { Lanes } from '../../src/store/lanes.ts';
import { isRepeated } from './repeated.ts';
import {
  existing,
  factsOf,
  firstTask,
  isOwned,
  keyOf,
  notFound,
  only,
  reservationFor,
  send,
  type Task,
  toOwner,
  withoutUndefined,
} from './task-plan.ts';
import { type TaskView, taskView } from './task-view.ts';

export interface TaskPolicy {
  /** The share of required capabilities that a swarm must have, 0 to 1. */
  readonly min_capability_match: number;
  /** Failures in a row that open a swarm's circuit. */
  readonly circuit_breaker_failure_threshold: number;
  /** The lease of a task that asks for none of its own, milliseconds. */
  readonly lease_ms: number;
  /** US dollars; a task estimated above it is refused at creation. */
  readonly max_cost_per_task: number;
}

export type ClaimAnswer =
  | { readonly claimed: true; readonly task: TaskView; readonly token: number }
  | { readonly claimed: false; readonly reason: Code; readonly owner?: string };

export type NewTask = { task_id: string; task_type: string } & {
  [K in keyof TaskContent]?: TaskContent[K] | undefined;
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

export class TaskOperations {
  readonly #store: ActorStore;
  readonly #lanes: Lanes;
  readonly #policy: TaskPolicy;
  /** The number of the log's epoch; tokens grow with it. */
  readonly #epoch: number;
  readonly #newId: () => string;

  constructor(options: { store: ActorStore; lanes: Lanes; policy: TaskPolicy; epoch: number; newId: () => string }) {
    this.#store = options.store;
    this.#lanes = options.lanes;
    this.#policy = options.policy;
    this.#epoch = options.epoch;
    this.#newId = options.newId;
  }

  /** Creates a task; the same content again returns it. @throws FabricError TASK_EXISTS, POLICY_VIOLATION */
  async create(by: string, { task_id, ...content }: NewTask): Promise<TaskView> {
    const { max_cost_per_task: limit } = this.#policy;
    if ((content.cost_estimate ?? 0) > limit) {
      throw new FabricError(
        'POLICY_VIOLATION',
        `cost_estimate: ${content.cost_estimate} is above the limit of ${limit} dollars for a task`,
      );
    }
    const given = { lease_ms: this.#policy.lease_ms, ...withoutUndefined(content) };
    const trace_id = this.#newId();
    return await this.#store.transact({ by, trace_id }, async (view) => {
      const task = await view.presumeAbsent(taskMachine, task_id);
      const event: CreateTask = { type: 'CREATE', at: view.now, ...given, by, trace_id, open_dependencies: [] };
      if (task.last && sameContent(task.snapshot.context, event)) return { answer: taskView(task.last) };
      return only({ machine: taskMachine, id: task_id, event: { ...event } });
    });
  }

  /** @throws FabricError TASK_NOT_FOUND */
  async get(task_id: string): Promise<TaskView> {
    const stored = await this.#store.read({ kind: taskMachine.kind, id: task_id });
    if (!stored) throw notFound(task_id);
    return taskView(stored);
  }

  /**
   * Claims a task for a swarm. Losing a race is an answer, not an error; a claim by the present owner returns the same
   * token. @throws FabricError TASK_NOT_FOUND, SWARM_NOT_FOUND
   */
  async claim(by: string, task_id: string): Promise<ClaimAnswer> {
    try {
      return await this.#store.transact(
        { by, trace_id: task_id },
        async (view) => await this.#planClaim(view, by, task_id),
      );
    } catch (error) {
      if (!(error instanceof FabricError && claimAnswers.has(error.code))) throw error;
      const owner = error.details?.['owner'];
      return { claimed: false, reason: error.code, ...(typeof owner === 'string' ? { owner } : {}) };
    }
  }

  async #planClaim(view: PlanView, by: string, task_id: string): Promise<Proposal<ClaimAnswer>> {
    const task = await existing(view, task_id);
    const { context } = task.snapshot;
    if (isOwned(task)) {
      if (context.owner !== by)
        return { answer: { claimed: false, reason: 'TASK_NOT_AVAILABLE', owner: context.owner! } };
      return { answer: { claimed: true, task: taskView(task.last!), token: context.token! } };
    }
    const swarm = await view.get(swarmMachine, by);
    const reservation = reservationFor(context, swarm.snapshot.context);
    const claim: Send = {
      machine: taskMachine,
      id: task_id,
      trace_id: context.trace_id,
      event: {
        type: 'CLAIM',
        owner: by,
        epoch: this.#epoch,
        swarm: factsOf(swarm),
        min_capability_match: this.#policy.min_capability_match,
        reserve_usd: reservation,
      },
    };
    const reserve: Send = {
      machine: swarmMachine,
      id: by,
      trace_id: context.trace_id,
      event: {
        type: 'RESERVE',
        key: keyOf(task_id),
        token: tokenOf(this.#epoch, context.ownerships + 1),
        amount_usd: reservation ?? 0,
      },
    };
    return {
      send: reservation === null ? [claim] : [claim, reserve],
      answer: ([claimed]) => ({
        claimed: true,
        task: taskView(claimed!),
        token: (claimed!.record.snapshot.context as TaskContext).token!,
      }),
    };
  }

  /** @throws FabricError TASK_NOT_FOUND, NOT_OWNER, STALE_TOKEN, TASK_NOT_AVAILABLE */
  async start(by: string, task_id: string, token: number): Promise<TaskView> {
    return await this.#store.transact({ by, trace_id: task_id }, async (view) => {
      const task = await existing(view, task_id);
      const { context } = task.snapshot;
      if (task.snapshot.value === 'in_progress' && context.owner === by && context.token === token)
        return { answer: taskView(task.last!) };
      return only(send(task, { type: 'START', by, token }));
    });
  }

  /** Gives a task back, and the attempt with it; the same again returns the task. @throws FabricError as `start` */
  async release(by: string, task_id: string, token: number): Promise<TaskView> {
    const event = { type: 'RELEASE', by, token };
    return await this.#withOwner(by, task_id, (task) => {
      if (isRepeated(task.last, event)) return 'repeated';
      const { reserved_usd } = task.snapshot.context;
      return { event, owner: reserved_usd === null ? undefined : { type: 'UNRESERVE', key: keyOf(task_id) } };
    });
  }

  /**
   * Completes a task and settles its cost in the same commit; the same completion again returns the task.
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
    return await this.#withOwner(by, task_id, (task, view) => {
      const { value, context } = task.snapshot;
      if (sameCompletion(value as TaskState, context, { ...event, at: view.now })) return 'repeated';
      const cost_usd = completion.cost?.cost_usd ?? context.reserved_usd ?? 0;
      return {
        event,
        owner: { type: 'SUCCESS', key: keyOf(task_id), cost_usd, reserved: context.reserved_usd !== null },
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
    return await this.#withOwner(by, task_id, (task) => {
      if (isRepeated(task.last, event)) return 'repeated';
      const reserved = task.snapshot.context.reserved_usd !== null;
      const threshold = this.#policy.circuit_breaker_failure_threshold;
      return { event, owner: { type: 'FAILURE', key: keyOf(task_id), cost_usd: 0, reserved, threshold } };
    });
  }

  /** By its creator or an operator. @throws FabricError TASK_NOT_FOUND, UNAUTHORIZED, TASK_NOT_AVAILABLE */
  async cancel(by: string, task_id: string, reason: string | null): Promise<TaskView> {
    return await this.#store.transact({ by, trace_id: task_id }, async (view) => {
      const task = await existing(view, task_id);
      const { value, context } = task.snapshot;
      if (value === 'cancelled' && (by === operatorId || by === context.created_by))
        return { answer: taskView(task.last!) };
      const holdsReservation = isOwned(task) && context.reserved_usd !== null;
      const giveBack = holdsReservation
        ? [toOwner(task, context.owner!, { type: 'UNRESERVE', key: keyOf(task_id) })]
        : [];
      return { send: [send(task, { type: 'CANCEL', by, reason }), ...giveBack], answer: firstTask };
    });
  }

  /** The owner is gone: its task goes back, or has failed. What the owner no longer has is not an error. */
  async ownerLost(task_id: string, owner: string, reason: 'offline' | 'unregistered'): Promise<void> {
    await this.#store.transact(
      { by: 'IF.coordinator', trace_id: task_id },
      async (view): Promise<Proposal<unknown>> => {
        const task = await existing(view, task_id);
        if (!isOwned(task) || task.snapshot.context.owner !== owner) return { answer: undefined };
        const reserved = task.snapshot.context.reserved_usd !== null;
        const giveBack = reserved ? [toOwner(task, owner, { type: 'UNRESERVE', key: keyOf(task_id) })] : [];
        return { send: [send(task, { type: 'OWNER_LOST', owner, reason }), ...giveBack], answer: firstTask };
      },
    );
  }

  /** The time of a waiting task has come. A stale timer changes nothing. */
  async due(task_id: string): Promise<void> {
    await this.#store.transact({ by: 'IF.timers', trace_id: task_id }, async (view): Promise<Proposal<unknown>> => {
      const task = await view.get(taskMachine, task_id);
      const refusal = taskMachine.explain(task.snapshot, { type: 'DUE', at: view.now });
      return refusal ? { answer: undefined } : only(send(task, { type: 'DUE' }));
    });
  }

  /** A change of a task with its consequence for the owner, in one commit; one owner's changes take turns. */
  async #withOwner(
    by: string,
    task_id: string,
    decide: (task: Task, view: PlanView) => OwnerChange | 'repeated',
  ): Promise<TaskView> {
    const change = async (view: PlanView): Promise<Proposal<TaskView>> => {
      const task = await existing(view, task_id);
      const decision = decide(task, view);
      if (decision === 'repeated') return { answer: taskView(task.last!) };
      const consequence = decision.owner ? [toOwner(task, by, decision.owner)] : [];
      // Whether the caller may do this is the task's to say, before the swarm is touched.
      const refusal = taskMachine.explain(task.snapshot, { ...decision.event, at: view.now } as never);
      if (refusal) throw FabricError.refused(refusal);
      return { send: [send(task, decision.event), ...consequence], answer: firstTask };
    };
    return await this.#lanes.run(
      formatRef({ kind: swarmMachine.kind, id: by }),
      async () => await this.#store.transact({ by, trace_id: task_id }, change),
    );
  }
}

interface OwnerChange {
  readonly event: Send['event'];
  readonly owner: Send['event'] | undefined;
}
