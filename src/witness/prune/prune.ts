/**
 * Pruning: old entries are removed behind a signed checkpoint, and what is left still verifies, because the end of what is
 * gone is signed in turn. In small steps, each a transaction, so that a witness goes on storing meanwhile.
 */

import type Sqlite from 'better-sqlite3';
import { FabricError } from '../../errors.ts';
import { youngestTrimmedMs } from '../../store/streams.ts';
import { parseChain } from '../chain-name.ts';
import { chainsOf } from '../contents.ts';
import type { Entry } from '../entry.ts';
import { latestHead } from '../proofs/checkpoint.ts';
import type { SigningKey } from '../proofs/signing-key.ts';
import { openTree } from '../proofs/tree.ts';
import { prunedPart } from '../proofs/tree-tiles.ts';
import type { TrustedKeys } from '../proofs/trusted-keys.ts';
import { EndsTable } from './ends.ts';
import { KeptTable, keptEntries } from './kept.ts';
import { requireKept } from './kept-set.ts';
import { neededTasks } from './needed.ts';
import { type Piece, prunePiece } from './piece.ts';

export interface PruneOptions {
  /** Entries of this time or later stay, milliseconds since 1970. */
  readonly before: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Signs the ends of what is removed. */
  readonly key: SigningKey;
  /** The keys whose checkpoints count. */
  readonly trusted: TrustedKeys;
  /** How long finished actors can be restored, milliseconds: the last entries of those that ended since then are kept. */
  readonly archive_after_ms: number;
  /** Entries removed in one step. Default 512. */
  readonly per_step?: number;
}

export interface PrunedChain {
  readonly chain: string;
  /** Entries removed. */
  readonly removed: number;
  /** The last number that is gone, of this and of earlier prunings; null when none is. */
  readonly pruned_through: number | null;
  /** Where messages were lost, which stays on record with all that follows. */
  readonly stopped_at_loss: boolean;
}

/** As long as a creation may take that saw a dependency in time, milliseconds. */
const creationMs = 30_000;

/**
 * Prunes all at once.
 * @throws FabricError CONFLICT when entries do not verify, or a chain has none that a checkpoint covers; UNAVAILABLE when
 *   the database cannot be written to. What was removed before that is removed.
 */
export function prune(sqlite: Sqlite.Database, options: PruneOptions): PrunedChain[] {
  const steps = pruneSteps(sqlite, options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** As `prune`, in short steps, each on disk when it ends. `sqlite` is open for writing, and in no transaction at any step. */
export function* pruneSteps(sqlite: Sqlite.Database, options: PruneOptions): Generator<undefined, PrunedChain[]> {
  const { before, now, key, trusted, per_step: most = 512 } = options;
  const chains = chainsOf(sqlite);
  if (!chains.some((chain) => oldestTime(sqlite, chain) < before)) return [];
  // What goes is decided by what was kept, too.
  requireKept(sqlite, trusted);
  const needed = yield* neededTasks(sqlite);
  const endedSince = now - Math.max(options.archive_after_ms, youngestTrimmedMs) - creationMs;
  const matters = (entry: Entry) => isOpen(entry) || endedAfter(entry, endedSince) || isNeeded(entry, needed);
  yield* forgetKept(sqlite, options, matters);
  const result: PrunedChain[] = [];
  for (const epochs of byStream(chains)) {
    for (const chain of epochs) {
      const isLast = chain === epochs.at(-1);
      // Nothing of a later epoch goes while something of an earlier one is there: what is kept of an actor is always
      // earlier than its rows.
      const oldest = oldestTime(sqlite, chain);
      if (oldest === Number.POSITIVE_INFINITY) continue;
      if (oldest >= before) break;
      const covered = coveredEntries(sqlite, chain, trusted);
      let removed = 0;
      let end: Piece['end'] = 'more';
      while (end === 'more') {
        const piece = prunePiece(sqlite, {
          chain,
          before,
          covered,
          keep_end: isLast,
          most,
          key,
          trusted,
          now,
          matters,
        });
        removed += piece.removed;
        end = piece.end;
        yield;
      }
      const { seq } = prunedPart(sqlite, chain);
      result.push({ chain, removed, pruned_through: seq === 0 ? null : seq, stopped_at_loss: end === 'loss' });
      if (end !== 'empty') break;
    }
  }
  return result;
}

/** The chains of each stream in order of their epochs. */
function byStream(chains: readonly string[]): string[][] {
  const streams = new Map<string, string[]>();
  for (const chain of chains) {
    const label = parseChain(chain)?.label ?? chain;
    const epochs = streams.get(label) ?? [];
    epochs.push(chain);
    streams.set(label, epochs);
  }
  return [...streams.values()];
}

/** Infinite when the chain has no entries. */
function oldestTime(sqlite: Sqlite.Database, chain: string): number {
  const time = sqlite
    .prepare<[string], number>('SELECT timestamp FROM entries WHERE chain = ? ORDER BY seq LIMIT 1')
    .pluck()
    .get(chain);
  return time ?? Number.POSITIVE_INFINITY;
}

/** Entries of a chain that a trusted checkpoint covers, which the chain still agrees with. */
function coveredEntries(sqlite: Sqlite.Database, chain: string, trusted: TrustedKeys): number {
  const tree = openTree(sqlite, chain);
  const heads = trusted.fingerprints.flatMap((key) => latestHead(sqlite, chain, key) ?? []);
  const [head] = heads.sort((a, b) => b.entries - a.entries);
  if (!head || !tree)
    throw notCovered(chain, 'no checkpoint of a trusted key covers it; `infrafabric witness checkpoint` makes one');
  if (trusted.verify(head) !== 'ok')
    throw notCovered(chain, `the signature of its checkpoint at ${head.seq} is not valid`);
  if (head.entries > tree.entries || tree.rootAt(head.entries) !== head.root)
    throw notCovered(
      chain,
      `it does not go on from its checkpoint at ${head.seq}; \`infrafabric witness verify\` says more`,
    );
  return head.entries;
}

function notCovered(chain: string, why: string): FabricError {
  return new FabricError('CONFLICT', `${chain} was not pruned: ${why}`, { chain });
}

/** What was kept and does not matter any more, because the actor has later entries, or its end is long ago by now. */
function* forgetKept(
  sqlite: Sqlite.Database,
  options: PruneOptions,
  matters: (entry: Entry) => boolean,
): Generator<undefined, void> {
  const table = new KeptTable(sqlite);
  const idle: Array<{ kind: string; actor_id: string }> = [];
  let looked = 0;
  for (const { kind, actor_id, ...entry } of keptEntries(sqlite)) {
    if (kind === null || actor_id === null) continue;
    if (table.hasLater(kind, actor_id, entry) || !matters({ kind, actor_id, ...entry })) idle.push({ kind, actor_id });
    if (++looked % 200 === 0) yield;
  }
  if (idle.length === 0) return;
  const forget = sqlite.transaction(() => {
    const ends = new EndsTable(sqlite, options);
    for (const { kind, actor_id } of idle) table.forget(kind, actor_id);
    ends.sign();
  });
  forget.immediate();
}

/** Whether the actor, or the key of the bus, lives on after this entry; how an epoch began matters as long. */
function isOpen({ kind, event, payload }: Entry): boolean {
  if (kind === 'epoch') return true;
  if (kind === 'key') return event === 'PUT';
  const { snapshot } = JSON.parse(payload) as { snapshot?: { status?: unknown; value?: unknown } };
  // A free semaphore says nothing that one without records does not say.
  return snapshot?.status === 'active' && !(kind === 'semaphore' && snapshot.value === 'free');
}

function endedAfter({ kind, timestamp }: Entry, since: number): boolean {
  return kind !== 'key' && kind !== 'semaphore' && timestamp >= since;
}

function isNeeded({ kind, actor_id }: Entry, needed: ReadonlySet<string>): boolean {
  return kind === 'task' && actor_id !== null && needed.has(actor_id);
}
