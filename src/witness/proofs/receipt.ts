/**
 * Makes receipts: the entries of one actor, or one entry, with what it takes to verify them by the public key alone.
 * Nothing of other actors is in them. A receipt that would not verify is not made.
 */
import type Sqlite from 'better-sqlite3';
import { type ActorRef, formatRef } from '../../../machines/address.ts';
import { FabricError } from '../../errors.ts';
import { parseChain } from '../chain-name.ts';
import { columnNames, type Stored } from '../columns.ts';
import { type Entry, gapEvent } from '../entry.ts';
import { checkpointKey } from './checkpoint.ts';
import { verifyReceipt } from './receipt-check.ts';
import {
  type EntryProof,
  entryFromRow,
  maxReceiptEntries,
  newestOf,
  type Receipt,
  receiptFormat,
} from './receipt-format.ts';
import { receiptStatement } from './receipt-statement.ts';
import type { SignedHead } from './signed-head.ts';
import type { SigningKey } from './signing-key.ts';
import { type ChainTree, requireTree } from './tree.ts';
import { publicKeyFrom, TrustedKeys } from './trusted-keys.ts';

export { type ReceiptReport, verifyReceipt } from './receipt-check.ts';
export type { Receipt } from './receipt-format.ts';

/** One entry of the witness. */
export interface EntryRef {
  readonly chain: string;
  readonly seq: number;
}

export type ReceiptSubject = ActorRef | EntryRef;

/**
 * The receipt of an actor or of one entry, up to these signed heads, which are of one key. With `signer` the heads are
 * fresh: entries that came after them are left out, and the receipt is signed as complete.
 * @throws FabricError TARGET_NOT_FOUND when there is nothing of the subject, INVALID_REQUEST when there is too much; CONFLICT when the
 *   heads do not cover the entries, or the database does not hold what they say.
 */
export function makeReceipt(
  sqlite: Sqlite.Database,
  subject: ReceiptSubject,
  heads: readonly SignedHead[],
  signer?: SigningKey,
): Receipt {
  return sqlite.transaction(() => make(sqlite, subject, heads, signer)).deferred();
}

function make(
  sqlite: Sqlite.Database,
  subject: ReceiptSubject,
  heads: readonly SignedHead[],
  signer: SigningKey | undefined,
): Receipt {
  const covers = ({ chain, seq }: EntryRef) => heads.some((head) => head.chain === chain && head.seq >= seq);
  const found = entriesOf(sqlite, subject);
  const covered = found.filter(covers);
  const beyond = found.find((entry) => !covers(entry));
  if (found.length === 0) throw notFound(subject);
  if (covered.length === 0 || (beyond && !signer)) throw uncovered(beyond ?? subject);
  const entries = withGaps(sqlite, covered);
  if (entries.length > maxReceiptEntries) throw tooMany(subject);
  const chains = new Set(entries.map(({ chain }) => chain));
  const checkpoints = heads.filter(({ chain }) => chains.has(chain));
  const key = checkpoints[0]?.key ?? '';
  const receipt = {
    format: receiptFormat,
    actor: 'kind' in subject ? formatRef(subject) : null,
    issued_at: newestOf(checkpoints),
    entries,
    proofs: prove(sqlite, entries, checkpoints),
    public_key: signer?.publicKey ?? checkpointKey(sqlite, key) ?? '',
    checkpoints,
  } as const;
  const signature = signer ? signer.signText(receiptStatement(receipt, signer.fingerprint)) : null;
  return checked({ ...receipt, signature });
}

/** The entries of a subject in order of epoch and number. */
function entriesOf(sqlite: Sqlite.Database, subject: ReceiptSubject): Entry[] {
  if (!('kind' in subject)) return select(sqlite, 'chain = ? AND seq = ?', [subject.chain, subject.seq]);
  // The index of kinds would lead to most of the rows.
  const entries = select(sqlite, 'actor_id = ? AND +kind = ?', [subject.id, subject.kind]);
  if (entries.length > maxReceiptEntries) throw tooMany(subject);
  return entries.sort(inOrder);
}

/** Between two transitions of an actor that do not follow each other: the gap rows that say why. */
function withGaps(sqlite: Sqlite.Database, entries: readonly Entry[]): Entry[] {
  return entries.flatMap((entry, at) => {
    const before = entries[at - 1];
    if (!before || before.n === null || entry.n === null || entry.n === before.n + 1 || entry.n === 1) return [entry];
    return [...gapsBetween(sqlite, before, entry), entry];
  });
}

function gapsBetween(sqlite: Sqlite.Database, before: Entry, after: Entry): Entry[] {
  const gaps = 'event = ? AND +kind IS NULL AND +chain = ?';
  const behind = select(sqlite, `${gaps} AND +seq > ?`, [gapEvent, before.chain, before.seq]);
  if (before.chain === after.chain) return behind.filter(({ seq }) => seq < after.seq).sort(inOrder);
  return [...behind, ...select(sqlite, `${gaps} AND +seq < ?`, [gapEvent, after.chain, after.seq])].sort(inOrder);
}

function select(sqlite: Sqlite.Database, where: string, values: readonly (string | number)[]): Entry[] {
  const rows = sqlite
    .prepare<unknown[], Stored[]>(`SELECT ${columnNames} FROM entries WHERE ${where} LIMIT ${maxReceiptEntries + 1}`)
    .raw()
    .safeIntegers()
    .all(...values);
  return rows.map((row) => {
    const entry = entryFromRow(row);
    if (!entry) throw altered(`${String(row[0])}/${String(row[1])} is not as the witness writes it`);
    return entry;
  });
}

function prove(sqlite: Sqlite.Database, entries: readonly Entry[], heads: readonly SignedHead[]): EntryProof[] {
  const trees = new Map<string, ChainTree>();
  return entries.map(({ chain, seq }) => {
    const head = heads.find((each) => each.chain === chain);
    const tree = trees.get(chain) ?? requireTree(sqlite, chain);
    trees.set(chain, tree);
    return { chain, seq, ...tree.inclusion(seq, head?.entries) };
  });
}

/** Whoever is given a receipt should not be the first to find that the database was altered. */
function checked(receipt: Receipt): Receipt {
  const key = publicKeyFrom(receipt.public_key);
  const [fault] = key ? verifyReceipt(receipt, new TrustedKeys([key])).errors : [];
  if (!key) throw uncovered(receipt.entries[0] as Entry);
  if (fault) throw altered(fault.message);
  return receipt;
}

/** By stream, epoch and number. */
function inOrder(a: Entry, b: Entry): number {
  if (a.chain === b.chain) return a.seq - b.seq;
  const [left, right] = [parseChain(a.chain), parseChain(b.chain)];
  if (!left || !right || left.label !== right.label) return a.chain < b.chain ? -1 : 1;
  return left.epoch - right.epoch;
}

function nameOf(subject: ReceiptSubject): string {
  return 'kind' in subject ? formatRef(subject) : `${subject.chain}/${subject.seq}`;
}

function notFound(subject: ReceiptSubject): FabricError {
  return new FabricError(
    'TARGET_NOT_FOUND',
    `the witness has no entry of ${nameOf(subject)}; \`infrafabric witness query\` shows what it has`,
  );
}

function uncovered(subject: ReceiptSubject): FabricError {
  return new FabricError(
    'CONFLICT',
    `no signed checkpoint covers ${nameOf(subject)}; run \`infrafabric witness checkpoint\` where the witness runs, and take the database from there`,
  );
}

function tooMany(subject: ReceiptSubject): FabricError {
  return new FabricError(
    'INVALID_REQUEST',
    `${nameOf(subject)} has more than ${maxReceiptEntries} entries, too many for one receipt; name single entries with --seq`,
  );
}

function altered(what: string): FabricError {
  return new FabricError(
    'CONFLICT',
    `${what}, so no receipt can be made; \`infrafabric witness verify\` says what is wrong`,
  );
}
