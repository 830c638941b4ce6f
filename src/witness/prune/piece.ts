/**
 * Removes the oldest entries of one chain, in one transaction: they are checked, the end of them is signed, what has to
 * stay of them is kept, and they are gone. At any moment, also after a crash, the chain verifies.
 */
import type Sqlite from 'better-sqlite3';
import { FabricError } from '../../errors.ts';
import { columnNames, type Stored } from '../columns.ts';
import type { Entry } from '../entry.ts';
import type { ChainHead, SignedHead } from '../proofs/signed-head.ts';
import type { SigningKey } from '../proofs/signing-key.ts';
import { type ChainTree, openTree } from '../proofs/tree.ts';
import { prunedPart, tileLeaves } from '../proofs/tree-tiles.ts';
import type { TrustedKeys } from '../proofs/trusted-keys.ts';
import { at } from '../verify/field-check.ts';
import { CheckedPart, isLoss } from './check.ts';
import { EndsTable } from './ends.ts';
import { KeptTable } from './kept.ts';

export interface PieceOptions {
  readonly chain: string;
  /** Entries of this time or later stay, milliseconds since 1970. */
  readonly before: number;
  /** Entries of the chain that a signed checkpoint covers; no more go. */
  readonly covered: number;
  /** Whether the last entry of the chain stays, because the next one will follow it. */
  readonly keep_end: boolean;
  /** At most so many entries go. */
  readonly most: number;
  readonly key: SigningKey;
  /** Who may have signed the ends that are there. */
  readonly trusted: TrustedKeys;
  readonly now: number;
  /** Whether this entry, the last of its actor, has to be kept. */
  readonly matters: (entry: Entry) => boolean;
}

export interface Piece {
  readonly removed: number;
  /** There may be more to do; or nothing is left; or the rest is not old enough or not covered; or messages were lost. */
  readonly end: 'more' | 'empty' | 'reached' | 'loss';
}

/** The last row of an actor inside the piece. */
interface LastRow {
  readonly kind: string;
  readonly actor_id: string;
  readonly seq: number;
}

/** @throws FabricError CONFLICT when an entry, or what was kept before, is not what was signed: then nothing is removed */
export function prunePiece(sqlite: Sqlite.Database, options: PieceOptions): Piece {
  return sqlite.transaction(() => prune(sqlite, options)).immediate();
}

function prune(sqlite: Sqlite.Database, options: PieceOptions): Piece {
  const { chain, key, now } = options;
  const before = prunedPart(sqlite, chain);
  const part = new CheckedPart(chain, before);
  const last = new Map<string, LastRow>();
  const why = read(sqlite, options, part, before.seq, last);
  const removed = part.entries - before.entries;
  const tree = openTree(sqlite, chain);
  if (removed === 0 || !tree) return { removed: 0, end: why };
  const root = part.root();
  if (tree.rootAt(part.entries) !== root) throw otherHistory(chain, part.seq);
  const { entries, seq, head_hash } = part;
  const end = { chain, entries, seq, head_hash, root, issued_at: now };
  const ends = new EndsTable(sqlite, options);
  keepLast(sqlite, options, { head: key.sign(end), tree, publicKey: key.publicKey }, last.values());
  sqlite.prepare('DELETE FROM entries WHERE chain = ? AND seq <= ?').run(chain, seq);
  ends.sign({ ...end, peaks: part.peaks() });
  forgetDerived(sqlite, end);
  return { removed, end: why };
}

/** Takes in what may go, as far as it may. */
function read(
  sqlite: Sqlite.Database,
  { chain, before, covered, keep_end, most }: PieceOptions,
  part: CheckedPart,
  after: number,
  last: Map<string, LastRow>,
): Piece['end'] {
  const newest = sqlite.prepare<[string], number>('SELECT max(seq) FROM entries WHERE chain = ?').pluck().get(chain);
  const rows = sqlite
    .prepare<[string, number, number], unknown>(
      `SELECT ${columnNames} FROM entries WHERE chain = ? AND seq > ? ORDER BY seq LIMIT ?`,
    )
    .raw()
    .safeIntegers();
  let taken = 0;
  for (const found of rows.iterate(chain, after, most)) {
    const row = found as Stored[];
    const seq = Number(row[at.seq]);
    if ((keep_end && seq === newest) || Number(row[at.timestamp]) >= before || part.entries >= covered)
      return 'reached';
    if (isLoss(row)) return 'loss';
    part.add(row);
    taken += 1;
    const { kind, actor_id } = { kind: row[at.kind], actor_id: row[at.actor_id] };
    // What agents said is nobody's state: there is nothing to restore of it.
    if (typeof kind === 'string' && typeof actor_id === 'string' && kind !== 'journal')
      last.set(`${kind} ${actor_id}`, { kind, actor_id, seq });
  }
  return taken < most ? 'empty' : 'more';
}

/** Of each actor whose last entry is among those that go: a receipt of it, if it matters. */
function keepLast(
  sqlite: Sqlite.Database,
  { chain, matters }: PieceOptions,
  proving: { head: SignedHead; tree: ChainTree; publicKey: string },
  last: Iterable<LastRow>,
): void {
  const table = new KeptTable(sqlite);
  for (const { kind, actor_id, seq } of last) {
    const hasLater = table.hasLater(kind, actor_id, { chain, seq });
    const entry = hasLater ? undefined : table.entry(chain, seq);
    if (entry && matters(entry)) table.keep(entry, proving);
    else table.forget(kind, actor_id);
  }
}

/** What was derived from entries that are gone: tiles of their tree, and heads inside of it. */
function forgetDerived(sqlite: Sqlite.Database, { chain, entries }: ChainHead): void {
  sqlite.prepare('DELETE FROM tree_tiles WHERE chain = ? AND tile < ?').run(chain, Math.floor(entries / tileLeaves));
  sqlite.prepare('DELETE FROM checkpoints WHERE chain = ? AND entries < ?').run(chain, entries);
}

function otherHistory(chain: string, seq: number): FabricError {
  return new FabricError(
    'CONFLICT',
    `the entries of ${chain} up to ${seq} are not those that a checkpoint was signed for, so nothing was pruned; \`infrafabric witness verify\` says more`,
    { chain, seq },
  );
}
