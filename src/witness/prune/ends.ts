/**
 * The table of the signed ends of what was removed, open for writing. Within one transaction what was kept is compared with
 * what was signed before, changed, and signed anew: what someone else changed is never signed.
 */
import type Sqlite from 'better-sqlite3';
import type { SigningKey } from '../proofs/signing-key.ts';
import type { TrustedKeys } from '../proofs/trusted-keys.ts';
import { keptItems } from './kept.ts';
import { KeptSet, requireKept } from './kept-set.ts';
import { type RemovedEnd, type SignedEnd, signEnd } from './statement.ts';

const createPruned = `CREATE TABLE IF NOT EXISTS pruned (chain TEXT PRIMARY KEY, seq INTEGER NOT NULL,
  entries INTEGER NOT NULL, head_hash TEXT NOT NULL, root TEXT NOT NULL, issued_at INTEGER NOT NULL, key TEXT NOT NULL,
  signature TEXT NOT NULL, peaks TEXT NOT NULL, kept TEXT NOT NULL) STRICT`;

export class EndsTable {
  readonly #sqlite: Sqlite.Database;
  readonly #key: SigningKey;
  readonly #now: number;
  readonly #ends: ReadonlyMap<string, SignedEnd>;

  /** Before anything is changed. @throws FabricError CONFLICT when what is there is not what was signed */
  constructor(sqlite: Sqlite.Database, { key, trusted, now }: { key: SigningKey; trusted: TrustedKeys; now: number }) {
    sqlite.exec(createPruned);
    this.#sqlite = sqlite;
    this.#key = key;
    this.#now = now;
    this.#ends = new Map(requireKept(sqlite, trusted).map((end) => [end.chain, end]));
  }

  /** After all changes: signs the end of a chain, if it moved, and all ends whose kept entries are others now. */
  sign(moved?: RemovedEnd): void {
    const set = new KeptSet();
    for (const item of keptItems(this.#sqlite)) set.add(item);
    const put = this.#sqlite.prepare<[Record<string, unknown>]>(
      `INSERT OR REPLACE INTO pruned (chain, seq, entries, head_hash, root, issued_at, key, signature, peaks, kept)
        VALUES (@chain, @seq, @entries, @head_hash, @root, @issued_at, @key, @signature, @peaks, @kept)`,
    );
    const write = (end: RemovedEnd) => {
      const signed = signEnd(this.#key, end, set.digest(end.chain));
      put.run({ ...signed, peaks: JSON.stringify(signed.peaks) });
    };
    if (moved) write(moved);
    for (const end of this.#ends.values())
      if (end.chain !== moved?.chain && end.kept !== set.digest(end.chain)) write({ ...end, issued_at: this.#now });
  }
}
