/** Equality of JSON values, for "the same content again": the order of keys means nothing, that of lists does. */
import type { Json } from './record.ts';

/** Whether two JSON values are the same. */
export function sameJson(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => sameJson(item, b[index] as Json));
  }
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key] as Json, b[key] as Json));
}

/** Whether two lists hold the same names, however ordered and however often. */
export function sameNames(a: readonly string[], b: readonly string[]): boolean {
  const names = new Set(a);
  const others = new Set(b);
  return names.size === others.size && [...names].every((name) => others.has(name));
}

/** The list without its repetitions, in its own order. */
export function distinct(names: readonly string[]): string[] {
  return [...new Set(names)];
}
