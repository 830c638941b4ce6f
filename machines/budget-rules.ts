/** What is refused of money, whoever's budget it is: amounts that are none, allocations below what is gone, and more than remains. */
import { type Budget, remaining, tightestLimit, type WindowLimits, windowEnd } from './budget.ts';
import { isUsd } from './money.ts';
import { type PauseMode, pauseModes } from './pause.ts';
import { either, type Rule } from './rules.ts';

/** A field that must hold an amount of money. */
export function amountRule<Context, Event>(field: string, read: (event: Event) => unknown): Rule<Context, Event> {
  return {
    code: 'INVALID_REQUEST',
    broken: (_, event) => !isUsd(read(event)),
    message: (_, event) => `${field} is ${String(read(event))}; allowed: dollars from 0 with at most six decimals`,
    details: () => ({ field }),
  };
}

/** The limits of an allocation are amounts, or none. */
export const validWindows: readonly Rule<unknown, WindowLimits>[] = [
  amountRule('per_hour_usd', (event) => event.per_hour_usd ?? 0),
  amountRule('per_day_usd', (event) => event.per_day_usd ?? 0),
];

/** A budget cannot be less than what is gone from it already. */
export function coversTheGone<Context>(
  budgetOf: (context: Context) => Budget,
): Rule<Context, { budget_usd?: number | null }> {
  return {
    code: 'POLICY_VIOLATION',
    broken: (context, event) =>
      event.budget_usd != null && remaining({ ...budgetOf(context), allocated_usd: event.budget_usd }) < 0,
    message: (context, event) => {
      const { spent_usd, reserved_usd } = budgetOf(context);
      return (
        `a budget of ${event.budget_usd} dollars does not cover the ${spent_usd} spent and ` +
        `${reserved_usd} reserved; allocate at least their sum`
      );
    },
    details: (context) => {
      const { spent_usd, reserved_usd } = budgetOf(context);
      return { spent_usd, reserved_usd };
    },
  };
}

/** What is reserved or charged must remain, of the total and of every window. `budgetOf` says null where nothing limits. */
export function moneyIsThere<Context>(
  budgetOf: (context: Context) => Budget | null,
  whose: string,
): Rule<Context, { readonly at: number; amount_usd: number }> {
  return {
    code: 'BUDGET_EXHAUSTED',
    broken: (context, { amount_usd, at }) => {
      const budget = budgetOf(context);
      return budget !== null && amount_usd > remaining(budget, at);
    },
    message: (context, { amount_usd, at }) => {
      const budget = budgetOf(context);
      return budget === null ? '' : shortage(budget, amount_usd, at, whose);
    },
    details: (context, { at }) => {
      const budget = budgetOf(context);
      return budget === null ? {} : { ...budget, remaining_usd: remaining(budget, at) };
    },
  };
}

function shortage(budget: Budget, amount: number, at: number, whose: string): string {
  const limit = tightestLimit(budget, at);
  const window = limit === 'total' ? null : budget[limit];
  const asked = `${amount} dollars are asked and ${remaining(budget, at)} of `;
  if (limit === 'total' || window === null) {
    return `${asked}${budget.allocated_usd} ${whose} remain; an operator can allocate more`;
  }
  const end = new Date(windowEnd(limit, Math.max(at, window.began_at))).toISOString();
  return `${asked}${window.limit_usd} per ${limit} ${whose} remain; the next ${limit} begins at ${end}, or an operator can raise the limit`;
}

export const validPauseMode: Rule<unknown, { mode?: PauseMode }> = {
  code: 'INVALID_REQUEST',
  broken: (_, { mode }) => mode !== undefined && !pauseModes.includes(mode),
  message: (_, { mode }) => `mode is ${JSON.stringify(mode)}; allowed: ${either(pauseModes)}`,
  details: () => ({ field: 'mode' }),
};
