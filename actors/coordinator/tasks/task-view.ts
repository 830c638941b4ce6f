/** A task as replies show it. */
import { type Json, stateName } from '../../../machines/record.ts';
import type { TaskContext } from '../../../machines/task/context.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';

export interface TaskView {
  task_id: string;
  task_type: string;
  state: string;
  owner: string | null;
  priority: number;
  requires: string[];
  depends_on: string[];
  /** Those of `depends_on` that are not completed. */
  open_dependencies: string[];
  /** Those that failed or were cancelled, where the task waits nevertheless. */
  failed_dependencies: string[];
  on_dependency_failure: 'fail' | 'wait';
  /** When a waiting task is due, by `not_before` or after a failed attempt. */
  due_at: number | null;
  concurrency_key: string | null;
  concurrency_limit: number | null;
  singleton_key: string | null;
  blocker_id: string | null;
  /** Whether the governor looks for a swarm for it. */
  assign: boolean;
  /** Whose it is to claim, until when, who was asked, and why; null for a task that is anybody's. */
  assignment: TaskContext['assignment'];
  /** Dollars that a claim reserves. */
  cost_estimate: number | null;
  /** What it has cost; `estimated` where nobody said so. */
  cost: TaskContext['cost'];
  attempt: number;
  max_attempts: number;
  lease_ms: number;
  /** The end of the lease; in lists and events as it was before renewals, which are not recorded. */
  lease_expires_at: number | null;
  created_at: number;
  claimed_at: number | null;
  completed_at: number | null;
  result: Json;
  error: Json;
  failure_reason: string | null;
  metadata: { [key: string]: Json };
  trace_id: string;
  /** The number of the last transition. */
  n: number;
  /** The stream sequence of the last record. */
  revision: number;
}

export function taskView({ record, revision }: StoredRecord): TaskView {
  const task = record.snapshot.context as TaskContext;
  return {
    task_id: record.id,
    task_type: task.task_type,
    state: stateName(record.snapshot.value),
    owner: task.owner,
    priority: task.priority,
    requires: task.requires,
    depends_on: task.depends_on,
    open_dependencies: task.open_dependencies,
    failed_dependencies: task.failed_dependencies,
    on_dependency_failure: task.on_dependency_failure,
    due_at: task.due_at,
    concurrency_key: task.concurrency_key,
    concurrency_limit: task.concurrency_limit,
    singleton_key: task.singleton_key,
    blocker_id: task.blocker_id,
    assign: task.assign ?? false,
    assignment: task.assignment ?? null,
    cost_estimate: task.cost_estimate,
    cost: task.cost,
    attempt: task.attempt,
    max_attempts: task.max_attempts,
    lease_ms: task.lease_ms,
    lease_expires_at: task.lease_expires_at,
    created_at: task.created_at,
    claimed_at: task.claimed_at,
    completed_at: task.completed_at,
    result: task.result,
    error: task.error,
    failure_reason: task.failure_reason,
    metadata: task.metadata,
    trace_id: task.trace_id,
    n: record.n,
    revision,
  };
}
