import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBody, type Encoding, encodeBody, encodingOf, packBytes, unpackBytes } from '../../src/data/codec.ts';
import { FabricError } from '../../src/errors.ts';

const encodings: readonly Encoding[] = ['json', 'msgpack'];

/** Bodies of the wire's data model; minus zero has no JSON form of its own. */
const number = fc
  .oneof(
    fc.integer(),
    fc.maxSafeInteger(),
    fc
      .double({ noNaN: true, noDefaultInfinity: true })
      .filter((value) => !Number.isInteger(value) || Number.isSafeInteger(value)),
  )
  .map((value) => value + 0);
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'binary', minLength: 60, maxLength: 90 }).map((value) => `\uFEFF${value}`),
);
const key = text.filter((value) => value !== '__proto__');
const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(text, number, fc.boolean(), fc.constant(null)),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
}));
const body = fc.dictionary(key, anyValue, { maxKeys: 8, noNullPrototype: true });

const codeOf = (bytes: Uint8Array, encoding: Encoding) => {
  try {
    decodeBody(bytes, encoding);
    return 'decoded';
  } catch (error) {
    if (error instanceof FabricError) return error.code;
    throw error;
  }
};

describe('a body', () => {
  for (const encoding of encodings) {
    it(`that is encoded as ${encoding} and decoded again is the same`, () => {
      fc.assert(
        fc.property(body, (value) => {
          expect(decodeBody(encodeBody(value, encoding), encoding)).toEqual(value);
        }),
        { numRuns: 500 },
      );
    });

    it(`of random bytes is refused or decoded as ${encoding}, and nothing else happens`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
          expect(['decoded', 'INVALID_REQUEST']).toContain(codeOf(bytes, encoding));
        }),
        { numRuns: 2_000 },
      );
    });

    it(`as ${encoding} that is damaged in one place is refused or decoded, and nothing else happens`, () => {
      fc.assert(
        fc.property(body, fc.nat(), fc.integer({ min: 0, max: 255 }), (value, at, byte) => {
          const bytes = Uint8Array.from(encodeBody(value, encoding));
          if (bytes.length > 0) bytes[at % bytes.length] = byte;
          expect(['decoded', 'INVALID_REQUEST']).toContain(codeOf(bytes, encoding));
        }),
        { numRuns: 1_000 },
      );
    });
  }

  it('means the same in both encodings: what one refuses, the other does', () => {
    const wild = fc.dictionary(fc.string(), fc.oneof(fc.double(), fc.constantFrom(2 ** 53, 1e21, 1e300, -(2 ** 60))), {
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(wild, (value) => {
        // NaN and the infinities become null in JSON text, so only finite numbers can be compared.
        fc.pre(Object.values(value).every((one) => Number.isFinite(one)));
        expect(codeOf(encodeBody(value, 'msgpack'), 'msgpack')).toBe(codeOf(encodeBody(value, 'json'), 'json'));
      }),
      { numRuns: 1_000 },
    );
  });

  it('shows its encoding by its first byte when nothing else says it', () => {
    fc.assert(
      fc.property(body, (value) => {
        for (const encoding of encodings) expect(encodingOf(encodeBody(value, encoding), undefined)).toBe(encoding);
      }),
    );
    expect(encodingOf(new Uint8Array(), undefined)).toBe('json');
    expect(encodingOf(packBytes({}), 'application/json')).toBe('json');
    expect(encodingOf(new TextEncoder().encode('{}'), 'application/x-msgpack')).toBe('msgpack');
  });

  it('may have 64 levels and no more', () => {
    const levels = (n: number): unknown => (n === 0 ? 1 : { a: levels(n - 1) });
    for (const encoding of encodings) {
      expect(decodeBody(encodeBody(levels(64), encoding), encoding)).toEqual(levels(64));
      expect(codeOf(encodeBody(levels(65), encoding), encoding)).toBe('INVALID_REQUEST');
    }
  });

  it('keeps two keys apart that differ by a byte order mark only', () => {
    const long = 'k'.repeat(80);
    const value = { [`\uFEFF${long}`]: 1, [long]: 2 };
    for (const encoding of encodings) expect(decodeBody(encodeBody(value, encoding), encoding)).toEqual(value);
  });

  it('is read the same whatever form its numbers and texts were written in', () => {
    // {"a": value}, in each form that MessagePack has for it.
    const read = (...value: number[]) => decodeBody(new Uint8Array([0x81, 0xa1, 0x61, ...value]), 'msgpack')['a'];
    expect([
      read(5),
      read(0xcc, 5),
      read(0xcd, 0, 5),
      read(0xce, 0, 0, 0, 5),
      read(0xcf, 0, 0, 0, 0, 0, 0, 0, 5),
      read(0xd0, 5),
      read(0xd3, 0, 0, 0, 0, 0, 0, 0, 5),
      read(0xca, 0x40, 0xa0, 0, 0),
    ]).toEqual(Array.from({ length: 8 }, () => 5));
    expect([
      read(0xff),
      read(0xd0, 0xff),
      read(0xd1, 0xff, 0xff),
      read(0xd2, 0xff, 0xff, 0xff, 0xff),
      read(0xd3, ...Array.from({ length: 8 }, () => 0xff)),
    ]).toEqual(Array.from({ length: 5 }, () => -1));
    expect([read(0xa1, 0x78), read(0xd9, 1, 0x78), read(0xda, 0, 1, 0x78), read(0xdb, 0, 0, 0, 1, 0x78)]).toEqual(
      Array.from({ length: 4 }, () => 'x'),
    );
    expect([read(0x91, 1), read(0xdc, 0, 1, 1), read(0xdd, 0, 0, 0, 1, 1)]).toEqual([[1], [1], [1]]);
    expect([read(0x80), read(0xde, 0, 0), read(0xdf, 0, 0, 0, 0)]).toEqual([{}, {}, {}]);
  });
});

describe('what the fabric writes for itself', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(body, (value) => {
        expect(unpackBytes(packBytes(value))).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  it('holds no value that JSON lacks: what is undefined is null', () => {
    expect(unpackBytes(packBytes({ a: undefined, b: [undefined] }))).toEqual({ a: null, b: [null] });
  });
});
