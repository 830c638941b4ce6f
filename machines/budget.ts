/**
 * The arithmetic of budgets: reserve, then settle. What is reserved and spent together never exceeds what is allocated,
 * whatever happens in whatever order; a cost that does is taken as far as the money goes, and the rest is overrun. A
 * window of an hour or a day limits besides what is newly reserved or charged within it.
 */
import { addUsd, subtractUsd } from './money.ts';

/** A limit for one hour or one day by UTC, and what is spent of it. Reservations count in full, whenever they were made. */
export interface SpendingWindow {
  limit_usd: number;
  /** The hour or day that `spent_usd` is of; milliseconds since 1970. */
  began_at: number;
  spent_usd: number;
}

/** Always 0 <= reserved + spent <= allocated; what a cost exceeded it by is in `overrun_usd`. */
export interface Budget {
  allocated_usd: number;
  reserved_usd: number;
  spent_usd: number;
  overrun_usd: number;
  /** null: no limit for an hour. */
  hour: SpendingWindow | null;
  /** null: no limit for a day. */
  day: SpendingWindow | null;
}

/** What an allocation may say of the windows: undefined leaves one as it is, null removes it. */
export interface WindowLimits {
  per_hour_usd?: number | null;
  per_day_usd?: number | null;
}

export const noBudget: Budget = {
  allocated_usd: 0,
  reserved_usd: 0,
  spent_usd: 0,
  overrun_usd: 0,
  hour: null,
  day: null,
};

const lengths = { hour: 3_600_000, day: 86_400_000 } as const;

/**
 * What can be reserved or charged: what is neither spent nor reserved, at the time `at` no more than the windows leave.
 * Without a time only the total counts, which is negative only for an allocation that does not cover what is gone.
 */
export function remaining(budget: Budget, at?: number): number {
  const total = subtractUsd(subtractUsd(budget.allocated_usd, budget.spent_usd), budget.reserved_usd);
  if (at === undefined) return total;
  return Math.min(total, leftOfWindow(budget, 'hour', at), leftOfWindow(budget, 'day', at));
}

/** Which of the limits leaves least at this time. */
export function tightestLimit(budget: Budget, at: number): 'total' | 'hour' | 'day' {
  const total = remaining(budget);
  const hour = leftOfWindow(budget, 'hour', at);
  const day = leftOfWindow(budget, 'day', at);
  if (total <= hour && total <= day) return 'total';
  return hour <= day ? 'hour' : 'day';
}

/** When the hour or day that `at` is in ends and its limit is whole again. */
export function windowEnd(which: 'hour' | 'day', at: number): number {
  return beginning(which, at) + lengths[which];
}

/** Whether there was money and all of it is spent. */
export function isExhausted(budget: Budget): boolean {
  return budget.allocated_usd > 0 && budget.spent_usd >= budget.allocated_usd;
}

/** Another allocation; what is reserved and spent stays, also within the windows that stay. */
export function allocate(budget: Budget, allocated_usd: number, limits: WindowLimits, at: number): Budget {
  return {
    ...budget,
    allocated_usd,
    hour: limited(budget, 'hour', limits.per_hour_usd, at),
    day: limited(budget, 'day', limits.per_day_usd, at),
  };
}

/** Holds an amount, which must be covered by what remains at this time. */
export function reserve(budget: Budget, amount: number, at: number): Budget {
  return { ...turned(budget, at), reserved_usd: addUsd(budget.reserved_usd, amount) };
}

/** Gives an amount back that was reserved. */
export function unreserve(budget: Budget, amount: number): Budget {
  return { ...budget, reserved_usd: subtractUsd(budget.reserved_usd, amount) };
}

/** Spends a cost out of what remains of the total; what exceeds it is overrun. Windows count what was spent, and limit nothing. */
export function spend(budget: Budget, cost: number, at: number): Budget {
  const covered = Math.min(cost, remaining(budget));
  const excess = subtractUsd(cost, covered);
  const { hour, day } = turned(budget, at);
  return {
    ...budget,
    spent_usd: addUsd(budget.spent_usd, covered),
    overrun_usd: addUsd(budget.overrun_usd, excess),
    hour: hour && { ...hour, spent_usd: addUsd(hour.spent_usd, covered) },
    day: day && { ...day, spent_usd: addUsd(day.spent_usd, covered) },
  };
}

function leftOfWindow(budget: Budget, which: 'hour' | 'day', at: number): number {
  const window = budget[which] && windowAt(budget[which], which, at);
  if (!window) return Number.POSITIVE_INFINITY;
  return Math.max(0, subtractUsd(subtractUsd(window.limit_usd, window.spent_usd), budget.reserved_usd));
}

/** The budget with windows that begin where `at` is. */
function turned(budget: Budget, at: number): Budget {
  const { hour, day } = budget;
  return { ...budget, hour: hour ? windowAt(hour, 'hour', at) : null, day: day ? windowAt(day, 'day', at) : null };
}

/** A later hour or day begins with nothing spent. A clock that went back changes nothing: the later window goes on. */
function windowAt(window: SpendingWindow, which: 'hour' | 'day', at: number): SpendingWindow {
  const began_at = beginning(which, at);
  return began_at > window.began_at ? { ...window, began_at, spent_usd: 0 } : window;
}

function limited(
  budget: Budget,
  which: 'hour' | 'day',
  limit_usd: number | null | undefined,
  at: number,
): SpendingWindow | null {
  const present = budget[which];
  if (limit_usd === undefined) return present ?? null;
  if (limit_usd === null) return null;
  if (!present) return { limit_usd, began_at: beginning(which, at), spent_usd: 0 };
  return { ...windowAt(present, which, at), limit_usd };
}

function beginning(which: 'hour' | 'day', at: number): number {
  return Math.floor(at / lengths[which]) * lengths[which];
}
