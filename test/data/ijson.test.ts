import { describe, expect, it } from 'vitest';
import { checkIJson, maxJsonDepth } from '../../src/data/ijson.ts';
import { FabricError } from '../../src/errors.ts';

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}

describe('I-JSON check', () => {
  it('returns the value itself when every reader understands it alike', () => {
    const value = {
      text: 'ünï 🐝',
      list: [null, true, -0, 1.5, 9007199254740991],
      deep: nested(maxJsonDepth - 1),
      '': {},
    };
    expect(checkIJson(value)).toBe(value);
    expect(checkIJson(Object.create(null))).toEqual({});
  });

  const bad: ReadonlyArray<readonly [string, unknown, string]> = [
    ['a lone surrogate', { a: { b: '\ud800' } }, 'body.a.b'],
    ['a lone surrogate in a key', { a: { '\udfff': 1 } }, 'body.a'],
    ['NaN', [1, Number.NaN], 'body[1]'],
    ['an infinity', { a: Number.POSITIVE_INFINITY }, 'body.a'],
    ['an unsafe integer', { a: 9007199254740992 }, 'body.a'],
    ['undefined', { a: undefined }, 'body.a'],
    ['a function', { a: () => 1 }, 'body.a'],
    ['a bigint', { a: 1n }, 'body.a'],
    ['a symbol', { a: Symbol('x') }, 'body.a'],
    ['a date', { a: new Date(0) }, 'body.a'],
    ['bytes', { a: new Uint8Array(1) }, 'body.a'],
    ['a map', { a: new Map() }, 'body.a'],
    ['a prototype key', JSON.parse('{"a":{"__proto__":{}}}'), 'body.a.__proto__'],
  ];
  it.each(bad)('refuses %s and names the field', (_, value, path) => {
    const check = () => checkIJson(value);
    expect(check).toThrow(FabricError);
    expect(check).toThrow(path);
    expect(check).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST', details: { path } }));
  });

  it('refuses values nested deeper than the limit, also endless ones', () => {
    expect(() => checkIJson(nested(maxJsonDepth + 1))).toThrow(/nested more than 64/);
    const circular: unknown[] = [];
    circular.push(circular);
    expect(() => checkIJson(circular)).toThrow(/nested more than 64/);
  });
});
