/** What the record of the whole fabric holds. Pure JSON: null stands for "none", money is dollars. */
import type { ActorRef } from '../address.ts';
import type { Budget } from '../budget.ts';
import type { Pause } from '../pause.ts';

export const fleetStates = ['absent', 'open', 'paused'] as const;

export type FleetState = (typeof fleetStates)[number];

/** The one actor of this kind. */
export const fleetRef: ActorRef = { kind: 'fleet', id: 'fabric' };

export interface FleetContext {
  /** What all swarms together may spend; null: no limit besides their own budgets. */
  budget: Budget | null;
  /** What work holds here while there is no budget: reserved under one that was removed. A budget that comes covers it. */
  unbudgeted_usd: number;
  pause: Pause | null;
  updated_at: number;
}

export const absentFleet: FleetContext = { budget: null, unbudgeted_usd: 0, pause: null, updated_at: 0 };
