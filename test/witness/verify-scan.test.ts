import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/data/canonical.ts';
import { fields, PayloadScan } from '../../src/witness/verify/scan.ts';

const scan = new PayloadScan();

function scanned(text: string): boolean {
  // As a row lies between others.
  const bytes = Buffer.from(`xx${text}"}],1`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  found = (field) => {
    const start = scan.starts[fields[field]] as number;
    return start === 0 ? undefined : JSON.parse(bytes.toString('utf8', start, scan.ends[fields[field]]));
  };
  return scan.record(bytes, view, 2, 2 + Buffer.byteLength(text));
}
let found: (field: keyof typeof fields) => unknown;

const record = {
  by: 'a',
  event: { cost: { n: 1 }, model: 'm', type: 'T' },
  id: 'i',
  kind: 'task',
  n: 12,
  trace_id: 't',
};

describe('the scan of a payload', () => {
  it('finds the fields that columns are derived from', () => {
    expect(scanned(canonicalJson(record))).toBe(true);
    for (const key of ['by', 'id', 'kind', 'n', 'trace_id'] as const) expect(found(key)).toBe(record[key]);
    for (const key of ['cost', 'model', 'type'] as const) expect(found(key)).toEqual(record.event[key]);
  });

  it('finds only those of the record itself', () => {
    expect(
      scanned('{"snapshot":{"kind":"x","event":{"type":"y"}},"event":{"result":{"type":"z","cost":1}},"list":["id"]}'),
    ).toBe(true);
    for (const key of ['kind', 'type', 'cost', 'id'] as const) expect(found(key)).toBeUndefined();
  });

  it.each([
    '{"kind":"a","kind":"b"}',
    '{"event":{"type":"a","type":"b"}}',
    '{"event":{"type":"a"},"event":{"type":"b"}}',
    '{"k\\u0069nd":"a"}',
    '{"kind":"\\u0061"}',
  ])('leaves to the parser what could be read in two ways: %s', (text) => {
    expect(() => JSON.parse(text)).not.toThrow();
    expect(scanned(text)).toBe(false);
  });

  it('accepts the canonical form of nearly any value', () => {
    const value = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 6, noUnicodeString: false }));
    let accepted = 0;
    fc.assert(
      fc.property(value, (object) => {
        if (scanned(canonicalJson({ ...object, kind: 'k' } as never))) accepted += 1;
      }),
      { numRuns: 500 },
    );
    expect(accepted).toBeGreaterThan(350);
  });

  it('never accepts what is not JSON', () => {
    const texts = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc
        .array(
          fc.constantFrom(
            '{',
            '}',
            '[',
            ']',
            ',',
            ':',
            '"',
            '"a"',
            '"kind"',
            '1',
            '-',
            '0',
            '.',
            'e',
            '+',
            'null',
            'true',
            'fals',
            '\\',
            '\\u00',
            ' ',
            '\n',
            'é',
            '\u0001',
          ),
          { maxLength: 12 },
        )
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(texts, fc.boolean(), (text, wrapped) => {
        const whole = wrapped ? `{"a":${text}}` : text;
        if (scanned(whole)) expect(() => JSON.parse(whole)).not.toThrow();
      }),
      { numRuns: 20_000 },
    );
  });

  it('never accepts a record with one byte changed, added or removed unless it is JSON', () => {
    const text = canonicalJson({ ...record, more: [1.5e300, -0.25, null, true, false, 'é\n"\\', {}, []] } as never);
    for (let at = 0; at < text.length; at++) {
      for (const put of [
        '',
        '"',
        '\\',
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '0',
        '9',
        '-',
        '.',
        'e',
        'n',
        ' ',
        '\u0000',
        '\u001f',
        '\u007f',
        'ü',
      ]) {
        for (const after of [at, at + 1]) {
          const changed = text.slice(0, at) + put + text.slice(after);
          if (scanned(changed)) expect(() => JSON.parse(changed), changed).not.toThrow();
        }
      }
    }
  });

  it('leaves deep nesting to the parser', () => {
    const deep = (levels: number) => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`;
    expect(scanned(deep(200))).toBe(true);
    expect(scanned(deep(100_000))).toBe(false);
  });
});
