/**
 * The arithmetic of budgets: reserve, then settle. What is reserved and spent together never exceeds what is allocated;
 * a cost that does is taken as far as the money goes, and the rest is recorded as overrun.
 */
import { addUsd, maxUsd, subtractUsd } from '../money.ts';
import type { SwarmBudget } from './context.ts';

/** What is neither spent nor reserved. */
export function remaining(budget: SwarmBudget): number {
  return subtractUsd(subtractUsd(budget.allocated_usd, budget.spent_usd), budget.reserved_usd);
}

/** Whether there was money and all of it is spent. */
export function isExhausted(budget: SwarmBudget): boolean {
  return budget.allocated_usd > 0 && budget.spent_usd >= budget.allocated_usd;
}

/** Holds an amount, which must be covered by what remains. */
export function reserve(budget: SwarmBudget, amount: number): SwarmBudget {
  return { ...budget, reserved_usd: addUsd(budget.reserved_usd, amount) };
}

/** Gives an amount back that was reserved. */
export function unreserve(budget: SwarmBudget, amount: number): SwarmBudget {
  return { ...budget, reserved_usd: subtractUsd(budget.reserved_usd, amount) };
}

/** Spends a cost out of what remains; what exceeds it is overrun. */
export function spend(budget: SwarmBudget, cost: number): SwarmBudget {
  const covered = Math.min(cost, remaining(budget));
  const excess = subtractUsd(cost, covered);
  return {
    ...budget,
    spent_usd: addUsd(budget.spent_usd, covered),
    overrun_usd: Math.min(maxUsd, addUsd(budget.overrun_usd, excess)),
  };
}
