/** A budget as replies show it. */
import { type Budget, remaining } from '../../machines/budget.ts';

export interface BudgetView extends Budget {
  /** What may be reserved or charged at the time of the reply: the least of the total and of the windows. */
  remaining_usd: number;
}

/** `now`: milliseconds since 1970. */
export function budgetView(budget: Budget, now: number): BudgetView {
  return { ...budget, remaining_usd: remaining(budget, now) };
}
