/**
 * What is signed when the beginning of a chain is removed: where that ended, the peaks of its tree, and what was kept. The
 * text has a first line of its own, so that a checkpoint, which anyone may have a copy of, never stands for a pruning.
 */
import type Sqlite from 'better-sqlite3';
import { z } from 'zod';
import { canonicalJson } from '../../data/canonical.ts';
import { hasTable } from '../contents.ts';
import { type DatedHead, type SignedHead, signedHeadSchema } from '../proofs/signed-head.ts';
import type { SigningKey } from '../proofs/signing-key.ts';
import type { SignatureVerdict, TrustedKeys } from '../proofs/trusted-keys.ts';

/** The end of what was removed of a chain, before it is signed. */
export interface RemovedEnd extends DatedHead {
  /** Of the tree of what was removed, 64 hexadecimal digits each, the largest subtree first. */
  readonly peaks: readonly string[];
}

export interface SignedEnd extends SignedHead {
  readonly peaks: readonly string[];
  /** The digest of what is kept of all chains of the label (see `KeptSet`), 64 hexadecimal digits. */
  readonly kept: string;
}

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** A tree of more entries than there are numbers would have more peaks. */
const endSchema = signedHeadSchema.extend({ peaks: z.array(hash).max(53), kept: hash });

/** The text whose UTF-8 bytes are signed. */
export function pruningStatement(end: Omit<SignedEnd, 'signature'>): string {
  const { chain, entries, seq, head_hash, root, issued_at, key, peaks, kept } = end;
  const facts = { chain, entries, seq, head_hash, root, issued_at, key, peaks: [...peaks], kept };
  return `InfraFabric witness pruning\n${canonicalJson(facts)}`;
}

export function signEnd(key: SigningKey, removed: RemovedEnd, kept: string): SignedEnd {
  const { chain, entries, seq, head_hash, root, issued_at, peaks } = removed;
  const end = { chain, entries, seq, head_hash, root, issued_at, key: key.fingerprint, peaks, kept };
  return { ...end, signature: key.signText(pruningStatement(end)) };
}

export function verifyEnd(end: SignedEnd, trusted: TrustedKeys): SignatureVerdict {
  return trusted.verifyText(end.key, pruningStatement(end), end.signature);
}

/** What the table says of each chain; `end` is undefined where it is malformed. */
export function readEnds(sqlite: Sqlite.Database): Array<{ readonly chain: unknown; readonly end?: SignedEnd }> {
  if (!hasTable(sqlite, 'pruned')) return [];
  const rows = sqlite.prepare<[], Record<string, unknown>>('SELECT * FROM pruned ORDER BY chain').all();
  return rows.map((row) => {
    const { data: end } = endSchema.safeParse({ ...row, peaks: parse(row['peaks']) });
    return { chain: row['chain'], ...(end && { end }) };
  });
}

function parse(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}
