/** How long credentials are valid, as people write it: `90s`, `15m`, `12h`, `30d`. */
import { FabricError } from '../errors.ts';

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Ten years; who wants more leaves the expiry out. */
export const longestExpiryMs = 3_650 * 86_400_000;

/**
 * Reads a duration; the result is in milliseconds.
 * @throws FabricError INVALID_REQUEST unless it is a positive whole number with one unit, at most ten years.
 */
export function parseDuration(text: string): number {
  const [, digits, unit] = /^([0-9]{1,9})([smhd])$/.exec(text) ?? [];
  const ms = Number(digits) * (unitMs[unit ?? ''] ?? Number.NaN);
  if (!(ms > 0 && ms <= longestExpiryMs)) {
    throw new FabricError(
      'INVALID_REQUEST',
      `${JSON.stringify(text.slice(0, 40))} is not a duration: write a whole number and s, m, h or d, such as 90s, 12h or 30d, at most 3650d`,
    );
  }
  return ms;
}
