/**
 * Whether two witness databases tell the same story. Chains are a function of their streams alone, so two witnesses hold
 * the same hashes; one may have got further, or have less of the beginning.
 */
import type Sqlite from 'better-sqlite3';
import { parseChain } from '../chain-name.ts';
import { chainsOf } from '../contents.ts';
import { openReadOnly } from '../read-only.ts';
import { compareChains } from './careful.ts';

export interface Difference {
  readonly chain: string;
  /** The first number at which they differ; 0 when it is the whole chain. */
  readonly seq: number;
  readonly message: string;
}

interface Row {
  readonly seq: number;
  readonly content_hash: string;
}

/**
 * The first difference of each chain, by the hashes of the rows that both may have; whether the rows are what their hashes
 * say is for the verification of each file.
 * @throws FabricError UNAVAILABLE, or an error of SQLite, when one of them cannot be read
 */
export function compareDatabases(path: string, other: string): Difference[] {
  const here = openReadOnly(path);
  try {
    const there = openReadOnly(other);
    try {
      return compare(here.sqlite, there.sqlite, other);
    } finally {
      there.close();
    }
  } finally {
    here.close();
  }
}

function compare(here: Sqlite.Database, there: Sqlite.Database, other: string): Difference[] {
  const [ours, theirs] = [chainsOf(here), chainsOf(there)];
  const differences: Difference[] = [];
  for (const chain of [...new Set([...ours, ...theirs])].sort(compareChains)) {
    const [inOurs, inTheirs] = [ours.includes(chain), theirs.includes(chain)];
    if (inOurs && inTheirs) differences.push(...firstDifference(here, there, chain));
    else if (!isLaterEpoch(chain, inOurs ? theirs : ours))
      differences.push({ chain, seq: 0, message: inOurs ? `is not in ${other}` : `is only in ${other}` });
  }
  return differences;
}

/** Whether a file with these chains may just not have got as far as this one. */
function isLaterEpoch(chain: string, chains: readonly string[]): boolean {
  const name = parseChain(chain);
  return chains.some((each) => {
    const known = parseChain(each);
    return name !== undefined && known?.label === name.label && known.epoch < name.epoch;
  });
}

function firstDifference(here: Sqlite.Database, there: Sqlite.Database, chain: string): Difference[] {
  const from = Math.max(firstSeq(here, chain), firstSeq(there, chain));
  const theirs = rowsFrom(there, chain, from);
  try {
    for (const row of rowsFrom(here, chain, from)) {
      const { value: counterpart } = theirs.next();
      // The other one ends here.
      if (counterpart === undefined) return [];
      const message = differenceOf(row, counterpart);
      if (message !== undefined) return [{ chain, seq: Math.min(row.seq, counterpart.seq), message }];
    }
    return [];
  } finally {
    theirs.return(undefined);
  }
}

function differenceOf(row: Row, counterpart: Row): string | undefined {
  if (row.seq !== counterpart.seq)
    return `one of the two has an entry ${Math.min(row.seq, counterpart.seq)}, the other has not`;
  if (row.content_hash === counterpart.content_hash) return undefined;
  return `entry ${row.seq} differs: its content_hash is ${row.content_hash} here, ${counterpart.content_hash} there`;
}

function firstSeq(sqlite: Sqlite.Database, chain: string): number {
  const sql = 'SELECT seq FROM entries WHERE chain = ? ORDER BY seq LIMIT 1';
  return sqlite.prepare<[string], number>(sql).pluck().get(chain) ?? 1;
}

function* rowsFrom(sqlite: Sqlite.Database, chain: string, from: number): Generator<Row, undefined> {
  const sql = 'SELECT seq, content_hash FROM entries WHERE chain = ? AND seq >= ? ORDER BY seq';
  yield* sqlite.prepare<[string, number], Row>(sql).iterate(chain, from);
}
