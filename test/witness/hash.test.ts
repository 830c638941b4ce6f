import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Stored, storedValues } from '../../src/witness/columns.ts';
import { type Entry, entryOf, gapEntry, zeroHash } from '../../src/witness/entry.ts';
import { RowHasher } from '../../src/witness/hash.ts';
import { actorMessage, actors, taskRecord } from './messages.ts';

/** The published rule again, written for plainness. */
function naiveEncoding(values: readonly Stored[]): Buffer {
  const parts = [Buffer.from('InfraFabric witness entry\0\x01', 'latin1')];
  for (const value of values) {
    if (value === null) parts.push(Buffer.from([0]));
    else if (typeof value === 'bigint') {
      const bytes = Buffer.alloc(9, 1);
      bytes.writeBigInt64BE(value, 1);
      parts.push(bytes);
    } else if (typeof value === 'number') {
      const bytes = Buffer.alloc(9, 2);
      bytes.writeDoubleBE(value, 1);
      parts.push(bytes);
    } else {
      const text = typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value);
      const head = Buffer.alloc(5, typeof value === 'string' ? 3 : 4);
      head.writeUInt32BE(text.length, 1);
      parts.push(head, text);
    }
  }
  return Buffer.concat(parts);
}

const stored = fc.oneof(
  fc.constant(null),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double(),
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  fc.uint8Array({ maxLength: 20 }),
);
const row = fc.array(stored, { minLength: 16, maxLength: 16 });

describe('the encoding of a row', () => {
  it('is the published one for any values', () => {
    const hasher = new RowHasher();
    fc.assert(
      fc.property(row, (values) => {
        expect(Buffer.from(hasher.encode(values)).equals(naiveEncoding(values))).toBe(true);
        expect(hasher.hash(values)).toBe(createHash('sha256').update(naiveEncoding(values)).digest('hex'));
      }),
    );
  });

  it('gives two different rows different bytes', () => {
    const hasher = new RowHasher();
    const same = (a: readonly Stored[], b: readonly Stored[]) =>
      a.every((value, at) => sameStored(value, b[at] ?? null));
    const near = fc.constantFrom<Stored>(null, 0n, 0, '', '0', 'a', 'aa', '\0', new Uint8Array(), new Uint8Array(1));
    const nearRow = fc.array(near, { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(nearRow, nearRow, (a, b) => {
        const [first, second] = [Buffer.from(hasher.encode(a)), Buffer.from(hasher.encode(b))];
        expect(first.equals(second)).toBe(same(a, b));
      }),
      { numRuns: 2_000 },
    );
  });

  it('does not let text move from one field into the next', () => {
    const hasher = new RowHasher();
    expect(hasher.hash(['ab', 'c'])).not.toBe(hasher.hash(['a', 'bc']));
    expect(hasher.hash(['a', null])).not.toBe(hasher.hash(['a', '']));
    expect(hasher.hash([1n])).not.toBe(hasher.hash([1]));
    expect(hasher.hash(['1'])).not.toBe(hasher.hash([1n]));
  });

  it('grows with the row and keeps no trace of the one before', () => {
    const hasher = new RowHasher();
    const long = ['x'.repeat(100_000), '🐝'.repeat(50_000), 'y'];
    expect(Buffer.from(hasher.encode(long)).equals(naiveEncoding(long))).toBe(true);
    expect(Buffer.from(hasher.encode(['s'])).equals(naiveEncoding(['s']))).toBe(true);
  });
});

function sameStored(a: Stored, b: Stored): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.from(a).equals(Buffer.from(b));
  return Object.is(a, b);
}

const name = { label: 'IF_actors', epoch: 1, stream: 'actors' } as const;

/** The rows of the test vectors in docs/witness-chain.md. */
function vectorRows(): Omit<Entry, 'content_hash'>[] {
  const first = entryOf(actors, actorMessage(1, taskRecord(1, { trace_id: 'trace-é🐝' })));
  const second = gapEntry(name, 2, 3, 'trimmed', 1_763_700_000_004);
  const third = entryOf(actors, actorMessage(4));
  const hasher = new RowHasher();
  let prev_hash = zeroHash;
  return [first, second, third].map((entry) => {
    const chained = { ...entry, prev_hash };
    prev_hash = hasher.hash(storedValues(chained));
    return chained;
  });
}

describe('the published test vectors', () => {
  const docs = readFileSync(new URL('../../docs/witness-chain.md', import.meta.url), 'utf8');
  const hasher = new RowHasher();

  it('are what the code computes', () => {
    const rows = vectorRows();
    const hashes = rows.map((each) => hasher.hash(storedValues(each)));
    expect(hashes).toEqual([
      '4bba0f5b2fe78593d17c798bdabd3da98d32e9e31e8f86c470b45950a02d9eb0',
      'e3a2db2e1bbdccdb9bcadb9b4aee0d318bf0ffaf754822322a152ccd58336f75',
      'e8689b39ee98df82208ed3d6d643b6cd71898eab3dddc45c0f1a7f1834bfd088',
    ]);
    for (const hash of hashes) expect(docs).toContain(hash);
    for (const each of rows) expect(docs).toContain(each.payload);
  });

  it('show the bytes of a row', () => {
    const [, gap] = vectorRows();
    if (!gap) throw new Error('no gap row');
    const hex = Buffer.from(hasher.encode(storedValues(gap))).toString('hex');
    expect(docs.replaceAll(/\s/g, '')).toContain(hex);
  });
});
