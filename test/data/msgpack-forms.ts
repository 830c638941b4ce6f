/** MessagePack in every form that the format has for a value, for tests of its readers. */
import fc from 'fast-check';

const head = (tag: number, size: 0 | 1 | 2 | 4 | 8, value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(1 + size, tag);
  if (size === 1) bytes.writeUInt8(Number(value), 1);
  if (size === 2) bytes.writeUInt16BE(Number(value), 1);
  if (size === 4) bytes.writeUInt32BE(Number(value), 1);
  if (size === 8) bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)), 1);
  return bytes;
};

/** One of the forms that has room for the number. */
const sized = (value: number, forms: ReadonlyArray<readonly [tag: number, size: 0 | 1 | 2 | 4, room: number]>) =>
  fc
    .constantFrom(...forms.filter(([, , room]) => value <= room))
    .map(([tag, size]) => (size === 0 ? Buffer.from([tag | value]) : head(tag, size, value)));

const integer = fc.oneof(
  fc.integer({ min: 0, max: 0x7f }).map((value) => Buffer.from([value])),
  fc.integer({ min: -32, max: -1 }).map((value) => Buffer.from([value & 0xff])),
  fc.integer({ min: 0, max: 0xff }).chain((value) => fc.constantFrom(head(0xcc, 1, value), head(0xd0, 1, value))),
  fc.integer({ min: 0, max: 0xffff }).chain((value) => fc.constantFrom(head(0xcd, 2, value), head(0xd1, 2, value))),
  fc
    .integer({ min: 0, max: 2 ** 32 - 1 })
    .chain((value) => fc.constantFrom(head(0xce, 4, value), head(0xd2, 4, value))),
  fc.maxSafeInteger().map((value) => head(0xd3, 8, BigInt(value))),
  fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }).map((value) => head(0xcf, 8, value)),
);

const double = fc.oneof(fc.double(), fc.maxSafeInteger(), fc.constantFrom(-0, 1e-7, 5e-324, 2 ** 53)).map((value) => {
  const bytes = Buffer.alloc(9, 0xcb);
  bytes.writeDoubleBE(value, 1);
  return bytes;
});

const single = fc.float().map((value) => {
  const bytes = Buffer.alloc(5, 0xca);
  bytes.writeFloatBE(value, 1);
  return bytes;
});

const characters = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({ minLength: 30, maxLength: 300 }),
  fc.constantFrom('\uFEFFmarked', 'a"b\\c\n\u0000\u007f\u2028', 'é', '🐝', ''),
);

const bytesOf = (bytes: Buffer) =>
  sized(bytes.length, [
    [0xa0, 0, 31],
    [0xd9, 1, 0xff],
    [0xda, 2, 0xffff],
    [0xdb, 4, 2 ** 32 - 1],
  ]).map((start) => Buffer.concat([start, bytes]));

const text = characters.chain((value) => bytesOf(Buffer.from(value)));
/** Now and then no UTF-8. */
const anyText = fc.oneof(
  { weight: 60, arbitrary: text },
  fc.uint8Array({ maxLength: 8 }).chain((value) => bytesOf(Buffer.from(value))),
);

const rare = fc.constantFrom(
  Buffer.from([0xc1]),
  Buffer.from([0xc4, 1, 0x61]),
  Buffer.from([0xd4, 0x00, 0x00]),
  Buffer.from([0xd6, 0xff, 0, 0, 0, 5]),
  Buffer.from([0xc7, 1, 5, 1]),
  Buffer.from('cb7ff0000000000000', 'hex'),
  Buffer.from('cb4340000000000000', 'hex'),
  Buffer.from('cf0020000000000000', 'hex'),
  Buffer.from('d3ffdfffffffffffff', 'hex'),
);

const scalar = fc.oneof(
  { weight: 6, arbitrary: integer },
  { weight: 4, arbitrary: double },
  { weight: 8, arbitrary: anyText },
  { weight: 4, arbitrary: fc.constantFrom(Buffer.from([0xc0]), Buffer.from([0xc2]), Buffer.from([0xc3])) },
);

/** A map of some of these keys and of any others; now and then with a key that is unusual or comes twice. */
export function mapOf(keys: readonly string[], values: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const name = fc.oneof(
    { weight: 40, arbitrary: fc.stringMatching(/^[a-z0-9_]{1,9}$/) },
    { weight: 20, arbitrary: fc.constantFrom('a', 'ab', '1', '10', '', 'a key of some length', ...keys, ...keys) },
    { weight: 1, arbitrary: fc.constantFrom('__proto__', 'é', '"', 'constructor') },
  );
  const member = fc.tuple(name, values);
  const members = fc.oneof(
    { weight: 30, arbitrary: fc.uniqueArray(member, { maxLength: 9, selector: ([key]) => key }) },
    { weight: 1, arbitrary: fc.array(member, { maxLength: 9 }) },
  );
  const encoded = members.chain((each) =>
    fc.tuple(
      sized(each.length, [
        [0x80, 0, 15],
        [0xde, 2, 0xffff],
        [0xdf, 4, 2 ** 32 - 1],
      ]),
      ...each.map(([key, of]) => bytesOf(Buffer.from(key)).map((bytes) => Buffer.concat([bytes, of]))),
    ),
  );
  return encoded.map((parts) => Buffer.concat(parts));
}

const { value } = fc.letrec<{ value: Buffer }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 6, arbitrary: scalar },
    {
      weight: 2,
      arbitrary: fc.array(tie('value'), { maxLength: 5 }).chain((items) =>
        sized(items.length, [
          [0x90, 0, 15],
          [0xdc, 2, 0xffff],
          [0xdd, 4, 2 ** 32 - 1],
        ]).map((start) => Buffer.concat([start, ...items])),
      ),
    },
    { weight: 3, arbitrary: mapOf([], tie('value')) },
  ),
}));

/** A value as MessagePack: usually one that JSON has too. */
export const msgpackValue: fc.Arbitrary<Buffer> = fc.oneof({ weight: 100, arbitrary: value }, rare, single);

/** Bytes with one of them changed, or some cut off or added. */
export function damaged(bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc
    .tuple(bytes, fc.nat(), fc.integer({ min: 0, max: 255 }), fc.constantFrom('change', 'cut', 'add'))
    .map(([whole, place, byte, how]) => {
      const at = whole.length === 0 ? 0 : place % whole.length;
      if (how === 'cut') return whole.subarray(0, at);
      if (how === 'add') return Buffer.concat([whole, Buffer.from([byte])]);
      const changed = Buffer.from(whole);
      changed[at] = byte;
      return changed;
    });
}
