/**
 * What stays of actors whose entries were removed: a receipt of the last one, with its proof and the signed head behind
 * which it lay. Restoring and replaying go on from it; a row of the same actor that is still there is always later.
 */
import type Sqlite from 'better-sqlite3';
import type { ActorRef } from '../../../machines/address.ts';
import { FabricError } from '../../errors.ts';
import { parseChain } from '../chain-name.ts';
import { columnNames, hashedColumns, type Stored, storedValues } from '../columns.ts';
import { hasTable } from '../contents.ts';
import type { Entry } from '../entry.ts';
import { RowHasher } from '../hash.ts';
import { leafHash, verifyInclusion } from '../proofs/merkle.ts';
import { entryFromRow, type Receipt, receiptFormat, receiptSchema } from '../proofs/receipt-format.ts';
import type { SignedHead } from '../proofs/signed-head.ts';
import type { ChainTree } from '../proofs/tree.ts';

// One tree and no index beside it, so that there is one order in which everybody reads it.
const createKept = `CREATE TABLE IF NOT EXISTS kept (kind TEXT, actor_id TEXT, chain TEXT NOT NULL, seq INTEGER NOT NULL,
  content_hash TEXT NOT NULL, receipt TEXT NOT NULL, PRIMARY KEY (actor_id, kind)) STRICT, WITHOUT ROWID`;

/** What is kept of one actor, in short: what is signed of it. */
export interface KeptItem {
  readonly kind: string;
  readonly actor_id: string;
  readonly chain: string;
  readonly seq: number;
  readonly content_hash: string;
}

interface KeptRow extends KeptItem {
  readonly receipt: string;
}

/** Receipts that are read at a time. */
const batch = 200;

/** What is kept, in order of the UTF-8 bytes of id and kind. */
export function* keptItems(sqlite: Sqlite.Database): Generator<KeptItem> {
  if (!hasTable(sqlite, 'kept')) return;
  yield* sqlite
    .prepare<[], KeptItem>('SELECT kind, actor_id, chain, seq, content_hash FROM kept ORDER BY actor_id, kind')
    .iterate();
}

/**
 * The last entries of actors whose rows were removed, each once; some of them have later rows.
 * @throws FabricError CONFLICT at one that was altered
 */
export function* keptEntries(sqlite: Sqlite.Database): Generator<Entry> {
  if (!hasTable(sqlite, 'kept')) return;
  const hasher = new RowHasher();
  const next = sqlite.prepare<[string, string, number], KeptRow>(
    'SELECT * FROM kept WHERE (actor_id, kind) > (?, ?) ORDER BY actor_id, kind LIMIT ?',
  );
  let [id, kind] = ['', ''];
  for (;;) {
    // Never an open statement between two steps: whoever reads may write meanwhile.
    const found = next.all(id, kind, batch);
    for (const row of found) yield entryOf(row, hasher);
    const last = found.at(-1);
    if (!last || found.length < batch) return;
    [id, kind] = [last.actor_id, last.kind];
  }
}

/** What was kept of one actor; undefined when nothing was. @throws FabricError CONFLICT when it was altered */
export function keptEntry(sqlite: Sqlite.Database, { kind, id }: ActorRef): Entry | undefined {
  if (!hasTable(sqlite, 'kept')) return undefined;
  const row = sqlite
    .prepare<[string, string], KeptRow>('SELECT * FROM kept WHERE kind = ? AND actor_id = ?')
    .get(kind, id);
  return row && entryOf(row, new RowHasher());
}

/** The entry of the receipt, if it is the one that was signed as kept. */
function entryOf(row: KeptRow, hasher: RowHasher): Entry {
  const entry = entryIn(row.receipt);
  const isSame =
    entry !== undefined &&
    isOf(entry, row) &&
    hasher.hash([...storedValues(entry), entry.content_hash], hashedColumns) === entry.content_hash;
  if (isSame) return entry;
  throw new FabricError(
    'CONFLICT',
    `what was kept of ${row.kind}:${row.actor_id} was altered; \`infrafabric witness verify\` says more, a copy of the database from before has it right`,
  );
}

/** Whether an entry is the one that was kept. */
export function isOf(entry: Entry, { kind, actor_id, chain, seq, content_hash }: KeptItem): boolean {
  return (
    entry.kind === kind &&
    entry.actor_id === actor_id &&
    entry.chain === chain &&
    entry.seq === seq &&
    entry.content_hash === content_hash
  );
}

function entryIn(receipt: string): Entry | undefined {
  try {
    const { data } = receiptSchema.safeParse(JSON.parse(receipt));
    return data?.entries.length === 1 ? data.entries[0] : undefined;
  } catch {
    return undefined;
  }
}

/** The table, open for writing; within a transaction. */
export class KeptTable {
  readonly #row: Sqlite.Statement<[string, number], unknown>;
  readonly #newest: Sqlite.Statement<[string, string], { chain: string; seq: number }>;
  readonly #put: Sqlite.Statement<[string, string, string, number, string, string]>;
  readonly #remove: Sqlite.Statement<[string, string]>;

  constructor(sqlite: Sqlite.Database) {
    sqlite.exec(createKept);
    this.#row = sqlite
      .prepare<[string, number], unknown>(`SELECT ${columnNames} FROM entries WHERE chain = ? AND seq = ?`)
      .raw()
      .safeIntegers();
    // The index of kinds would lead to most of the rows.
    this.#newest = sqlite.prepare(
      'SELECT chain, seq FROM entries WHERE actor_id = ? AND +kind = ? ORDER BY timestamp DESC LIMIT 1',
    );
    this.#put = sqlite.prepare(
      'INSERT OR REPLACE INTO kept (kind, actor_id, chain, seq, content_hash, receipt) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#remove = sqlite.prepare('DELETE FROM kept WHERE kind = ? AND actor_id = ?');
  }

  /** An entry that is still there. @throws FabricError CONFLICT when it is none that the witness wrote */
  entry(chain: string, seq: number): Entry {
    const entry = entryFromRow((this.#row.get(chain, seq) ?? []) as Stored[]);
    if (entry) return entry;
    throw new FabricError(
      'CONFLICT',
      `entry ${seq} of ${chain} cannot be kept; \`infrafabric witness verify\` says why`,
    );
  }

  /**
   * Whether the actor has a row that comes after this one. One that a clock that was set back hides is not found: then
   * more is kept than is needed.
   */
  hasLater(kind: string, actor_id: string, { chain, seq }: { chain: string; seq: number }): boolean {
    const newest = this.#newest.get(actor_id, kind);
    if (!newest) return false;
    const [epoch, newestEpoch] = [parseChain(chain)?.epoch ?? 0, parseChain(newest.chain)?.epoch ?? 0];
    return newestEpoch > epoch || (newestEpoch === epoch && newest.seq > seq);
  }

  /** Keeps the entry, in place of an earlier one of the actor. @throws FabricError CONFLICT when it is not behind the head */
  keep(entry: Entry, { head, tree, publicKey }: { head: SignedHead; tree: ChainTree; publicKey: string }): void {
    const { chain, seq, kind, actor_id, content_hash } = entry;
    const proof = tree.inclusion(seq, head.entries);
    if (!verifyInclusion({ ...proof, leaf: leafHash(content_hash), size: head.entries, root: head.root }))
      throw new FabricError('CONFLICT', `entry ${seq} of ${chain} is not in the tree of its chain; nothing was pruned`);
    const receipt: Receipt = {
      format: receiptFormat,
      actor: null,
      issued_at: head.issued_at,
      entries: [entry],
      proofs: [{ chain, seq, ...proof }],
      public_key: publicKey,
      checkpoints: [head],
      signature: null,
    };
    this.#put.run(kind ?? '', actor_id ?? '', chain, seq, content_hash, JSON.stringify(receipt));
  }

  forget(kind: string, actor_id: string): void {
    this.#remove.run(kind, actor_id);
  }
}
