import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addUsd,
  formatUsd,
  fromMicros,
  isUsd,
  maxUsd,
  parseUsd,
  roundUsd,
  subtractUsd,
  toMicros,
} from '../../machines/money.ts';

const micros = fc.oneof(
  fc.integer({ min: 0, max: 5_000_000 }),
  fc.maxSafeNat().map((n) => n % (maxUsd * 1e6 + 1)),
);

describe('money', () => {
  it('goes from micro-dollars to dollars and back without loss, up to a billion dollars', () => {
    fc.assert(fc.property(micros, (n) => toMicros(fromMicros(n)) === n && isUsd(fromMicros(n))));
    expect(toMicros(fromMicros(maxUsd * 1e6 - 1))).toBe(maxUsd * 1e6 - 1);
  });

  it('reads and writes decimal notation without loss', () => {
    fc.assert(fc.property(micros, (n) => parseUsd(formatUsd(fromMicros(n))) === fromMicros(n)));
  });

  it('agrees with how the language itself reads a decimal number', () => {
    fc.assert(fc.property(micros, (n) => Number(formatUsd(fromMicros(n))) === fromMicros(n)));
  });

  it('adds and subtracts as integers do, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1_000_000_000 }), { maxLength: 50 }), (amounts) => {
        const sum = amounts.reduce((total, n) => addUsd(total, fromMicros(n)), 0);
        const exact = amounts.reduce((total, n) => total + n, 0);
        const back = amounts.reduceRight((rest, n) => subtractUsd(rest, fromMicros(n)), sum);
        return sum === fromMicros(exact) && Object.is(back, 0);
      }),
    );
  });

  it('does not drift where binary fractions do', () => {
    expect(0.1 + 0.2).not.toBe(0.3);
    expect(addUsd(0.1, 0.2)).toBe(0.3);
    expect(subtractUsd(0.3, 0.1)).toBe(0.2);
  });

  it('keeps the order of amounts', () => {
    fc.assert(fc.property(micros, micros, (a, b) => a < b === fromMicros(a) < fromMicros(b)));
  });

  it.each([0, 0.000001, 12, 0.05, maxUsd])('takes %d for an amount', (amount) => {
    expect(isUsd(amount)).toBe(true);
  });

  it.each([-1, -0.000001, 0.0000001, 1.0000005, maxUsd + 1, Number.NaN, Number.POSITIVE_INFINITY, '1', null])(
    'does not take %s for an amount',
    (value) => {
      expect(isUsd(value)).toBe(false);
    },
  );

  it.each(['', '-1', '1e3', '.5', '1.', '1.0000001', '1000000000.000001', ' 1', '1,5', 'NaN'])(
    'does not read %j as an amount',
    (text) => {
      expect(parseUsd(text)).toBeUndefined();
    },
  );

  it('writes two to six decimals and never an exponent', () => {
    expect([0, 0.000001, 0.05, 1.5, 12, 0.1234, -3.25].map(formatUsd)).toEqual([
      '0.00',
      '0.000001',
      '0.05',
      '1.50',
      '12.00',
      '0.1234',
      '-3.25',
    ]);
  });

  it('rounds a computed price to the nearest micro-dollar', () => {
    expect(roundUsd((1234 * 0.15) / 1_000_000)).toBe(0.000185);
    fc.assert(fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), (price) => isUsd(roundUsd(price))));
  });
});
