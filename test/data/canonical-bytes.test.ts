import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Json } from '../../machines/record.ts';
import { canonicalJson } from '../../src/data/canonical.ts';
import { CanonicalWriter } from '../../src/data/canonical-bytes.ts';
import { packBytes, unpackBytes } from '../../src/data/codec.ts';
import { damaged, mapOf, msgpackValue } from './msgpack-forms.ts';

const outline = { a: true, b: { a: true, ab: { a: true } }, ab: true } as const;

/** What the long way gives; undefined when it gives an error. */
function slowly(bytes: Uint8Array): { text: string; value: Json } | undefined {
  try {
    const value = unpackBytes(bytes) as Json;
    return { text: canonicalJson(value), value };
  } catch {
    return undefined;
  }
}

const textOf = (json: Uint8Array) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json);

/** The members that an outline asks for, with arrays and maps that are not asked into empty. */
function select(value: Json, asked: Record<string, unknown> | true): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return [];
  if (asked === true) return {};
  const members = Object.entries(value).filter(([key]) => Object.hasOwn(asked, key));
  return Object.fromEntries(members.map(([key, each]) => [key, select(each, asked[key] as true)]));
}

describe('the canonical text of MessagePack bytes', () => {
  const body = mapOf(['b'], msgpackValue);
  const nested = mapOf(['b'], fc.oneof(msgpackValue, mapOf(['ab'], fc.oneof(msgpackValue, body))));

  it('is that of the value in them, in whatever form they were written, or there is none', () => {
    // One writer for all, so that what it remembers of one body is there for the next.
    const writer = new CanonicalWriter(outline);
    let written = 0;
    fc.assert(
      fc.property(fc.oneof(body, nested, damaged(nested)), (bytes) => {
        const fast = writer.write(bytes);
        if (!fast) return;
        written += 1;
        const slow = slowly(bytes);
        expect(textOf(fast.json)).toBe(slow?.text);
        expect(fast.outline).toEqual(select(slow?.value ?? null, outline));
      }),
      { numRuns: 1_000 },
    );
    expect(written).toBeGreaterThan(100);
  });

  it('is there for every object that the fabric itself writes, but for unusual keys', () => {
    const writer = new CanonicalWriter({});
    const number = fc.oneof(
      fc.maxSafeInteger(),
      fc.double({ noNaN: true, noDefaultInfinity: true, max: 1e15, min: -1e15 }),
    );
    const { value } = fc.letrec<{ value: Json }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.oneof(fc.string({ unit: 'binary', maxLength: 80 }), number, fc.boolean(), fc.constant(null)),
        fc.array(tie('value'), { maxLength: 20 }),
        fc.dictionary(fc.stringMatching(/^[a-z0-9 :.-]{0,20}$/), tie('value'), { maxKeys: 20, noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z]*$/), value, { noNullPrototype: true }), (object) => {
        const written = writer.write(packBytes(object));
        expect(written && textOf(written.json)).toBe(canonicalJson(object as Json));
      }),
      { numRuns: 200 },
    );
  });

  const unusual: ReadonlyArray<readonly [string, Uint8Array]> = [
    ['no bytes', new Uint8Array()],
    ['no map', packBytes([1])],
    ['a key twice', Buffer.from([0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2])],
    ['a key that is a number', Buffer.from([0x81, 1, 1])],
    ['the key __proto__', packBytes(JSON.parse('{"__proto__":1}'))],
    ['a key beyond ASCII', packBytes({ é: 1 })],
    ['a key with a quote', packBytes({ '"': 1 })],
    ['a lone surrogate', Buffer.from([0x81, 0xa1, 0x61, 0xa3, 0xed, 0xa0, 0x80])],
    ['overlong UTF-8', Buffer.from([0x81, 0xa1, 0x61, 0xa2, 0xc0, 0x80])],
    ['NaN', packBytes({ a: Number.NaN })],
    ['an integer beyond 2^53', packBytes({ a: 1e300 })],
    ['a date', packBytes({ a: new Date(5) })],
    ['bytes', packBytes({ a: Buffer.from('abc') })],
    ['more bytes than the map', Buffer.concat([packBytes({ a: 1 }), Buffer.from([0])])],
    ['fewer bytes than the map', packBytes({ a: 'abc' }).subarray(0, -1)],
    ['a map that claims four billion members', Buffer.from([0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, 0x61, 1])],
    ['an array that claims four billion items', Buffer.from([0x81, 0xa1, 0x61, 0xdd, 0xff, 0xff, 0xff, 0xff, 1])],
    ['endless arrays', Buffer.concat([Buffer.from([0x81, 0xa1, 0x61]), Buffer.alloc(100_000, 0x91)])],
    ['endless maps', Buffer.concat(Array.from({ length: 50_000 }, () => Buffer.from([0x81, 0xa1, 0x61])))],
    ['a very large body', packBytes({ a: 'x'.repeat(2_000_000) })],
  ];
  it.each(unusual)('is left to the long way for %s', (_, bytes) => {
    expect(new CanonicalWriter({}).write(bytes)).toBeUndefined();
  });

  it('stays right when the keys are ever new ones', () => {
    const writer = new CanonicalWriter(outline);
    for (let round = 0; round < 6_000; round++) {
      const value = { [`key-${round}`]: round, a: 1, [`${round}`]: { [`inner-${round % 97}`]: [], a: 2 } };
      const written = writer.write(packBytes(value));
      expect(written && textOf(written.json)).toBe(canonicalJson(value));
      expect(written?.outline).toEqual({ a: 1 });
    }
  });

  it('does not read a view beyond its ends', () => {
    const bytes = packBytes({ a: 'abc', b: 1.5 });
    const whole = Buffer.concat([Buffer.from('xx'), bytes, Buffer.from('yy')]);
    const written = new CanonicalWriter({}).write(whole.subarray(2, -2));
    expect(written && textOf(written.json)).toBe('{"a":"abc","b":1.5}');
    for (let end = 2; end < 2 + bytes.length; end++)
      expect(new CanonicalWriter({}).write(whole.subarray(2, end))).toBeUndefined();
  });
});
