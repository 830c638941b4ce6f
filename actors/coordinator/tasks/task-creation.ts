/**
 * Creating a task: what it depends on is looked up, and where it is the only open one of its key, that key is taken in
 * the same commit. The same content again returns the task.
 */
import { decide } from '../../../machines/machine.ts';
import { sameContent } from '../../../machines/task/content.ts';
import type { TaskContent, TaskState } from '../../../machines/task/context.ts';
import type { CreateTask } from '../../../machines/task/events.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import { FabricError } from '../../../src/errors.ts';
import type { ActorStore, PlanView, Proposal, Send } from '../../../src/store/actor-store.ts';
import { youngestTrimmedMs } from '../../../src/store/streams.ts';
import { acquire, singletonSemaphore } from './semaphore-plan.ts';
import { existing, firstTask, withoutUndefined } from './task-plan.ts';
import type { TaskPolicy } from './task-policy.ts';
import { type TaskView, taskView } from './task-view.ts';

export type NewTask = { task_id: string; task_type: string } & {
  [K in keyof TaskContent]?: TaskContent[K] | undefined;
};

export class TaskCreation {
  readonly #store: ActorStore;
  readonly #policy: TaskPolicy;
  readonly #newId: () => string;

  constructor(options: { store: ActorStore; policy: TaskPolicy; newId: () => string }) {
    this.#store = options.store;
    this.#policy = options.policy;
    this.#newId = options.newId;
  }

  /**
   * @throws FabricError TASK_EXISTS (other content, or another open task has the singleton key), POLICY_VIOLATION (too
   *   expensive), TASK_NOT_FOUND (a dependency), INVALID_REQUEST (it depends on itself)
   */
  async create(by: string, { task_id, ...content }: NewTask): Promise<TaskView> {
    if (content.depends_on?.includes(task_id))
      throw new FabricError('INVALID_REQUEST', `depends_on: ${task_id} cannot depend on itself; leave it out`);
    const { lease_ms, assign_tasks, assign_timeout_ms } = this.#policy;
    const assign = content.assign ?? assign_tasks;
    const given = { lease_ms, ...withoutUndefined(content), ...(assign ? { assign, assign_timeout_ms } : {}) };
    const trace_id = this.#newId();
    return await this.#store.transact({ by, trace_id }, async (view): Promise<Proposal<TaskView>> => {
      const task = await view.presumeAbsent(taskMachine, task_id);
      const asked: CreateTask = { type: 'CREATE', at: view.now, ...given, by, trace_id, open_dependencies: [] };
      if (task.last) {
        // Who leaves it to the policy asks for the same again, whatever the policy has become.
        const same = { ...asked, assign: content.assign ?? task.snapshot.context.assign ?? false };
        if (sameContent(task.snapshot.context, same)) return { answer: taskView(task.last) };
        throw FabricError.refused(taskMachine.explain(task.snapshot, asked)!);
      }
      // Of new tasks only: one that is there is returned, whatever the limit has become.
      this.#checkCost(content);
      const event = { ...asked, ...(await this.#dependencies(view, given.depends_on ?? [])) };
      const create: Send = { machine: taskMachine, id: task_id, event: { ...event } };
      return { send: [create, ...(await takeKey(view, task_id, event))], answer: firstTask };
    });
  }

  #checkCost({ cost_estimate }: Pick<NewTask, 'cost_estimate'>): void {
    const { max_cost_per_task: limit } = this.#policy;
    if ((cost_estimate ?? 0) > limit) {
      throw new FabricError(
        'POLICY_VIOLATION',
        `cost_estimate: ${cost_estimate} is above the limit of ${limit} dollars for a task`,
      );
    }
  }

  /** How far the dependencies are. A final state is final; what is open and ends meanwhile is noticed after the commit. */
  async #dependencies(
    view: PlanView,
    ids: readonly string[],
  ): Promise<Pick<CreateTask, 'open_dependencies' | 'failed_dependencies'>> {
    const open: string[] = [];
    const failed: string[] = [];
    // What ended before is being archived: it could be gone before its result is handed on.
    const archivedBefore = view.now - Math.max(this.#policy.archive_after_ms, youngestTrimmedMs);
    const tasks = await Promise.all([...new Set(ids)].map(async (id) => await existing(view, id)));
    for (const { ref, snapshot } of tasks) {
      const state = snapshot.value as TaskState;
      if (snapshot.status === 'done' && (snapshot.context.completed_at ?? 0) < archivedBefore) throw archived(ref.id);
      if (state === 'completed') continue;
      open.push(ref.id);
      if (state === 'failed' || state === 'cancelled') failed.push(ref.id);
    }
    return { open_dependencies: open, failed_dependencies: failed };
  }
}

function archived(task_id: string): FabricError {
  return new FabricError(
    'TASK_NOT_FOUND',
    `the task ${task_id} ended so long ago that it is being archived; leave it out of depends_on, its result is in the witness`,
  );
}

/** A task that is failed from the start takes no key. */
async function takeKey(view: PlanView, task_id: string, event: CreateTask): Promise<Send[]> {
  const { singleton_key: key } = event;
  if (key == null) return [];
  const verdict = decide(taskMachine, taskMachine.absent as never, event);
  if (verdict.accepted && verdict.snapshot.status === 'done') return [];
  const taken = await acquire(view, {
    id: singletonSemaphore(key),
    holder: task_id,
    token: null,
    limit: 1,
    trace_id: event.trace_id,
  });
  if ('send' in taken) return [taken.send];
  const [holder] = (taken.refusal.details?.['held_by'] ?? []) as string[];
  throw new FabricError(
    'TASK_EXISTS',
    `an open task has the singleton_key ${key}: ${holder}; create this one when that has ended`,
    { singleton_key: key, task_id: holder },
  );
}
