/**
 * Checks of JSON text that `JSON.parse` does not make: it keeps the last of two equal keys and lets `__proto__` through,
 * so that two readers of one text could see different requests. The text must already be known to be valid JSON.
 */
import { FabricError } from '../errors.ts';

/** The deepest nesting of arrays and objects that is accepted. */
export const maxDepth = 64;

interface Frame {
  /** The keys seen so far; undefined for an array. */
  keys: Set<string> | undefined;
  expectsKey: boolean;
}

/** @throws FabricError INVALID_REQUEST naming the key, or the depth. */
export function checkJsonText(text: string): void {
  const frames: Frame[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    const frame = frames[frames.length - 1];
    if (char === '"') {
      const end = endOfString(text, at);
      if (frame?.keys && frame.expectsKey) {
        noteKey(frame.keys, JSON.parse(text.slice(at, end + 1)) as string);
        frame.expectsKey = false;
      }
      at = end;
    } else if (char === '{' || char === '[') {
      if (frames.length >= maxDepth) throw tooDeep();
      frames.push({ keys: char === '{' ? new Set() : undefined, expectsKey: char === '{' });
    } else if (char === '}' || char === ']') {
      frames.pop();
    } else if (char === ',' && frame?.keys) {
      frame.expectsKey = true;
    }
  }
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at;
  }
  return text.length;
}

/** Adds a key of one object; shared by both encodings. @throws FabricError INVALID_REQUEST */
export function noteKey(keys: Set<string>, key: string): void {
  if (key === '__proto__') throw new FabricError('INVALID_REQUEST', 'the key "__proto__" is not allowed in a request');
  if (keys.has(key)) {
    throw new FabricError(
      'INVALID_REQUEST',
      `the key ${JSON.stringify(key.slice(0, 80))} occurs twice in one object; send each key once`,
    );
  }
  keys.add(key);
}

export function tooDeep(): FabricError {
  return new FabricError('INVALID_REQUEST', `the body is nested more than ${maxDepth} levels deep`);
}
