/**
 * The signed ends of what was removed from chains, and the receipts of what was kept of it. A chain may begin behind such
 * an end only if a trusted key signed it: anyone can cut off a beginning.
 */
import type Sqlite from 'better-sqlite3';
import { z } from 'zod';
import { hasTable } from '../contents.ts';
import { rootOfPeaks } from '../proofs/merkle.ts';
import { verifyReceipt } from '../proofs/receipt-check.ts';
import type { Receipt } from '../proofs/receipt-format.ts';
import type { SignedHead } from '../proofs/signed-head.ts';
import type { SignatureVerdict, TrustedKeys } from '../proofs/trusted-keys.ts';
import { isOf, type KeptItem } from '../prune/kept.ts';
import { KeptSet } from '../prune/kept-set.ts';
import { readEnds, type SignedEnd, verifyEnd } from '../prune/statement.ts';
import type { FaultCode } from './fault.ts';

/** Where a chain begins of which the first entries were removed. */
export interface Beginning {
  readonly chain: string;
  /** The last number that is gone. */
  readonly seq: number;
  readonly head_hash: string;
  /** How many entries are gone, and the peaks of their tree; undefined when what says so is not to be believed. */
  readonly tree?: { readonly size: number; readonly peaks: readonly string[] };
  readonly head?: SignedHead;
}

export type NoteOfChain = (chain: string, seq: number, code: FaultCode, message: string) => void;

const chainPattern = /^[\w/]{1,64}$/;

const itemSchema = z.object({
  kind: z.string(),
  actor_id: z.string(),
  chain: z.string(),
  seq: z.int(),
  content_hash: z.string(),
}) satisfies z.ZodType<KeptItem>;

/** The beginnings of the chains of a file, by chain; whatever is wrong with them is noted. */
export function readBeginnings(
  sqlite: Sqlite.Database,
  trusted: TrustedKeys | undefined,
  note: NoteOfChain,
): ReadonlyMap<string, Beginning> {
  const beginnings = new Map<string, Beginning>();
  for (const { chain: name, end } of readEnds(sqlite)) {
    if (!end) {
      const chain = typeof name === 'string' && chainPattern.test(name) ? name : '*';
      note(chain, 0, 'FIELD_TYPE', 'the signed end of the part that was removed is malformed');
      continue;
    }
    const { chain, seq, head_hash, peaks } = end;
    const wrong = whyNot(end.key, trusted && verifyEnd(end, trusted));
    if (wrong)
      note(chain, seq, 'SIGNATURE_INVALID', `the part up to entry ${seq} was removed; its signed end ${wrong}`);
    const tree = isTreeOf(end) ? { size: end.entries, peaks } : undefined;
    if (!tree)
      note(chain, seq, 'CHECKPOINT_MISMATCH', 'the peaks of the part that was removed do not give its signed root');
    beginnings.set(chain, { chain, seq, head_hash, head: end, ...(tree && { tree }) });
  }
  return beginnings;
}

/** Verifies the receipts of entries that were kept, and that they are all that were signed as kept. */
export function checkKept(sqlite: Sqlite.Database, trusted: TrustedKeys | undefined, note: NoteOfChain): void {
  const set = new KeptSet(readEnds(sqlite).flatMap(({ end }) => end ?? []));
  const rows = hasTable(sqlite, 'kept')
    ? sqlite.prepare<[], Record<string, unknown>>('SELECT * FROM kept ORDER BY actor_id, kind').iterate()
    : [];
  let isKeySaid = false;
  for (const row of rows) {
    const what = `the kept entry of ${String(row['kind'])}:${String(row['actor_id'])}`;
    const { data: item } = itemSchema.safeParse(row);
    if (item) set.add(item);
    else note('*', 0, 'FIELD_TYPE', `${what} is not in a row as the witness writes it`);
    if (trusted) checkReceipt(row['receipt'], { item, what, trusted, note });
    else if (!isKeySaid) {
      isKeySaid = true;
      const message = `${what} and others cannot be verified without a public key; name it with --key`;
      note('*', 0, 'SIGNATURE_INVALID', message);
    }
  }
  for (const { chain, seq, message } of set.faults())
    note(chainPattern.test(chain) ? chain : '*', seq, 'CHECKPOINT_MISMATCH', message);
}

function checkReceipt(
  receipt: unknown,
  { item, what, trusted, note }: { item: KeptItem | undefined; what: string; trusted: TrustedKeys; note: NoteOfChain },
): void {
  const value = parse(receipt);
  const report = verifyReceipt(value, trusted);
  const [entry] = report.entries;
  for (const fault of report.errors)
    note(fault.chain ?? entry?.chain ?? '*', fault.seq, fault.code, `${what}: ${fault.message}`);
  if (!report.ok || !item) return;
  const [kept] = (value as Receipt).entries;
  if (!kept || report.entries.length !== 1 || !isOf(kept, item))
    note(entry?.chain ?? '*', entry?.seq ?? 0, 'FIELD_TYPE', `${what} is of another actor, or another entry`);
}

/** What is wrong with the signature of a head; undefined when a trusted key signed it. */
export function wrongSignature(head: SignedHead, trusted: TrustedKeys | undefined): string | undefined {
  return whyNot(head.key, trusted?.verify(head));
}

/** Without a verdict, nobody is trusted. */
function whyNot(key: string, verdict: SignatureVerdict | undefined): string | undefined {
  if (verdict === undefined) return `is signed by the key ${key}, and no public key is trusted; name it with --key`;
  if (verdict === 'ok') return undefined;
  return verdict === 'unknown key'
    ? `is signed by the key ${key}, which is not trusted; name it with --key if it should be`
    : `is not what the key ${key} signed`;
}

function isTreeOf({ entries, peaks, root }: SignedEnd): boolean {
  try {
    return rootOfPeaks(entries, peaks) === root;
  } catch {
    return false;
  }
}

function parse(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}
