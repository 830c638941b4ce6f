/** New ids: 128 random bits, in the alphabet of ids and subjects. */
import { randomBytes } from 'node:crypto';

export function newId(): string {
  return randomBytes(16).toString('base64url');
}
