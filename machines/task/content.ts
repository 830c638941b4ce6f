/** The content of a task: its defaults and limits, and what counts as the same request again. */
import { distinct, sameJson, sameNames } from '../equality.ts';
import { isUsd } from '../money.ts';
import type { Json } from '../record.ts';
import { absentTask, type TaskContent, type TaskContext, type TaskState } from './context.ts';
import type { CompleteTask, CreateTask } from './events.ts';
import { holds } from './ownership.ts';

/** What a task that says nothing of it is created with. */
export const taskDefaults = {
  priority: absentTask.priority,
  on_dependency_failure: absentTask.on_dependency_failure,
  max_attempts: absentTask.max_attempts,
  lease_ms: absentTask.lease_ms,
  retry_backoff_ms: absentTask.retry_backoff_ms,
  assign_timeout_ms: 5_000,
} as const;

/** Milliseconds. */
export const leaseLimits = { min: 1_000, max: 86_400_000 } as const;

/** The content of a CREATE with its defaults filled in and its lists without repetitions. */
export function contentOf(event: CreateTask): TaskContent {
  return {
    task_type: event.task_type,
    priority: event.priority ?? taskDefaults.priority,
    requires: distinct(event.requires ?? []),
    depends_on: distinct(event.depends_on ?? []),
    on_dependency_failure: event.on_dependency_failure ?? taskDefaults.on_dependency_failure,
    max_attempts: event.max_attempts ?? taskDefaults.max_attempts,
    lease_ms: event.lease_ms ?? taskDefaults.lease_ms,
    retry_backoff_ms: event.retry_backoff_ms ?? taskDefaults.retry_backoff_ms,
    not_before: event.not_before ?? null,
    cost_estimate: event.cost_estimate ?? null,
    metadata: event.metadata ?? {},
    concurrency_key: event.concurrency_key ?? null,
    concurrency_limit: event.concurrency_limit ?? (event.concurrency_key == null ? null : 1),
    singleton_key: event.singleton_key ?? null,
    assign: event.assign ?? false,
  };
}

/** The first field of the content that no task may have, with its value and what is allowed. */
export function invalidContent(content: TaskContent): { field: string; value: Json; allowed: string } | undefined {
  const whole = (value: number, least: number, most = Number.MAX_SAFE_INTEGER) =>
    Number.isSafeInteger(value) && value >= least && value <= most;
  const { lease_ms, max_attempts, retry_backoff_ms, not_before, cost_estimate, priority, concurrency_limit } = content;
  if (content.task_type === '') return { field: 'task_type', value: '', allowed: 'a name' };
  if (!whole(priority, Number.MIN_SAFE_INTEGER))
    return { field: 'priority', value: priority, allowed: 'a whole number' };
  if (!whole(max_attempts, 1)) return { field: 'max_attempts', value: max_attempts, allowed: 'a whole number from 1' };
  if (!whole(lease_ms, leaseLimits.min, leaseLimits.max))
    return { field: 'lease_ms', value: lease_ms, allowed: `${leaseLimits.min} to ${leaseLimits.max} milliseconds` };
  if (!whole(retry_backoff_ms, 0))
    return { field: 'retry_backoff_ms', value: retry_backoff_ms, allowed: 'milliseconds from 0' };
  if (not_before !== null && !whole(not_before, 0))
    return { field: 'not_before', value: not_before, allowed: 'milliseconds since 1970' };
  if (cost_estimate !== null && !isUsd(cost_estimate))
    return { field: 'cost_estimate', value: cost_estimate, allowed: 'dollars from 0 with at most six decimals' };
  if (concurrency_limit !== null && !(whole(concurrency_limit, 1) && content.concurrency_key !== null))
    return {
      field: 'concurrency_limit',
      value: concurrency_limit,
      allowed: 'a whole number from 1, with a concurrency_key',
    };
  return undefined;
}

/**
 * Whether a CREATE asks for the task that exists: everything but creator, trace and time is compared, lists as sets,
 * defaults filled in.
 */
export function sameContent(context: TaskContext, event: CreateTask): boolean {
  const content = contentOf(event);
  const { requires, depends_on, metadata, ...rest } = content;
  if (!sameNames(context.requires, requires) || !sameNames(context.depends_on, depends_on)) return false;
  if (!sameJson(context.metadata, metadata)) return false;
  return (Object.keys(rest) as (keyof typeof rest)[]).every((field) => context[field] === content[field]);
}

/**
 * Whether a COMPLETE repeats the completion that the task already has: same owner, same result, same cost. Where the
 * owner named no cost and its estimate was taken, naming none is the same.
 */
export function sameCompletion(state: TaskState, context: TaskContext, event: CompleteTask): boolean {
  // Under a token that the completion itself would have been accepted with, also one of before the log was restored.
  if (state !== 'completed' || !holds(context, event.by, event.token)) return false;
  if (!sameJson(context.result, event.result)) return false;
  const isEstimated = context.cost?.estimated === true && event.cost == null;
  return isEstimated || sameJson(costJson(context.cost), costJson(event.cost ?? null));
}

function costJson(cost: TaskContext['cost']): Json {
  return cost === null ? null : { ...cost };
}
