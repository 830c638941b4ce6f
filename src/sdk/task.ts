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
  /** 1 with the first claim. */
  readonly attempt: number;
  readonly max_attempts: number;
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

/** A task that this swarm owns, under a fencing token: `task.complete` and the like are refused once it is stale. */
export interface OwnedTask extends Task {
  readonly token: number;
}

/** The answer of `task.claim`. Losing a race is an answer, not an error. */
export type ClaimAnswer =
  | { readonly claimed: true; readonly task: Task; readonly token: number }
  | { readonly claimed: false; readonly reason: string; readonly owner?: string };
