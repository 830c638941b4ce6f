/** What can happen to a swarm. Amounts are US dollars with at most six decimals. */
import type { WindowLimits } from '../budget.ts';
import type { Cost } from '../cost.ts';
import type { MachineEvent } from '../machine.ts';
import type { PauseMode } from '../pause.ts';
import type { Json } from '../record.ts';
import type { CircuitReason } from './context.ts';

/** Credentials were minted: grants add up, a budget replaces the one before. May precede registration. */
export interface InviteSwarm extends MachineEvent {
  readonly type: 'INVITE';
  grants: readonly string[];
  budget_usd?: number | null;
}

/** The swarm describes itself; again to change its description. It is online from then on. */
export interface RegisterSwarm extends MachineEvent {
  readonly type: 'REGISTER';
  capabilities: readonly string[];
  cost_per_hour: number;
  model?: string | null;
  max_concurrent_tasks?: number | null;
  metadata?: { [key: string]: Json };
}

export interface GrantCapabilities extends MachineEvent {
  readonly type: 'GRANT';
  capabilities: readonly string[];
}

/** Takes capabilities away, whether they were granted or declared. */
export interface RevokeCapabilities extends MachineEvent {
  readonly type: 'REVOKE';
  capabilities: readonly string[];
}

export interface SwarmOnline extends MachineEvent {
  readonly type: 'ONLINE';
}

export interface SwarmOffline extends MachineEvent {
  readonly type: 'OFFLINE';
  /** The last sign of life before the silence. */
  last_seen_at?: number;
}

/** The budget from now on, and its limits for an hour and a day. */
export interface AllocateBudget extends MachineEvent, WindowLimits {
  readonly type: 'ALLOCATE';
  budget_usd: number;
}

/** Holds money, and for a task a slot, in the commit of what it is for. */
export interface ReserveForWork extends MachineEvent {
  readonly type: 'RESERVE';
  /** What it is for, as `<kind>:<id>`; see `SwarmContext.reservations`. */
  key: string;
  /** The token of the ownership that a task's reservation is for. */
  token: number | null;
  amount_usd: number;
}

/** The metered work is done: its cost is spent and its reservation given back. */
export interface SettleReservation extends MachineEvent {
  readonly type: 'SETTLE';
  key: string;
  cost_usd: number;
}

/** The work was given back or cancelled: its reservation is given back unspent. */
export interface ReleaseReservation extends MachineEvent {
  readonly type: 'UNRESERVE';
  key: string;
}

/** A cost that the swarm itself tracks. */
export interface ChargeCost extends MachineEvent {
  readonly type: 'CHARGE';
  amount_usd: number;
  operation: string;
  /** What the witness adds up; its `cost_usd` is `amount_usd`. */
  cost: Cost;
}

interface OutcomeOfTask extends MachineEvent {
  /** `task:<task_id>`. What is reserved under it is given back. */
  key: string;
  /** What is spent, on top of nothing: the actual cost, or the estimate where none was told. */
  cost_usd: number;
  /** Whether the claim wrote a RESERVE, and so was counted; false counts it now. */
  reserved: boolean;
  /** Policy: in which time a reputation comes half the way back to the middle; null or nothing: it never does. */
  half_life_ms?: number | null;
}

/** A task of the swarm was completed. */
export interface TaskSucceeded extends OutcomeOfTask {
  readonly type: 'SUCCESS';
}

/** An attempt of the swarm at a task failed, or its lease ran out. */
export interface TaskFailed extends OutcomeOfTask {
  readonly type: 'FAILURE';
  /** Policy: how many failures in a row open the circuit. */
  threshold: number;
}

export interface TripCircuit extends MachineEvent {
  readonly type: 'TRIP';
  reason: CircuitReason;
}

/** Forgives failures, and an exhausted budget where money is there again; never a pause. */
export interface ResetCircuit extends MachineEvent {
  readonly type: 'RESET';
  /** Close for one trial only, as after a cool-down: only what failures alone opened. Default false. */
  trial?: boolean;
  /** Policy: how long the circuit must have been open before a trial. Default 0. */
  cooldown_ms?: number;
}

/** Nothing is claimed any more; again to change the mode. */
export interface PauseSwarm extends MachineEvent {
  readonly type: 'PAUSE';
  /** Default: `pause`. */
  mode?: PauseMode;
  by: string;
  reason?: string | null;
}

export interface ResumeSwarm extends MachineEvent {
  readonly type: 'RESUME';
}

export interface UnregisterSwarm extends MachineEvent {
  readonly type: 'UNREGISTER';
}

export type SwarmEvent =
  | InviteSwarm
  | RegisterSwarm
  | GrantCapabilities
  | RevokeCapabilities
  | SwarmOnline
  | SwarmOffline
  | AllocateBudget
  | ReserveForWork
  | SettleReservation
  | ReleaseReservation
  | ChargeCost
  | TaskSucceeded
  | TaskFailed
  | TripCircuit
  | ResetCircuit
  | PauseSwarm
  | ResumeSwarm
  | UnregisterSwarm;

export type SwarmEventType = SwarmEvent['type'];

export type SwarmEventOf<Type extends SwarmEventType> = Extract<SwarmEvent, { readonly type: Type }>;
