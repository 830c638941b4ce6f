/** Options and arguments as values. What is not one is refused with the flag, what came, and what is allowed. */

import { parseUsd } from '../../machines/money.ts';
import type { Json } from '../../machines/record.ts';
import { systemClock } from '../clock.ts';
import { checkIJson } from '../data/ijson.ts';
import { checkJsonText } from '../data/json-text.ts';
import { FabricError } from '../errors.ts';
import { parseDuration } from '../identity/expiry.ts';

export type Options = Readonly<Record<string, unknown>>;

function refuse(flag: string, allowed: string, received: string): FabricError {
  return new FabricError('INVALID_REQUEST', `${flag} must be ${allowed}, not ${JSON.stringify(received.slice(0, 80))}`);
}

/** The key under which the parser keeps a flag: `--max-attempts` is `maxAttempts`. */
function keyOf(flag: string): string {
  return flag.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export function textOf(options: Options, flag: string): string | undefined {
  const value = options[keyOf(flag)];
  return typeof value === 'string' ? value : undefined;
}

/** @throws FabricError INVALID_REQUEST */
export function numberOf(options: Options, flag: string): number | undefined {
  const text = textOf(options, flag);
  if (text === undefined) return undefined;
  if (!/^-?\d{1,16}(\.\d{1,6})?$/.test(text)) throw refuse(flag, 'a number', text);
  return Number(text);
}

/** A comma-separated list; empty items are left out. */
/** US dollars. @throws FabricError INVALID_REQUEST */
export function usdOf(options: Options, flag: string): number | undefined {
  const text = textOf(options, flag);
  if (text === undefined) return undefined;
  const usd = parseUsd(text);
  if (usd === undefined) throw notUsd(flag, text);
  return usd;
}

export function notUsd(what: string, received: string): FabricError {
  return new FabricError(
    'INVALID_REQUEST',
    `${what} must be dollars from 0 with at most six decimals, not ${JSON.stringify(received.slice(0, 80))}`,
  );
}

export function namesOf(options: Options, flag: string): string[] | undefined {
  return textOf(options, flag)
    ?.split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** JSON of the fabric's data model. @throws FabricError INVALID_REQUEST */
export function jsonOf(options: Options, flag: string): Json | undefined {
  const text = textOf(options, flag);
  if (text === undefined) return undefined;
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw refuse(flag, `JSON (${error instanceof Error ? error.message : String(error)})`, text);
  }
  checkJsonText(text);
  return checkIJson(value, flag);
}

/** Milliseconds since 1970 of a number, an ISO 8601 time, or a time before now such as `15m`. @throws FabricError INVALID_REQUEST */
export function timeOf(options: Options, flag: string, now = systemClock.now()): number | undefined {
  const text = textOf(options, flag);
  if (text === undefined) return undefined;
  if (/^\d{1,16}$/.test(text)) return Number(text);
  if (/^\d+[smhd]$/.test(text)) return now - parseDuration(text);
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time))
    throw refuse(flag, 'a time: ISO 8601, milliseconds since 1970, or how long ago, such as 15m', text);
  return time;
}

/** The fields that have a value: what is not there is not sent. */
export function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
