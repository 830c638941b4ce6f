/** What a swarm's record holds. Pure JSON: null stands for "none", times are milliseconds since 1970, money is dollars. */
import { type Budget, noBudget } from '../budget.ts';
import type { Pause } from '../pause.ts';
import type { Json, StateValue } from '../record.ts';

export const registrationStates = ['absent', 'invited', 'registered', 'retired'] as const;
export type RegistrationState = (typeof registrationStates)[number];

export const livenessStates = ['offline', 'online'] as const;
export type LivenessState = (typeof livenessStates)[number];

export const circuitStates = ['closed', 'open'] as const;
export type CircuitState = (typeof circuitStates)[number];

/** The three regions, which change independently; `stateName` reads for example `registered.online.closed`. */
export interface SwarmState {
  registration: RegistrationState;
  liveness: LivenessState;
  circuit: CircuitState;
  [region: string]: StateValue;
}

/** Why a circuit is open: too many failures in a row, no money left, or an operator's pause. */
export type CircuitReason = 'failures' | 'budget' | 'paused';

/** Money, and for a task a slot, that is held until the work it is for has ended. */
export interface Reservation {
  /** The fencing token of the task's ownership; null for anything but a task. */
  token: number | null;
  amount_usd: number;
}

export interface SwarmCounters {
  /** Claims: counted when they are reserved, or else when their outcome is known. */
  claimed: number;
  completed: number;
  failed: number;
  consecutive_failures: number;
}

export interface SwarmContext {
  /** What the swarm declared of itself; with `grants` what it can do. */
  capabilities: string[];
  /** What operators granted, privileges above all. */
  grants: string[];
  /** US dollars; 0 for a free swarm. */
  cost_per_hour: number;
  model: string | null;
  /** 0 to 1, moved by outcomes, as of `reputation_at`; `reputationAt` says what has become of it since. */
  reputation: number;
  /** The last outcome; null before the first. */
  reputation_at: number | null;
  /** How many tasks it may own at once; null: any number. */
  max_concurrent_tasks: number | null;
  /** By what each is for, as `<kind>:<id>`, such as `task:review-pr-123`. */
  reservations: { [key: string]: Reservation };
  budget: Budget;
  counters: SwarmCounters;
  /** The circuit is open as long as there is one. */
  circuit_reasons: CircuitReason[];
  /** When the circuit last opened, or, while it was open, tripped for another reason; null while it is closed. */
  circuit_opened_at: number | null;
  /** What the reason `paused` stands for. */
  pause: Pause | null;
  /** Closed for one trial: one task at a time, and one failure opens the circuit again. */
  on_trial: boolean;
  metadata: { [key: string]: Json };
  invited_at: number | null;
  registered_at: number | null;
  retired_at: number | null;
  /** The last sign of life that is on record; later ones are not recorded. */
  last_seen_at: number | null;
  updated_at: number;
}

/** A swarm of which nothing is known yet is trusted half. */
export const initialReputation = 0.5;

export const absentSwarm: SwarmContext = {
  capabilities: [],
  grants: [],
  cost_per_hour: 0,
  model: null,
  reputation: initialReputation,
  reputation_at: null,
  max_concurrent_tasks: null,
  reservations: {},
  budget: noBudget,
  counters: { claimed: 0, completed: 0, failed: 0, consecutive_failures: 0 },
  circuit_reasons: [],
  circuit_opened_at: null,
  pause: null,
  on_trial: false,
  metadata: {},
  invited_at: null,
  registered_at: null,
  retired_at: null,
  last_seen_at: null,
  updated_at: 0,
};

/** What a swarm can do: what it declared and what it was granted. */
export function effectiveCapabilities(swarm: SwarmContext): string[] {
  return [...new Set([...swarm.capabilities, ...swarm.grants])];
}

/** Whether a reservation is for a task, and so takes one of the slots. */
export function isForTask(key: string): boolean {
  return key.startsWith('task:');
}

/** How many slots are taken. */
export function activeTasks(swarm: SwarmContext): number {
  return Object.keys(swarm.reservations).filter(isForTask).length;
}
