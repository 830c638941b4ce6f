/** Tasks as the fabric's replies show them to clients. */
import type { Json } from '../../machines/record.ts';

/** Times are milliseconds since 1970. */
export interface Task {
  readonly task_id: string;
  readonly task_type: string;
  /** `waiting`, `available`, `claimed`, `in_progress`, `blocked`, `completed`, `failed` or `cancelled`. */
  readonly state: string;
  readonly owner: string | null;
  /** Higher comes first. */
  readonly priority: number;
  readonly requires: readonly string[];
  readonly depends_on: readonly string[];
  /** Those of `depends_on` that are not completed. */
  readonly open_dependencies: readonly string[];
  /** 1 with the first claim. */
  readonly attempt: number;
  readonly max_attempts: number;
  /** How long a lease is, milliseconds, where the fabric says so. */
  readonly lease_ms?: number;
  readonly lease_expires_at: number | null;
  readonly created_at: number;
  readonly claimed_at: number | null;
  readonly completed_at: number | null;
  readonly result: Json;
  readonly error: Json;
  readonly metadata: { readonly [key: string]: Json };
  readonly trace_id: string;
  /** Counts the task's transitions. */
  readonly n: number;
  /** The stream sequence of the task's last record; grows with every transition. */
  readonly revision: number;
}

/** The results of the tasks that a task depends on, by their ids. */
export interface DependencyResults {
  readonly [task_id: string]: Json;
}

/** A task that this swarm owns, under a fencing token: `task.complete` and the like are refused once it is stale. */
export interface OwnedTask extends Task {
  readonly token: number;
  /** Empty for a task that depends on none. */
  readonly dependency_results: DependencyResults;
}

/** The answer of `task.claim`. Losing a race is an answer, not an error. */
export type ClaimAnswer =
  | {
      readonly claimed: true;
      readonly task: Task;
      readonly token: number;
      readonly dependency_results?: DependencyResults;
    }
  | { readonly claimed: false; readonly reason: string; readonly owner?: string };

/** The answer of `task.next`; without a task when none became available in time. */
export type NextAnswer =
  | { readonly task: Task; readonly token: number; readonly dependency_results?: DependencyResults }
  | { readonly task: null };
