/** What operators do with all swarms at once: pause, drain, resume. One record says it, whatever the number of swarms. */
import { type FleetContext, fleetRef } from '../../machines/fleet/context.ts';
import type { FleetEvent } from '../../machines/fleet/events.ts';
import { fleetMachine } from '../../machines/fleet/machine.ts';
import { stateName } from '../../machines/record.ts';
import type { Plan, PlanView, Send } from '../../src/store/actor-store.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { type BudgetView, budgetView } from './budget-view.ts';
import type { GovernorParts } from './part.ts';
import type { Offered } from './swarm-changes.ts';
import type { PauseWish } from './swarm-controls.ts';

export interface FleetView {
  state: 'open' | 'paused';
  /** Null where no budget holds for all swarms together. */
  budget: BudgetView | null;
  pause: FleetContext['pause'];
  updated_at: number | null;
  n: number;
  revision: number;
}

export const fleetLane = 'fleet';

export class FleetControls {
  readonly #parts: Pick<GovernorParts, 'store' | 'lanes' | 'newId' | 'clock'>;

  constructor(parts: Pick<GovernorParts, 'store' | 'lanes' | 'newId' | 'clock'>) {
    this.#parts = parts;
  }

  async get(): Promise<FleetView> {
    const { store, clock } = this.#parts;
    return fleetView(await store.read(fleetRef), clock.now());
  }

  /** No swarm claims anything until it is resumed. */
  async pause(by: string, { mode, reason }: PauseWish): Promise<FleetView> {
    return await this.#change(by, ({ state, pause }) => {
      if (state === 'paused' && pause?.mode === mode && pause.reason === (reason ?? null)) return undefined;
      return { type: 'PAUSE', mode, by, ...(reason === undefined ? {} : { reason }) };
    });
  }

  async resume(by: string): Promise<FleetView> {
    return await this.#change(by, ({ state }) => (state === 'paused' ? { type: 'RESUME', by } : undefined));
  }

  async #change(by: string, decide: (fleet: SeenFleet) => Offered<FleetEvent> | undefined): Promise<FleetView> {
    const { store, lanes, newId } = this.#parts;
    const plan: Plan<FleetView> = async (view) => {
      const fleet = await seeFleet(view);
      const event = decide(fleet);
      if (!event) return { answer: fleetView(fleet.last, view.now) };
      return { send: [toFleet(event)], answer: ([changed]) => fleetView(changed, view.now) };
    };
    return await lanes.run(fleetLane, async () => await store.transact({ by, trace_id: newId() }, plan));
  }
}

/** The fleet as a plan sees it. */
export interface SeenFleet {
  readonly state: FleetView['state'];
  readonly budget: FleetContext['budget'];
  readonly pause: FleetContext['pause'];
  readonly last: StoredRecord | undefined;
}

export async function seeFleet(view: PlanView): Promise<SeenFleet> {
  const { last, snapshot } = await view.get(fleetMachine, fleetRef.id);
  const { budget, pause } = snapshot.context;
  return { state: stateOf(stateName(snapshot.value)), budget, pause, last };
}

export function toFleet(event: Offered<FleetEvent>): Send {
  return { machine: fleetMachine, id: fleetRef.id, event };
}

/** Without a record nothing holds for all swarms. `now`: milliseconds since 1970. */
export function fleetView(stored: StoredRecord | undefined, now: number): FleetView {
  if (!stored) return { state: 'open', budget: null, pause: null, updated_at: null, n: 0, revision: 0 };
  const { record, revision } = stored;
  const { budget, pause, updated_at } = record.snapshot.context as FleetContext;
  const state = stateOf(stateName(record.snapshot.value));
  return { state, budget: budget && budgetView(budget, now), pause, updated_at, n: record.n, revision };
}

function stateOf(name: string): FleetView['state'] {
  return name === 'paused' ? 'paused' : 'open';
}
