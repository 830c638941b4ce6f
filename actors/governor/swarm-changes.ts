/**
 * One event for one swarm on someone's behalf, decided on what is on record. What would change nothing writes nothing, so
 * that the same request again answers the same.
 */
import { formatRef } from '../../machines/address.ts';
import type { SwarmContext, SwarmState } from '../../machines/swarm/context.ts';
import type { SwarmEvent } from '../../machines/swarm/events.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { FabricError } from '../../src/errors.ts';
import type { Plan, PlanView, Send } from '../../src/store/actor-store.ts';
import type { ActorState } from '../../src/store/reading.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import type { GovernorParts } from './part.ts';

/** An event without what the store adds. */
export type Offered<Event> = Event extends unknown ? Omit<Event, 'at' | 'id'> : never;

/** A swarm as a plan sees it. */
export interface SeenSwarm {
  readonly swarm_id: string;
  readonly exists: boolean;
  readonly state: SwarmState;
  readonly context: SwarmContext;
  /** Milliseconds since 1970: the time of the decision. */
  readonly now: number;
}

/** The event that changes the swarm as wished; undefined when it is so already. It refuses by throwing a FabricError. */
export type Change = (swarm: SeenSwarm) => Offered<SwarmEvent> | undefined;

export type ChangeParts = Pick<GovernorParts, 'store' | 'lanes' | 'newId'>;

export async function seeSwarm(view: PlanView, swarm_id: string): Promise<SeenSwarm & { last: ActorState['last'] }> {
  const { last, snapshot } = await view.get(swarmMachine, swarm_id);
  const { value, context } = snapshot;
  return { swarm_id, exists: last !== undefined, state: value as SwarmState, context, now: view.now, last };
}

/**
 * Answers with the swarm's last record. @throws FabricError SWARM_NOT_FOUND unless it `mayBeNew`; what `change` or the
 * machine refuses with
 */
export async function changeSwarm(
  parts: ChangeParts,
  by: string,
  swarm_id: string,
  change: Change,
  options: { readonly mayBeNew?: boolean } = {},
): Promise<StoredRecord> {
  const plan: Plan<StoredRecord> = async (view) => {
    const swarm = await seeSwarm(view, swarm_id);
    if (!swarm.exists && !options.mayBeNew) throw unknownSwarm(swarm_id);
    const event = change(swarm);
    if (!event) return { answer: swarm.last as StoredRecord };
    return { send: [toSwarm(swarm_id, event)], answer: ([changed]) => changed! };
  };
  const lane = formatRef({ kind: swarmMachine.kind, id: swarm_id });
  const transact = async () => await parts.store.transact({ by, trace_id: parts.newId() }, plan);
  return await parts.lanes.run(lane, transact);
}

export function toSwarm(swarm_id: string, event: Offered<SwarmEvent>): Send {
  return { machine: swarmMachine, id: swarm_id, event };
}

export function unknownSwarm(swarm_id: string): FabricError {
  return new FabricError('SWARM_NOT_FOUND', `there is no swarm ${swarm_id}; it has to register first`);
}
