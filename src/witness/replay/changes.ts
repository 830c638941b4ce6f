/**
 * What differs between two JSON values, field by field: what a transition changed, and where a replay and a record part.
 * Objects are gone into, lists are compared as a whole.
 */
import type { Json } from '../../../machines/record.ts';

/** A field by its path, such as `past_owners.alpha`; `from` or `to` is left out where the field is not there. */
export interface Change {
  readonly field: string;
  readonly from?: Json;
  readonly to?: Json;
}

/** The longest form of a value in a message, in characters. */
const shownLength = 60;

/**
 * The fields in which two values differ, in the order of the first; none when they are the same. What is undefined counts
 * as null, since that is what is recorded of it, and negative zero as zero.
 */
export function changesBetween(from: unknown, to: unknown): Change[] {
  const changes: Change[] = [];
  collect('', from, to, changes);
  return changes;
}

/** Whether two values are the same, as `changesBetween` tells. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b || (a ?? null) === (b ?? null)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => sameValue(item, b[index]));
  }
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && sameValue(fieldOf(a, key), fieldOf(b, key)));
}

function collect(path: string, from: unknown, to: unknown, changes: Change[]): void {
  if (sameValue(from, to)) return;
  if (!isPlain(from) || !isPlain(to)) {
    changes.push({ field: path, from: (from ?? null) as Json, to: (to ?? null) as Json });
    return;
  }
  for (const key of Object.keys(from)) {
    const field = path === '' ? key : `${path}.${key}`;
    if (Object.hasOwn(to, key)) collect(field, fieldOf(from, key), fieldOf(to, key), changes);
    else changes.push({ field, from: (fieldOf(from, key) ?? null) as Json });
  }
  for (const key of Object.keys(to)) {
    const field = path === '' ? key : `${path}.${key}`;
    if (!Object.hasOwn(from, key)) changes.push({ field, to: (fieldOf(to, key) ?? null) as Json });
  }
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fieldOf(object: object, key: string): unknown {
  return (object as Record<string, unknown>)[key];
}

/** A value on one line, cut to `length` characters; `-` where there is none. */
export function shortValue(value: Json | undefined, length = shownLength): string {
  if (value === undefined) return '-';
  const text = JSON.stringify(value);
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
