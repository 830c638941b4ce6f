/** The fields that requests are made of, with their limits. A finding names the field, what is allowed and what came. */
import { z } from 'zod';
import { isId, isSwarmId, maxIdLength } from '../../machines/address.ts';
import { isUsd } from '../../machines/money.ts';
import type { Json } from '../../machines/record.ts';
import { leaseLimits } from '../../machines/task/content.ts';
import { latestTime } from '../../src/store/timers.ts';

/** A key with what it is for in front is an id. */
const maxKeyLength = 100;

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function text(what: string, test: (text: string) => boolean) {
  return z.string({ error: (issue) => `must be ${what}, not ${shown(issue.input)}` }).refine(test, {
    error: (issue) => `must be ${what}, not ${shown(issue.input)}`,
  });
}

function whole(what: string, min: number, max = Number.MAX_SAFE_INTEGER) {
  const error = (issue: { input?: unknown }) => `must be ${what}, not ${shown(issue.input)}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

export const taskId = text(
  `segments of letters, digits, _ and - joined by single dots, at most ${maxIdLength} characters`,
  isId,
);
/** Ids of tasks that come before one; every completion among them is a record that names those which are left. */
export const taskIds = z
  .array(taskId, { error: (issue) => `must be a list of task ids, not ${shown(issue.input)}` })
  .max(1_000, { error: 'has more than 1,000 ids; put tasks in between that each wait for some of them' });
/** What a concurrency limit or a singleton is for. */
export const key = text(
  `segments of letters, digits, _ and - joined by single dots, at most ${maxKeyLength} characters`,
  (value) => isId(value) && value.length <= maxKeyLength,
);
export const swarmId = text(
  'lower-case letters, digits and hyphens, 1 to 63 characters, not starting with a hyphen',
  isSwarmId,
);
export const token = whole('the token that the claim returned', 1);
export const time = whole('a time in milliseconds since 1970, before the year 10000', 0, latestTime);
export const usd = z
  .number({ error: (issue) => `must be a number of dollars, not ${shown(issue.input)}` })
  .refine(isUsd, { error: (issue) => `must be dollars from 0 with at most six decimals, not ${shown(issue.input)}` });

/** A short name: a task type, a capability, a model. */
export const name = text(
  '1 to 128 printable characters',
  (value) => value.length > 0 && value.length <= 128 && !hasControlCharacter(value),
);
export const names = z.array(name, { error: (issue) => `must be a list of names, not ${shown(issue.input)}` }).max(256);
export const sentence = text('at most 4,096 characters', (value) => value.length <= 4_096);
export const priority = whole('a whole number', Number.MIN_SAFE_INTEGER);
export const leaseMs = whole(`${leaseLimits.min} to ${leaseLimits.max} milliseconds`, leaseLimits.min, leaseLimits.max);
export const positive = (what: string, max?: number) => whole(what, 1, max);
export const fromZero = (what: string, max?: number) => whole(what, 0, max);

/** Any value of the wire's data model; the codec has checked it. */
export const json = z.custom<Json>((value) => value !== undefined, {
  error: 'is missing; send any JSON value, null if there is nothing to say',
});
export const jsonObject = z.custom<{ [key: string]: Json }>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  {
    error: (issue) => `must be an object, not ${shown(issue.input)}`,
  },
);

export const cost = z.strictObject({
  cost_usd: usd,
  tokens_in: fromZero('a number of tokens').optional(),
  tokens_out: fromZero('a number of tokens').optional(),
  model: name.optional(),
});

export const limit = whole('a number from 1 to 1,000', 1, 1_000);
export const cursor = text('the cursor of the page before', (value) => isId(value));

function hasControlCharacter(value: string): boolean {
  return /\p{Cc}/u.test(value);
}
