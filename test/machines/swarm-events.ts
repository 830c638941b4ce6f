/** Events of a swarm with everything filled in that a test does not care about. */
import type { CircuitReason } from '../../machines/swarm/context.ts';
import type {
  AllocateBudget,
  PauseSwarm,
  RegisterSwarm,
  ReserveForWork,
  ResetCircuit,
  SwarmEvent,
  TaskFailed,
  TaskSucceeded,
} from '../../machines/swarm/events.ts';

export const t0 = 1_700_000_000_000;

export const register = (fields: Partial<RegisterSwarm> = {}): RegisterSwarm => ({
  type: 'REGISTER',
  at: t0,
  capabilities: ['code:ts'],
  cost_per_hour: 1.5,
  ...fields,
});

export const reserve = (key: string, amount_usd = 0, fields: Partial<ReserveForWork> = {}): ReserveForWork => ({
  type: 'RESERVE',
  at: t0 + 1,
  key,
  token: 1,
  amount_usd,
  ...fields,
});

export const success = (key: string, cost_usd = 0, fields: Partial<TaskSucceeded> = {}): TaskSucceeded => ({
  type: 'SUCCESS',
  at: t0 + 2,
  key,
  cost_usd,
  reserved: true,
  ...fields,
});

export const failure = (key: string, fields: Partial<TaskFailed> = {}): TaskFailed => ({
  type: 'FAILURE',
  at: t0 + 2,
  key,
  cost_usd: 0,
  reserved: true,
  threshold: 3,
  ...fields,
});

export const allocate = (budget_usd: number, fields: Partial<AllocateBudget> = {}): AllocateBudget => ({
  type: 'ALLOCATE',
  at: t0 + 1,
  budget_usd,
  ...fields,
});
export const charge = (amount_usd: number, at = t0 + 2) =>
  ({ type: 'CHARGE', at, amount_usd, operation: 'llm.call', cost: { cost_usd: amount_usd } }) as const;
export const settle = (key: string, cost_usd: number) => ({ type: 'SETTLE', at: t0 + 3, key, cost_usd }) as const;
export const unreserve = (key: string) => ({ type: 'UNRESERVE', at: t0 + 3, key }) as const;
export const grant = (...capabilities: string[]) => ({ type: 'GRANT', at: t0, capabilities }) as const;
export const revoke = (...capabilities: string[]) => ({ type: 'REVOKE', at: t0 + 4, capabilities }) as const;
export const trip = (reason: CircuitReason) => ({ type: 'TRIP', at: t0 + 4, reason }) as const;
export const reset = (trial = false, fields: Partial<ResetCircuit> = {}): ResetCircuit => ({
  type: 'RESET',
  at: t0 + 5,
  trial,
  ...fields,
});
export const pause = (fields: Partial<PauseSwarm> = {}): PauseSwarm => ({
  type: 'PAUSE',
  at: t0 + 6,
  by: 'operator',
  ...fields,
});
export const invite = (grants: string[], budget_usd: number | null = null): SwarmEvent => ({
  type: 'INVITE',
  at: t0 - 1,
  grants,
  budget_usd,
});

/** An event that says no more than its type. */
export const plain = (type: 'ONLINE' | 'OFFLINE' | 'RESUME' | 'UNREGISTER', at = t0 + 6): SwarmEvent => ({
  type,
  at,
});
