/** `infrafabric witness prune`: removes old entries of a witness database behind a checkpoint that it signs first. */

import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import Sqlite from 'better-sqlite3';
import { systemClock } from '../../clock.ts';
import { FabricError } from '../../errors.ts';
import { WitnessDatabase } from '../../witness/database.ts';
import { checkpointsFile, witnessPath } from '../../witness/files.ts';
import { issueCheckpoint } from '../../witness/proofs/checkpoint.ts';
import { openSigningKey, type SigningKey, trustedKeysOf } from '../../witness/proofs/signing-key.ts';
import { TrustedKeys } from '../../witness/proofs/trusted-keys.ts';
import { type PrunedChain, prune as pruneEntries } from '../../witness/prune/prune.ts';
import { textOf, timeOf } from '../option-values.ts';
import { exitCodes } from '../output.ts';
import type { CommandRun } from '../program.ts';
import { formatTime } from '../table.ts';

/** The witness of a fabric that runs may have the file open; the two take turns. */
export const prune: CommandRun = async (context, _, options) => {
  const { out } = context;
  const { config } = await context.resolve();
  const own = witnessPath(config.data_dir);
  const path = resolve(textOf(options, '--db') ?? own);
  const before = timeOf(options, '--before');
  if (before === undefined)
    throw new FabricError('INVALID_REQUEST', '--before is missing; say how old entries must be');
  if (!statSync(path, { throwIfNoEntry: false })?.isFile())
    throw new FabricError('UNAVAILABLE', `there is no file ${path}; give the path of a witness database`);
  const isOwn = path === resolve(own);
  if (!isOwn) requireKey(config.data_dir, path);
  const key = await openSigningKey(config.data_dir);
  const database = WitnessDatabase.open(path);
  try {
    const { sqlite } = database;
    const now = systemClock.now();
    issueCheckpoint(sqlite, key, now, isOwn ? checkpointsFile(config.data_dir) : undefined);
    const trusted = trustedKeysOf(config.data_dir) ?? new TrustedKeys([]);
    const { archive_after_ms } = config;
    const chains = pruneEntries(sqlite, { before, now, key, trusted, archive_after_ms });
    if (options['compact'] === true) sqlite.exec('VACUUM');
    const removed = chains.reduce((sum, chain) => sum + chain.removed, 0);
    out.data({ db: path, before, key: key.fingerprint, removed, chains });
    describe(out, { chains, key, before, removed });
    return exitCodes.done;
  } catch (error) {
    if (!(error instanceof Sqlite.SqliteError)) throw error;
    throw new FabricError('UNAVAILABLE', `${path} could not be pruned: ${error.message}`, undefined, { cause: error });
  } finally {
    database.close();
  }
};

/** A key that is made for this would be one that nobody trusts. */
function requireKey(dataDir: string, path: string): void {
  if (trustedKeysOf(dataDir)) return;
  throw new FabricError(
    'INVALID_REQUEST',
    `${dataDir} has no key to sign the end of what is removed from ${path}; name the data directory that has it with --data-dir`,
  );
}

function describe(
  out: Parameters<CommandRun>[0]['out'],
  {
    chains,
    key,
    before,
    removed,
  }: { chains: readonly PrunedChain[]; key: SigningKey; before: number; removed: number },
): void {
  const rows = chains.map(({ chain, removed: count, pruned_through }) => ({ chain, removed: count, pruned_through }));
  const columns = [{ key: 'chain' }, { key: 'removed' }, { key: 'pruned_through', title: 'gone up to' }] as const;
  if (chains.length > 0) out.table(columns, rows);
  for (const { chain, stopped_at_loss } of chains)
    if (stopped_at_loss)
      out.note(`${chain}: messages were lost after that, which stays on record with all that follows`);
  const what = removed === 0 ? 'no entry was removed' : `${removed} entries were removed`;
  out.line(`older than ${formatTime(before)}: ${what}; their end is signed by ${key.fingerprint}`);
}
