import { describe, expect, it } from 'vitest';
import { parseDuration } from '../../src/identity/expiry.ts';

describe('durations', () => {
  it.each([
    ['90s', 90_000],
    ['15m', 900_000],
    ['12h', 43_200_000],
    ['30d', 2_592_000_000],
    ['3650d', 315_360_000_000],
  ])('reads %s as %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '0s', '00d', '-1d', '+1d', '1', 's', '1w', '1D', '1.5h', '1e3s', ' 1s', '1s ', '1s\n', '1h30m', '３d'])(
    'refuses %j',
    (text) => {
      expect(() => parseDuration(text)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
    },
  );

  it.each(['3651d', '999999999d', '99999999999999999999s'])('refuses %s, which is longer than ten years', (text) => {
    expect(() => parseDuration(text)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });
});
