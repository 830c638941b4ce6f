/** What each accepted event writes into the fabric's context. Steps compute; whether the event is accepted is decided before. */
import { allocate, noBudget, reserve, spend, unreserve } from '../budget.ts';
import { addUsd, subtractUsd } from '../money.ts';
import { pauseOf } from '../pause.ts';
import type { FleetContext } from './context.ts';
import type { FleetEvent, FleetEventOf, FleetEventType } from './events.ts';

type Steps = {
  readonly [Type in FleetEventType]: (fleet: FleetContext, event: FleetEventOf<Type>) => Partial<FleetContext>;
};

const steps: Steps = {
  ALLOCATE: (fleet, event) => {
    if (event.budget_usd === null) return { budget: null, unbudgeted_usd: heldOf(fleet) };
    return { budget: allocate(budgetOf(fleet), event.budget_usd, event, event.at), unbudgeted_usd: 0 };
  },
  RESERVE: ({ budget, unbudgeted_usd }, { amount_usd, at }) =>
    budget ? { budget: reserve(budget, amount_usd, at) } : { unbudgeted_usd: addUsd(unbudgeted_usd, amount_usd) },
  SETTLE: (fleet, { reserved_usd, cost_usd, at }) => {
    const { budget, unbudgeted_usd } = released(fleet, reserved_usd);
    return { budget: budget && spend(budget, cost_usd, at), unbudgeted_usd };
  },
  UNRESERVE: (fleet, { amount_usd }) => released(fleet, amount_usd),
  CHARGE: ({ budget }, { amount_usd, at }) => ({ budget: budget && spend(budget, amount_usd, at) }),
  PAUSE: (_, event) => ({ pause: pauseOf(event) }),
  RESUME: () => ({ pause: null }),
};

/** The budget as an allocation finds it: what work holds while there is none is covered by the next one. */
export function budgetOf({ budget, unbudgeted_usd }: FleetContext) {
  return budget ?? { ...noBudget, reserved_usd: unbudgeted_usd };
}

/** What work holds now. */
export function heldOf({ budget, unbudgeted_usd }: FleetContext): number {
  return budget ? budget.reserved_usd : unbudgeted_usd;
}

function released({ budget, unbudgeted_usd }: FleetContext, amount: number) {
  if (budget) return { budget: unreserve(budget, amount), unbudgeted_usd };
  return { budget, unbudgeted_usd: subtractUsd(unbudgeted_usd, amount) };
}

/** The fields that an accepted event changes. */
export function stepFleet(fleet: FleetContext, event: FleetEvent): Partial<FleetContext> {
  const step = steps[event.type] as (fleet: FleetContext, event: FleetEvent) => Partial<FleetContext>;
  return { ...step(fleet, event), updated_at: event.at };
}
