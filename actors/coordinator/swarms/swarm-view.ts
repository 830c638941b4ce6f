/** A swarm as replies show it; what remains is of the moment `now`, milliseconds since 1970, where an hour or a day is limited. */
import { type Budget, remaining } from '../../../machines/budget.ts';
import type { Pause } from '../../../machines/pause.ts';
import type { Json } from '../../../machines/record.ts';
import {
  activeTasks,
  type SwarmContext,
  type SwarmCounters,
  type SwarmState,
} from '../../../machines/swarm/context.ts';
import { systemClock } from '../../../src/clock.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';

export interface SwarmView {
  swarm_id: string;
  registration: string;
  liveness: string;
  circuit: string;
  circuit_reasons: string[];
  circuit_opened_at: number | null;
  /** The circuit is closed for one trial. */
  on_trial: boolean;
  pause: Pause | null;
  /** Declared by the swarm itself. */
  capabilities: string[];
  /** Granted by operators. */
  grants: string[];
  cost_per_hour: number;
  model: string | null;
  reputation: number;
  max_concurrent_tasks: number | null;
  /** Slots that are taken, where slots are limited. */
  active_tasks: number;
  budget: Budget & { remaining_usd: number };
  counters: SwarmCounters;
  metadata: { [key: string]: Json };
  registered_at: number | null;
  last_seen_at: number | null;
  n: number;
  revision: number;
}

export function swarmView({ record, revision }: StoredRecord, now = systemClock.now()): SwarmView {
  const { registration, liveness, circuit } = record.snapshot.value as unknown as SwarmState;
  const swarm = record.snapshot.context as SwarmContext;
  return {
    swarm_id: record.id,
    registration,
    liveness,
    circuit,
    circuit_reasons: swarm.circuit_reasons,
    circuit_opened_at: swarm.circuit_opened_at,
    on_trial: swarm.on_trial,
    pause: swarm.pause,
    capabilities: swarm.capabilities,
    grants: swarm.grants,
    cost_per_hour: swarm.cost_per_hour,
    model: swarm.model,
    reputation: swarm.reputation,
    max_concurrent_tasks: swarm.max_concurrent_tasks,
    active_tasks: activeTasks(swarm),
    budget: { ...swarm.budget, remaining_usd: remaining(swarm.budget, now) },
    counters: swarm.counters,
    metadata: swarm.metadata,
    registered_at: swarm.registered_at,
    last_seen_at: swarm.last_seen_at,
    n: record.n,
    revision,
  };
}
