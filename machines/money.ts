/**
 * Money: US dollars with at most six decimals. Fields that end in `_usd` hold dollars as numbers; every computation goes
 * through whole micro-dollars, so that no sum drifts and equal amounts are equal numbers.
 */

/** The largest amount: a billion dollars. Up to here six decimals are exact in a double. */
export const maxUsd = 1_000_000_000;

const microsPerUsd = 1_000_000;
const decimal = /^(\d{1,10})(?:\.(\d{1,6}))?$/;

/** An amount of dollars in micro-dollars; exact for every amount that `isUsd` accepts, rounded for others. */
export function toMicros(usd: number): number {
  return Math.round(usd * microsPerUsd);
}

/** The number of dollars nearest to an amount of micro-dollars: the same number that its decimal notation reads as. */
export function fromMicros(micros: number): number {
  return micros / microsPerUsd;
}

/** Whether a value is an amount of money: a number from 0 to a billion with at most six decimals. */
export function isUsd(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= maxUsd && fromMicros(toMicros(value)) === value;
}

/** `a + b`, exactly. */
export function addUsd(a: number, b: number): number {
  return fromMicros(toMicros(a) + toMicros(b));
}

/** `a - b`, exactly; negative when b is the larger. */
export function subtractUsd(a: number, b: number): number {
  return fromMicros(toMicros(a) - toMicros(b));
}

/** The nearest amount that has six decimals; for computed prices, such as tokens times a price per token. */
export function roundUsd(usd: number): number {
  return fromMicros(toMicros(usd));
}

/** Reads decimal notation such as `12`, `0.05` or `1.000001`; undefined for anything else, and above a billion. */
export function parseUsd(text: string): number | undefined {
  const match = decimal.exec(text);
  if (!match) return undefined;
  const micros = Number(match[1]) * microsPerUsd + Number((match[2] ?? '').padEnd(6, '0'));
  return micros <= maxUsd * microsPerUsd ? fromMicros(micros) : undefined;
}

/** Decimal notation with two to six decimals and without an exponent: `0.05`, `12.00`, `0.000001`. */
export function formatUsd(usd: number): string {
  const micros = toMicros(usd);
  const digits = String(Math.abs(micros)).padStart(7, '0');
  const fraction = digits.slice(-6).replace(/0{1,4}$/, '');
  return `${micros < 0 ? '-' : ''}${digits.slice(0, -6)}.${fraction}`;
}
