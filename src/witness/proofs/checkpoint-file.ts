/**
 * Files of checkpoints, one per line, each with the proofs that it extends the one before it, so that a file can be
 * verified alone. Lines are only ever added, whole. The file that a signing key's data directory keeps is what the next
 * signature has to go on from, and is begun anew before it gets too large to be read whole.
 */
import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type Sqlite from 'better-sqlite3';
import { FabricError } from '../../errors.ts';
import { lastCheckpoint, readEnd } from './checkpoint-end.ts';
import { type Checkpoint, type ConsistencyProof, formatCheckpoint } from './checkpoint-format.ts';
import { rollFile } from './checkpoint-roll.ts';
import type { SignedHead } from './signed-head.ts';
import { openTree } from './tree.ts';

/** What a data directory's own file may grow to. */
const maxOwnBytes = 33_554_432;

/**
 * Adds a checkpoint to a file, which is created (mode 0600) when it does not exist, with proofs from the last one there.
 * It is on disk when this returns. Adds nothing when the last one there is a later one of the same history. Processes
 * that share a database take turns.
 * @throws FabricError CONFLICT when the chains do not go on from the last checkpoint of the file, UNAVAILABLE when the
 *   file cannot be read or written, INVALID_REQUEST when it holds something else.
 */
export async function appendCheckpoint(file: string, sqlite: Sqlite.Database, checkpoint: Checkpoint): Promise<void> {
  const append = sqlite.transaction(() => appendInTurn(file, sqlite, checkpoint));
  if (sqlite.readonly) append.deferred();
  else append.immediate();
}

/**
 * The same for the file that the data directory of the signing key keeps; within a transaction. A checkpoint that says
 * what the last one there says is not added. A file that would get larger than `maxBytes` is put aside under another name,
 * and the checkpoint begins a new one.
 * @throws FabricError as `appendCheckpoint`
 */
export function keepCheckpoint(
  file: string,
  sqlite: Sqlite.Database,
  checkpoint: Checkpoint,
  maxBytes = maxOwnBytes,
): void {
  if (!saysTheSame(lastCheckpoint(file), checkpoint)) appendInTurn(file, sqlite, checkpoint, maxBytes);
}

/**
 * Throws unless the database goes on from the last checkpoint of the file; when there is none, it does.
 * @throws FabricError CONFLICT, UNAVAILABLE when the file cannot be read, INVALID_REQUEST when it holds something else.
 */
export function requireContinuation(file: string, sqlite: Sqlite.Database): void {
  for (const head of lastCheckpoint(file)?.chains ?? []) {
    const tree = openTree(sqlite, head.chain);
    if (!tree || tree.entries < head.entries) throw fallenBehind(file, head, tree?.entries ?? 0);
    if (!tree.beginsWith(head)) throw rewritten(file, head);
  }
}

function appendInTurn(
  file: string,
  sqlite: Sqlite.Database,
  checkpoint: Checkpoint,
  maxBytes = Number.POSITIVE_INFINITY,
): void {
  const isNew = !existsSync(file);
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, isNew ? 'ax+' : 'a+', 0o600);
    const { last, end, endsLine } = readEnd(descriptor);
    const next = last ? continued(sqlite, checkpoint, last, file) : checkpoint;
    if (!next) return;
    const line = `${endsLine ? '' : '\n'}${formatCheckpoint(next)}`;
    if (last && end + Buffer.byteLength(line) > maxBytes)
      rollFile(file, last.issued_at, (follows) => formatCheckpoint({ ...next, follows }));
    else write(descriptor, line, end);
  } catch (error) {
    if (error instanceof FabricError) throw error;
    throw new FabricError(
      'UNAVAILABLE',
      `the checkpoint could not be added to ${file}: ${String(error)}`,
      { file },
      { cause: error },
    );
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** With the proofs; undefined when the file has a later checkpoint already. */
function continued(
  sqlite: Sqlite.Database,
  checkpoint: Checkpoint,
  last: Checkpoint,
  file: string,
): Checkpoint | undefined {
  const consistency: ConsistencyProof[] = [];
  let isLater = false;
  for (const from of last.chains) {
    const to = checkpoint.chains.find(({ chain }) => chain === from.chain);
    const tree = openTree(sqlite, from.chain);
    if (!to || !tree?.beginsWith(from) || !tree.beginsWith(to)) throw forked(file, from);
    if (from.entries > to.entries) isLater = true;
    else
      consistency.push({
        chain: from.chain,
        from_entries: from.entries,
        from_root: from.root,
        proof: tree.consistency(from.entries, to.entries),
      });
  }
  return isLater ? undefined : { ...checkpoint, consistency };
}

function saysTheSame(last: Checkpoint | undefined, { chains }: Checkpoint): boolean {
  if (last?.chains.length !== chains.length) return false;
  const before = new Map(last.chains.map((head) => [head.chain, head]));
  return chains.every(({ chain, entries, seq, head_hash, root, key }) => {
    const head = before.get(chain);
    if (head?.entries !== entries || head.seq !== seq || head.key !== key) return false;
    return head.head_hash === head_hash && head.root === root;
  });
}

function forked(file: string, head: SignedHead): FabricError {
  return new FabricError(
    'CONFLICT',
    `${head.chain} does not go on from the checkpoint at ${head.seq} in ${file}: \`infrafabric witness verify --checkpoint ${file}\` says more; name another file for checkpoints of another history`,
    { file, chain: head.chain, seq: head.seq },
  );
}

function fallenBehind(file: string, head: SignedHead, entries: number): FabricError {
  return new FabricError(
    'CONFLICT',
    `${head.chain} has ${entries} entries here, but ${head.entries} were signed in ${file}, so nothing is signed: a witness that still catches up signs once it has them again; else put the database back that has them, or, when they are lost for good, move the file to another place as evidence of it`,
    { file, chain: head.chain, seq: head.seq },
  );
}

function rewritten(file: string, head: SignedHead): FabricError {
  return new FabricError(
    'CONFLICT',
    `${head.chain} is another history than the one that was signed at ${head.seq} in ${file}, so nothing is signed: keep both as evidence, and see \`infrafabric witness verify --checkpoint ${file}\``,
    { file, chain: head.chain, seq: head.seq },
  );
}

/** Writes all of it or nothing: a full disk leaves no half line behind. */
function write(descriptor: number, text: string, end: number): void {
  const bytes = Buffer.from(text);
  ftruncateSync(descriptor, end);
  try {
    for (let written = 0; written < bytes.length; ) written += writeSync(descriptor, bytes, written);
    fsyncSync(descriptor);
  } catch (error) {
    ftruncateSync(descriptor, end);
    throw error;
  }
}
