/**
 * Checkpoints: the heads of all chains at one moment, signed. Kept elsewhere, they show what a chain alone cannot: that
 * its end was cut off, or that it was replaced. Two different heads of one place are never signed.
 */
import type Sqlite from 'better-sqlite3';
import { FabricError } from '../../errors.ts';
import { chainsOf, hasTable } from '../contents.ts';
import { keepCheckpoint, requireContinuation } from './checkpoint-file.ts';
import { type Checkpoint, checkpointFormat } from './checkpoint-format.ts';
import type { SignedHead } from './signed-head.ts';
import type { SigningKey } from './signing-key.ts';
import { type ChainTree, extendTree, openTree } from './tree.ts';

export { appendCheckpoint } from './checkpoint-file.ts';
export { type Checkpoint, readCheckpointFile, readCheckpoints } from './checkpoint-format.ts';
export type { ChainHead, SignedHead } from './signed-head.ts';

const createTables = `
  CREATE TABLE IF NOT EXISTS checkpoints (chain TEXT, seq INTEGER, entries INTEGER, head_hash TEXT, root TEXT,
    issued_at INTEGER, key TEXT, signature TEXT, PRIMARY KEY (chain, seq, key)) STRICT;
  CREATE TABLE IF NOT EXISTS checkpoint_keys (key TEXT PRIMARY KEY, public_key TEXT) STRICT;`;

const headColumns = 'chain, entries, seq, head_hash, root, issued_at, key, signature';

/**
 * Signs the heads of all chains as they are now, and keeps them in the database, which must be open for writing.
 * @param now milliseconds since 1970
 * @param file where the key's data directory keeps its checkpoints; this one is added to it
 * @throws FabricError CONFLICT when a chain does not go on from its last signed head, in the database or in the file: then
 *   nothing is signed. UNAVAILABLE or INVALID_REQUEST when the file takes no checkpoint: then nothing is kept.
 */
export function issueCheckpoint(sqlite: Sqlite.Database, key: SigningKey, now: number, file?: string): Checkpoint {
  sqlite.exec(createTables);
  for (const chain of chainsOf(sqlite)) extendTree(sqlite, chain);
  const store = sqlite.prepare(
    `INSERT OR IGNORE INTO checkpoints (${headColumns}) VALUES (@chain, @entries, @seq, @head_hash, @root, @issued_at, @key, @signature)`,
  );
  const storeKey = sqlite.prepare('INSERT OR IGNORE INTO checkpoint_keys (key, public_key) VALUES (?, ?)');
  const issue = sqlite.transaction((): Checkpoint => {
    const checkpoint = signHeads(sqlite, key, now, file);
    // The file before the database: after a crash in between, the next one goes on from the line that is there.
    if (file !== undefined && checkpoint.chains.length > 0) keepCheckpoint(file, sqlite, checkpoint);
    for (const head of checkpoint.chains) store.run(head);
    storeKey.run(key.fingerprint, key.publicKey);
    return checkpoint;
  });
  return issue.immediate();
}

/**
 * The same without keeping anything. For a consistent one, within a transaction.
 * @throws FabricError as `issueCheckpoint`
 */
export function signHeads(sqlite: Sqlite.Database, key: SigningKey, now: number, file?: string): Checkpoint {
  if (file !== undefined) requireContinuation(file, sqlite);
  const trees = chainsOf(sqlite).flatMap((chain) => openTree(sqlite, chain) ?? []);
  for (const tree of trees) requireSameHistory(sqlite, tree);
  const chains = trees.map((tree) => key.sign({ ...tree.head(), issued_at: now }));
  return { format: checkpointFormat, issued_at: now, public_key: key.publicKey, chains };
}

/** What was signed before has to be a part of what is signed now, or one of the two signatures would be a lie. */
function requireSameHistory(sqlite: Sqlite.Database, tree: ChainTree): void {
  const last = latestHead(sqlite, tree.chain);
  if (!last) return;
  if (tree.beginsWith(last)) return;
  throw new FabricError(
    'CONFLICT',
    `${tree.chain} does not go on from the head that was signed at ${last.seq}, so no head of it is signed; \`infrafabric witness verify\` says what is wrong`,
  );
}

/** The newest signed head of a chain, by any key or by this one; undefined when there is none. */
export function latestHead(sqlite: Sqlite.Database, chain: string, key?: string): SignedHead | undefined {
  if (!hasTable(sqlite, 'checkpoints')) return undefined;
  const select = `SELECT ${headColumns} FROM checkpoints WHERE chain = @chain`;
  return sqlite
    .prepare<[{ chain: string; key: string | undefined }], SignedHead>(
      `${select} ${key === undefined ? '' : 'AND key = @key'} ORDER BY seq DESC LIMIT 1`,
    )
    .get({ chain, key });
}

/** The public key of a fingerprint, as the checkpoints of this database have it. */
export function checkpointKey(sqlite: Sqlite.Database, fingerprint: string): string | undefined {
  if (!hasTable(sqlite, 'checkpoint_keys')) return undefined;
  return sqlite
    .prepare<[string], string>('SELECT public_key FROM checkpoint_keys WHERE key = ?')
    .pluck()
    .get(fingerprint);
}
