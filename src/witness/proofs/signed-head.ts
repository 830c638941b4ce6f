/**
 * What a checkpoint says of one chain, and the bytes that are signed for it. A head names the chain's last entry and the
 * root of the tree over all entries up to it, so whoever holds one can tell when any of them changed.
 */
import { z } from 'zod';
import { canonicalJson } from '../../data/canonical.ts';
import { parseChain } from '../chain-name.ts';

/** Where a chain ends. Hashes are 64 lower-case hexadecimal digits. */
export interface ChainHead {
  readonly chain: string;
  /** Rows of the chain, which is the size of its tree. */
  readonly entries: number;
  /** The last number that the chain accounts for: that of its last row, or the end of the gap that it is. */
  readonly seq: number;
  /** The content hash of the last row. */
  readonly head_hash: string;
  readonly root: string;
}

/** A head before it is signed. `issued_at` is milliseconds since 1970. */
export interface DatedHead extends ChainHead {
  readonly issued_at: number;
}

export interface SignedHead extends DatedHead {
  /** The fingerprint of the key that signed it. */
  readonly key: string;
  /** Ed25519, base64. */
  readonly signature: string;
}

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** Held to its exact form: whatever is not signed may not be in it. */
export const signedHeadSchema = z.strictObject({
  chain: z.string().refine((chain) => parseChain(chain) !== undefined, 'it is not the name of a chain'),
  entries: z.int().min(1),
  seq: z.int().min(1),
  head_hash: hash,
  root: hash,
  issued_at: z.int(),
  key: z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}$/),
  signature: z.string().regex(/^[A-Za-z0-9+/]{86}==$/),
}) satisfies z.ZodType<SignedHead>;

/** The text whose UTF-8 bytes are signed. Its first line keeps it apart from whatever else is signed with the key. */
export function statementOf(head: Omit<SignedHead, 'signature'>): string {
  const { chain, entries, seq, head_hash, root, issued_at, key } = head;
  return `InfraFabric witness checkpoint\n${canonicalJson({ chain, entries, seq, head_hash, root, issued_at, key })}`;
}
