/**
 * The data model of the wire: I-JSON (RFC 7493). Whatever passes here means the same to every reader: Unicode text that
 * can be encoded, numbers that a double holds exactly, and nothing that JSON cannot say. Nothing is repaired or coerced.
 */
import type { Json } from '../../machines/record.ts';
import { FabricError } from '../errors.ts';

/** The deepest nesting of arrays and objects that is accepted. */
export const maxJsonDepth = 64;

const loneSurrogate = /\p{Surrogate}/u;

/**
 * Returns the value itself when it is I-JSON. `path` names the value in messages, such as `body`.
 * @throws FabricError INVALID_REQUEST naming the field; `details.path` holds it too.
 */
export function checkIJson(value: unknown, path = 'body'): Json {
  check(value, path, 0);
  return value as Json;
}

function check(value: unknown, path: string, depth: number): void {
  switch (typeof value) {
    case 'boolean':
      return;
    case 'string':
      checkText(value, path);
      return;
    case 'number':
      checkNumber(value, path);
      return;
    case 'object':
      if (value === null) return;
      if (depth >= maxJsonDepth) throw refusal(path, `is nested more than ${maxJsonDepth} levels deep; flatten it`);
      if (Array.isArray(value)) checkArray(value, path, depth);
      else checkObject(value, path, depth);
      return;
    default:
      throw refusal(
        path,
        `is of type ${typeof value}; leave it out or send null, a boolean, number, string, array or object`,
      );
  }
}

function checkText(text: string, path: string): void {
  if (loneSurrogate.test(text))
    throw refusal(path, 'holds a lone surrogate, which no encoding can carry; send valid Unicode');
}

function checkNumber(number: number, path: string): void {
  if (!Number.isFinite(number)) throw refusal(path, `is ${number}; send a finite number or null`);
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) {
    throw refusal(path, `is ${number}, an integer beyond 2^53 - 1; send it as a string`);
  }
}

function checkArray(items: readonly unknown[], path: string, depth: number): void {
  for (let at = 0; at < items.length; at++) check(items[at], `${path}[${at}]`, depth + 1);
}

function checkObject(object: object, path: string, depth: number): void {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) {
    throw refusal(path, 'is neither a plain object nor an array; send times as numbers and binary data as base64 text');
  }
  for (const key of Object.keys(object)) {
    const field = `${path}.${key.length > 80 ? `${key.slice(0, 80)}...` : key}`;
    if (key === '__proto__') throw refusal(field, 'is a key that is not allowed; rename it');
    if (loneSurrogate.test(key)) throw refusal(path, 'has a key with a lone surrogate; send valid Unicode');
    check((object as Record<string, unknown>)[key], field, depth + 1);
  }
}

function refusal(path: string, what: string): FabricError {
  return new FabricError('INVALID_REQUEST', `${path} ${what}`, { path });
}
