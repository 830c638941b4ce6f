/** What a task's record holds. Pure JSON: null stands for "none", times are milliseconds since 1970, money is dollars. */
import type { Cost } from '../cost.ts';
import type { Json } from '../record.ts';

export const taskStates = [
  'absent',
  'waiting',
  'available',
  'claimed',
  'in_progress',
  'blocked',
  'completed',
  'failed',
  'cancelled',
] as const;

export type TaskState = (typeof taskStates)[number];

/** The states in which a task has an owner who works on it. */
export const ownedStates = ['claimed', 'in_progress', 'blocked'] as const satisfies readonly TaskState[];

/** The states that a task never leaves. */
export const finalStates = ['completed', 'failed', 'cancelled'] as const satisfies readonly TaskState[];

/** What is asked of the fabric with a task; it never changes. */
export interface TaskContent {
  task_type: string;
  /** Higher comes first. */
  priority: number;
  /** Capabilities that a swarm needs; without duplicates. */
  requires: string[];
  /** Ids of the tasks that come before; without duplicates. */
  depends_on: string[];
  on_dependency_failure: 'fail' | 'wait';
  max_attempts: number;
  lease_ms: number;
  /** How long a failed attempt waits before the next; 0: not at all. */
  retry_backoff_ms: number;
  /** Not available before this time. */
  not_before: number | null;
  /** Dollars that a claim reserves. */
  cost_estimate: number | null;
  metadata: { [key: string]: Json };
  /** Of the tasks of one key at most `concurrency_limit`, 1 if it is not said, are owned at a time. */
  concurrency_key: string | null;
  concurrency_limit: number | null;
  /** At most one open task of this key exists. */
  singleton_key: string | null;
  /** Whether it is offered to the best swarm first, then to the next, before all may claim it. */
  assign: boolean;
}

/** What the owner says a task has cost. */
export interface TaskCost extends Cost {
  /** The owner said nothing; what it reserved is taken for the cost. */
  estimated?: true;
}

/** A swarm that the task was assigned to. */
export interface Asked {
  swarm_id: string;
  at: number;
  /** Until when the task was kept for it. */
  until: number;
  match_score: number | null;
  combined_score: number | null;
}

/** For whom an available task is kept. It begins anew each time the task becomes available. */
export interface Assignment {
  /** null: for no one yet, or no more. */
  to: string | null;
  /** No one but `to` can claim the task before this time. */
  until: number;
  /** All it was assigned to since it became available, in this order. */
  asked: Asked[];
  /** Why it went to `to`, or to all; null before the first assignment. */
  reason: string | null;
}

/** Why the last attempt did not succeed. */
export type FailureReason =
  | 'owner_failed'
  | 'lease_expired'
  | 'owner_offline'
  | 'owner_unregistered'
  | 'owner_circuit_open'
  | 'dependency_failed';

export interface TaskContext extends TaskContent {
  created_by: string;
  trace_id: string;
  /** Those of `depends_on` that are not completed. */
  open_dependencies: string[];
  /** Those of `depends_on` that failed or were cancelled, where the task waits nevertheless. */
  failed_dependencies: string[];
  /** While waiting: the time of its `DUE`, set by `not_before` and by the back-off of a retry. */
  due_at: number | null;

  /** Who owns it; in a final state, who owned it at the end. */
  owner: string | null;
  /** The fencing token of that ownership. */
  token: number | null;
  /** How many ownerships there have been. */
  ownerships: number;
  /** The last token of each one-time owner, of the latest 32. */
  past_owners: { [swarmId: string]: number };
  /** 1 with the first claim; an attempt that was given back does not count. */
  attempt: number;
  /** The end of the lease as recorded. Renewals are not recorded, so the lease may last longer; null: no lease runs. */
  lease_expires_at: number | null;
  /** What the claim reserved on its swarm; null when it wrote no reservation there. */
  reserved_usd: number | null;
  /** What the claim reserved of the fabric-wide budget; null when it wrote no reservation there. */
  fleet_reserved_usd: number | null;

  /** How long each assignment lasts; null for a task that is not assigned. */
  assign_timeout_ms: number | null;
  /** Of the present, or while it is owned of the last, round; null for a task that is not assigned. */
  assignment: Assignment | null;

  blocker_id: string | null;
  /** Where a blocked task goes back to. */
  blocked_from: 'claimed' | 'in_progress' | null;

  result: Json;
  cost: TaskCost | null;
  /** What the last unsuccessful attempt ended with; null again once the task is completed. */
  error: Json;
  failure_reason: FailureReason | null;
  cancelled_by: string | null;
  cancel_reason: string | null;

  created_at: number;
  /** When it last became available. */
  available_at: number | null;
  /** When the present, or in a final state the last, owner claimed and started it. */
  claimed_at: number | null;
  started_at: number | null;
  blocked_at: number | null;
  /** When it was completed, failed for good, or was cancelled. */
  completed_at: number | null;
  updated_at: number;
}

/** How many one-time owners a task remembers; older ones are told NOT_OWNER instead of STALE_TOKEN. */
export const maxPastOwners = 32;

/** How many swarms a task is assigned to in one round, before it is open to all. */
export const maxAsked = 64;

export const absentTask: TaskContext = {
  task_type: '',
  priority: 0,
  requires: [],
  depends_on: [],
  on_dependency_failure: 'fail',
  max_attempts: 3,
  lease_ms: 30_000,
  retry_backoff_ms: 0,
  not_before: null,
  cost_estimate: null,
  metadata: {},
  concurrency_key: null,
  concurrency_limit: null,
  singleton_key: null,
  assign: false,
  created_by: '',
  trace_id: '',
  open_dependencies: [],
  failed_dependencies: [],
  due_at: null,
  owner: null,
  token: null,
  ownerships: 0,
  past_owners: {},
  attempt: 0,
  lease_expires_at: null,
  reserved_usd: null,
  fleet_reserved_usd: null,
  assign_timeout_ms: null,
  assignment: null,
  blocker_id: null,
  blocked_from: null,
  result: null,
  cost: null,
  error: null,
  failure_reason: null,
  cancelled_by: null,
  cancel_reason: null,
  created_at: 0,
  available_at: null,
  claimed_at: null,
  started_at: null,
  blocked_at: null,
  completed_at: null,
  updated_at: 0,
};
