/** A task as replies show it. */
import { type Json, stateName } from '../../machines/record.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';

export interface TaskView {
  task_id: string;
  task_type: string;
  state: string;
  owner: string | null;
  priority: number;
  requires: string[];
  depends_on: string[];
  attempt: number;
  max_attempts: number;
  lease_expires_at: number | null;
  created_at: number;
  claimed_at: number | null;
  completed_at: number | null;
  result: Json;
  error: Json;
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
    attempt: task.attempt,
    max_attempts: task.max_attempts,
    lease_expires_at: task.lease_expires_at,
    created_at: task.created_at,
    claimed_at: task.claimed_at,
    completed_at: task.completed_at,
    result: task.result,
    error: task.error,
    metadata: task.metadata,
    trace_id: task.trace_id,
    n: record.n,
    revision,
  };
}
