/**
 * Canonical JSON (RFC 8785, JCS): one text for one value, whatever the order in which its keys were written. The witness
 * hashes it, so that every replica and every verifier in any language arrives at the same bytes.
 */
import type { Json } from '../../machines/record.ts';
import { FabricError } from '../errors.ts';

/** The deepest nesting that is written; deeper values are refused rather than exhausting the stack. */
const maxDepth = 256;
/** Up to this length, matching a text against `plainText` costs less than quoting it. */
const shortText = 100;
/** Up to this many keys, insertion is the fastest way to sort. */
const fewKeys = 32;
/** Text that is its own JSON form between quotes. */
const plainText = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
const loneSurrogate = /\p{Surrogate}/u;

/**
 * The canonical text of a value: keys in order of their UTF-16 code units, numbers as ECMAScript prints them.
 * @throws FabricError INVALID_REQUEST for what JSON cannot say exactly: lone surrogates, NaN, infinities, undefined,
 *   functions, bigints, and objects other than plain ones and arrays.
 */
export function canonicalJson(value: Json): string {
  return write(value, 0);
}

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return writeString(value);
    case 'number':
      if (!Number.isFinite(value)) throw notJson(`the number ${value}`);
      return value === 0 ? '0' : `${value}`;
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (depth >= maxDepth) throw notJson(`a value nested more than ${maxDepth} levels deep`);
      return Array.isArray(value) ? writeArray(value, depth) : writeObject(value, depth);
    default:
      throw notJson(`a value of type ${typeof value}`);
  }
}

function writeString(text: string): string {
  if (text.length <= shortText && plainText.test(text)) return `"${text}"`;
  const quoted = JSON.stringify(text);
  // A lone surrogate is always escaped, so a text that did not grow holds none.
  if (quoted.length !== text.length + 2 && loneSurrogate.test(text)) throw notJson('a string with a lone surrogate');
  return quoted;
}

function writeArray(items: readonly unknown[], depth: number): string {
  let text = '[';
  for (let at = 0; at < items.length; at++) {
    if (at > 0) text += ',';
    text += write(items[at], depth + 1);
  }
  return `${text}]`;
}

function writeObject(object: object, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) throw notJson(`an object of class ${className(object)}`);
  const keys = inOrder(Object.keys(object));
  let text = '{';
  for (let at = 0; at < keys.length; at++) {
    const key = keys[at] as string;
    if (at > 0) text += ',';
    text += `${writeString(key)}:${write((object as Record<string, unknown>)[key], depth + 1)}`;
  }
  return `${text}}`;
}

/** Sorts keys by their UTF-16 code units, as the RFC demands: that is how `<` and sort() compare strings. */
function inOrder(keys: string[]): string[] {
  if (keys.length > fewKeys) return keys.sort();
  for (let next = 1; next < keys.length; next++) {
    const key = keys[next] as string;
    let at = next;
    for (; at > 0 && (keys[at - 1] as string) > key; at--) keys[at] = keys[at - 1] as string;
    keys[at] = key;
  }
  return keys;
}

function className(object: object): string {
  const made: unknown = (object as { constructor?: unknown }).constructor;
  return typeof made === 'function' ? made.name : 'unknown';
}

function notJson(what: string): FabricError {
  return new FabricError(
    'INVALID_REQUEST',
    `${what} has no JSON form; send null, booleans, finite numbers, valid Unicode text, arrays and plain objects`,
  );
}
