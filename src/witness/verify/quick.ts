/**
 * The quick pass of a verification: on all cores, straight from the pages. Its only answer is that every row of the file is
 * right; otherwise it has none, and the careful pass finds out what is wrong.
 */
import { statSync } from 'node:fs';
import type Sqlite from 'better-sqlite3';
import { formatChain, parseChain } from '../chain-name.ts';
import { zeroHash } from '../entry.ts';
import { createSchema } from '../schema.ts';
import { indexFaults } from './index-check.ts';
import { type LogPages, PageFile, readLog, Unusual } from './pages.ts';
import type { Beginning } from './pruned.ts';
import type { ChainPart } from './range.ts';
import { leafParents } from './table.ts';
import { startRanges } from './threads.ts';

/**
 * The chains of the file at `path`, which `sqlite` has open, if every row, link and index is right; undefined in any other
 * case. `meanwhile` runs while other threads work.
 */
export function quickPass(
  path: string,
  sqlite: Sqlite.Database,
  beginnings: ReadonlyMap<string, Beginning>,
  meanwhile: (lastRowId: bigint) => void,
): ChainPart[] | undefined {
  try {
    return withStableFile(path, sqlite, (log) => {
      const parents = parentsOf(path, log, rootPage(sqlite));
      const lastRowId = sqlite
        .prepare<[], bigint | null>('SELECT max(rowid) FROM entries NOT INDEXED')
        .pluck()
        .safeIntegers()
        .get();
      if (lastRowId === null || lastRowId === undefined) return undefined;
      const ranges = startRanges(path, log, parents);
      const wrong = indexFaults(sqlite).length > 0;
      meanwhile(lastRowId);
      const results = ranges.results();
      if (wrong || BigInt(results.at(-1)?.last_row_id ?? 0) !== lastRowId) return undefined;
      const chains = joined(
        results.flatMap((result) => result.parts),
        beginnings,
      );
      requireEpochLinks(chains, beginnings);
      return [...chains.values()];
    });
  } catch {
    return undefined;
  }
}

/** The root page of the table, if it is exactly as the witness makes it. */
function rootPage(sqlite: Sqlite.Database): number {
  const found = sqlite
    .prepare<[], { sql: string; rootpage: number }>(
      "SELECT sql, rootpage FROM sqlite_schema WHERE type = 'table' AND name = 'entries'",
    )
    .get();
  if (!found || found.sql !== createSchema.slice(0, createSchema.indexOf(';'))) throw new Unusual();
  return found.rootpage;
}

/**
 * Reads while nothing that is read can change: a log is kept from being taken over by a reading transaction; a file without
 * one is not locked, so that a witness can start, but is looked at again afterwards.
 */
function withStableFile<T>(path: string, sqlite: Sqlite.Database, read: (log: LogPages | undefined) => T): T {
  if (statSync(`${path}-journal`, { throwIfNoEntry: false })) throw new Unusual();
  if (statSync(`${path}-wal`, { throwIfNoEntry: false })) {
    sqlite.exec('BEGIN');
    try {
      sqlite.prepare('SELECT count(*) FROM sqlite_schema').get();
      return read(readLog(path));
    } finally {
      sqlite.exec('ROLLBACK');
    }
  }
  const before = stateOf(path);
  const result = read(undefined);
  if (stateOf(path) !== before) throw new Unusual();
  return result;
}

function stateOf(path: string): string {
  const { ino, size, mtimeNs } = statSync(path, { bigint: true });
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false }) !== undefined;
  return `${ino} ${size} ${mtimeNs} ${log}`;
}

function parentsOf(path: string, log: LogPages | undefined, root: number): number[] {
  const file = new PageFile(path, log);
  try {
    return leafParents(file, root);
  } finally {
    file.close();
  }
}

/** Parts of chains in the order of the file, put together. @throws Unusual when one does not follow from the one before */
function joined(parts: readonly ChainPart[], beginnings: ReadonlyMap<string, Beginning>): Map<string, ChainPart> {
  const chains = new Map<string, ChainPart>();
  for (const part of parts) {
    const before = chains.get(part.chain);
    const beginning = beginnings.get(part.chain);
    const last = before?.last_seq ?? beginning?.seq ?? 0;
    const head = before?.head_hash ?? beginning?.head_hash ?? part.first_previous;
    if (part.first_seq !== last + 1 || part.first_previous !== head) throw new Unusual();
    const { first_seq, first_previous } = before ?? part;
    const entries = part.entries + (before?.entries ?? 0);
    const gaps = part.gaps + (before?.gaps ?? 0);
    chains.set(part.chain, { ...part, first_seq, first_previous, entries, gaps });
  }
  return chains;
}

function requireEpochLinks(chains: ReadonlyMap<string, ChainPart>, beginnings: ReadonlyMap<string, Beginning>): void {
  for (const [chain, { first_previous }] of chains) {
    const name = parseChain(chain);
    if (!name) throw new Unusual();
    const before = formatChain(name.label, name.epoch - 1);
    const head = chains.get(before)?.head_hash ?? beginnings.get(before)?.head_hash;
    if (name.epoch > 1 && head === undefined) throw new Unusual();
    if (!beginnings.has(chain) && first_previous !== (name.epoch > 1 ? head : zeroHash)) throw new Unusual();
  }
}
