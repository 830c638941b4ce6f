/** New ids: 122 random bits, in the alphabet of ids and subjects. */
import { randomUUID } from 'node:crypto';

export function newId(): string {
  return randomUUID().replaceAll('-', '');
}
