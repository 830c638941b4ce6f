/**
 * What can happen to a task. An event carries every fact that the decision depends on, such as the state of the swarm
 * that claims, so that the decision can be made again later from the record alone.
 */
import type { MachineEvent } from '../machine.ts';
import type { Json } from '../record.ts';
import type { CircuitReason, CircuitState, LivenessState, RegistrationState } from '../swarm/context.ts';
import type { TaskContent, TaskCost } from './context.ts';

/** Content that is left out takes its default (`taskDefaults`). */
export interface CreateTask extends MachineEvent, Partial<TaskContent> {
  readonly type: 'CREATE';
  task_type: string;
  by: string;
  trace_id: string;
  /** Those of `depends_on` that are not completed at the time of creation. */
  open_dependencies: readonly string[];
  /** Those of `open_dependencies` that have already failed or were cancelled. */
  failed_dependencies?: readonly string[];
  /** Policy: how long each assignment of a task with `assign` lasts. */
  assign_timeout_ms?: number | null;
}

export interface DependencyDone extends MachineEvent {
  readonly type: 'DEPENDENCY_DONE';
  dependency: string;
}

export interface DependencyFailed extends MachineEvent {
  readonly type: 'DEPENDENCY_FAILED';
  dependency: string;
  reason: string;
}

/** The time that a waiting task waits for has come. A timer that is early or of the past changes nothing. */
export interface TaskDue extends MachineEvent {
  readonly type: 'DUE';
}

/** What a claim depends on at the swarm, as read with the linearizable read of its record at `revision`. */
export interface SwarmFacts {
  registration: RegistrationState;
  liveness: LivenessState;
  circuit: CircuitState;
  circuit_reasons: readonly CircuitReason[];
  /** Declared and granted ones. */
  capabilities: readonly string[];
  /** The stream sequence of the swarm's record; 0 when there is none. */
  revision: number;
}

export interface ClaimTask extends MachineEvent {
  readonly type: 'CLAIM';
  owner: string;
  /** The epoch of the log. */
  epoch: number;
  swarm: SwarmFacts;
  /** Policy, from 0 to 1. */
  min_capability_match: number;
  /** What the same commit reserves on the swarm; null when it writes no reservation. */
  reserve_usd: number | null;
  /** What it reserves of the fabric-wide budget; null when it writes no reservation there. */
  fleet_reserve_usd?: number | null;
}

/** An available task is kept for one swarm for a while, or opened to all. */
export interface AssignTask extends MachineEvent {
  readonly type: 'ASSIGN';
  /** null: from now on everyone may claim it. */
  to: string | null;
  /** The end of the while; means nothing without `to`. */
  until: number;
  match_score?: number | null;
  combined_score?: number | null;
  reason: string;
  /** For whom the task is kept, and why that swarm cannot claim it any more; without it its while has to be over. */
  passed_over?: PassedOver | null;
}

/** A swarm that cannot claim what is kept for it. */
export interface PassedOver {
  swarm_id: string;
  why: PassingOver;
}

export const passingsOver = ['unregistered', 'offline', 'circuit_open'] as const;
export type PassingOver = (typeof passingsOver)[number];

interface ByOwner extends MachineEvent {
  by: string;
  token: number;
}

export interface StartTask extends ByOwner {
  readonly type: 'START';
}

export interface CompleteTask extends MachineEvent {
  readonly type: 'COMPLETE';
  by: string;
  token?: number;
  result: Json;
  cost?: TaskCost | null;
}

export interface FailTask extends ByOwner {
  readonly type: 'FAIL';
  error: Json;
  /** False: no further attempt, whatever is left. Default true. */
  retryable?: boolean;
}

export interface ReleaseTask extends ByOwner {
  readonly type: 'RELEASE';
}

export interface LeaseExpired extends MachineEvent {
  readonly type: 'LEASE_EXPIRED';
  token: number;
  /** The deadline after the last renewal, which is not on record. */
  lease_expires_at: number;
}

export interface OwnerLost extends MachineEvent {
  readonly type: 'OWNER_LOST';
  owner: string;
  /** An attempt is given back where the owner unregistered or its circuit opened, not where it went offline. */
  reason: 'offline' | 'unregistered' | 'circuit_open';
}

export interface BlockTask extends ByOwner {
  readonly type: 'BLOCK';
  blocker_id: string;
}

export interface UnblockTask extends MachineEvent {
  readonly type: 'UNBLOCK';
  blocker_id: string;
}

export interface CancelTask extends MachineEvent {
  readonly type: 'CANCEL';
  by: string;
  reason: string | null;
}

export type TaskEvent =
  | CreateTask
  | DependencyDone
  | DependencyFailed
  | TaskDue
  | AssignTask
  | ClaimTask
  | StartTask
  | CompleteTask
  | FailTask
  | ReleaseTask
  | LeaseExpired
  | OwnerLost
  | BlockTask
  | UnblockTask
  | CancelTask;

export type TaskEventType = TaskEvent['type'];

export type TaskEventOf<Type extends TaskEventType> = Extract<TaskEvent, { readonly type: Type }>;
