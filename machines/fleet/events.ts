/** What can happen to the fabric as a whole. Amounts are US dollars with at most six decimals. */
import type { WindowLimits } from '../budget.ts';
import type { MachineEvent } from '../machine.ts';
import type { PauseMode } from '../pause.ts';

export interface AllocateFleetBudget extends MachineEvent, WindowLimits {
  readonly type: 'ALLOCATE';
  /** null: no fabric-wide budget from now on. */
  budget_usd: number | null;
  by: string;
}

/** Holds money in the commit of what it is for; the task's own record says how much it holds here. */
export interface ReserveOfFleet extends MachineEvent {
  readonly type: 'RESERVE';
  swarm_id: string;
  /** null for anything but a task. */
  task_id: string | null;
  amount_usd: number;
}

/** The work is done: its cost is spent, and what it reserved here, 0 for nothing, is given back. */
export interface SettleOfFleet extends MachineEvent {
  readonly type: 'SETTLE';
  reserved_usd: number;
  cost_usd: number;
}

/** The work was given back or cancelled: what it reserved is given back unspent. */
export interface UnreserveOfFleet extends MachineEvent {
  readonly type: 'UNRESERVE';
  amount_usd: number;
}

/** A cost that a swarm tracks by itself. */
export interface ChargeFleet extends MachineEvent {
  readonly type: 'CHARGE';
  swarm_id: string;
  amount_usd: number;
}

/** Nothing is claimed any more; again to change the mode. */
export interface PauseFleet extends MachineEvent {
  readonly type: 'PAUSE';
  /** Default: `pause`. */
  mode?: PauseMode;
  by: string;
  reason?: string | null;
}

export interface ResumeFleet extends MachineEvent {
  readonly type: 'RESUME';
  by: string;
}

export type FleetEvent =
  | AllocateFleetBudget
  | ReserveOfFleet
  | SettleOfFleet
  | UnreserveOfFleet
  | ChargeFleet
  | PauseFleet
  | ResumeFleet;

export type FleetEventType = FleetEvent['type'];

export type FleetEventOf<Type extends FleetEventType> = Extract<FleetEvent, { readonly type: Type }>;
