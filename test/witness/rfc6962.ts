/** RFC 6962 written down as it stands there, recursion and all: what the trees and proofs of the witness are compared with. */
import { createHash } from 'node:crypto';

export function sha(...parts: Uint8Array[]): Buffer {
  return createHash('sha256').update(Buffer.concat(parts)).digest();
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** 2.1: MTH(D[n]) of data entries. */
export function mth(data: readonly Buffer[]): Buffer {
  if (data.length === 0) return sha();
  if (data.length === 1) return sha(Buffer.of(0), data[0] as Buffer);
  const k = largestPowerBelow(data.length);
  return sha(Buffer.of(1), mth(data.slice(0, k)), mth(data.slice(k)));
}

/** 2.1.1: PATH(m, D[n]). */
export function path(m: number, data: readonly Buffer[]): Buffer[] {
  if (data.length === 1) return [];
  const k = largestPowerBelow(data.length);
  if (m < k) return [...path(m, data.slice(0, k)), mth(data.slice(k))];
  return [...path(m - k, data.slice(k)), mth(data.slice(0, k))];
}

/** 2.1.2: PROOF(m, D[n]) and its SUBPROOF. */
export function proof(m: number, data: readonly Buffer[], whole = true): Buffer[] {
  const n = data.length;
  if (m === n) return whole ? [] : [mth(data)];
  const k = largestPowerBelow(n);
  if (m <= k) return [...proof(m, data.slice(0, k), whole), mth(data.slice(k))];
  return [...proof(m - k, data.slice(k), false), mth(data.slice(0, k))];
}

function largestPowerBelow(n: number): number {
  return 2 ** (n - 1).toString(2).length / 2;
}
