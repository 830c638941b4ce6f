/**
 * The careful pass of a verification: row by row through the database, past whatever is wrong or cannot be read, so that
 * every fault is named. One row is held in memory at a time.
 */
import type Sqlite from 'better-sqlite3';
import { formatChain } from '../chain-name.ts';
import { hashedColumns, type Stored } from '../columns.ts';
import { RowHasher } from '../hash.ts';
import { ChainCheck, type ChainReport } from './chain-check.ts';
import type { FaultList } from './fault.ts';
import type { HeadsCheck } from './heads.ts';
import { indexFaults } from './index-check.ts';
import type { Beginning } from './pruned.ts';
import { type Item, rowsAsStored, rowsSorted } from './row-source.ts';

export interface CarefulOptions {
  readonly beginnings: ReadonlyMap<string, Beginning>;
  /** Is shown every row that has a place in its chain. */
  readonly heads: HeadsCheck | undefined;
  /** Takes the faults of the file as a whole. */
  readonly file: FaultList;
}

/** The reports of all chains, in order of label and epoch. */
export function carefulPass(sqlite: Sqlite.Database, options: CarefulOptions): ChainReport[] {
  const inOrder = new Pass(options);
  if (inOrder.take(rowsAsStored(sqlite), true)) return inOrder.finish(sqlite);
  // Rows that lie in another order than that of their numbers are no fault; they are sorted first.
  const sorted = new Pass(options);
  sorted.take(rowsSorted(sqlite), false);
  return sorted.finish(sqlite);
}

class Pass {
  readonly #options: CarefulOptions;
  readonly #hasher = new RowHasher();
  readonly #checks = new Map<string, ChainCheck>();
  readonly #damages: string[] = [];

  constructor(options: CarefulOptions) {
    this.#options = options;
    options.heads?.start();
    for (const chain of options.beginnings.keys()) this.#checkOf(chain);
  }

  /** Checks the rows; false, at the first row out of order, when `stopUnlessOrdered`. */
  take(items: Iterable<Item>, stopUnlessOrdered: boolean): boolean {
    const { heads } = this.#options;
    for (const item of items) {
      if ('damage' in item) {
        this.#damages.push(`part of the file cannot be read: ${item.damage}`);
        for (const check of this.#checks.values()) check.damage();
        continue;
      }
      const [chain, seq] = item.row;
      const check = this.#checkOf(chain);
      if (stopUnlessOrdered && typeof seq === 'bigint' && seq <= check.lastRow) return false;
      if (check.add(item.row) && heads) {
        const content_hash = String(item.row[hashedColumns]);
        heads.row({ chain: check.chain, seq: check.lastRow, last_seq: check.lastSeq, content_hash });
      }
    }
    return true;
  }

  finish(sqlite: Sqlite.Database): ChainReport[] {
    const { file } = this.#options;
    for (const damage of this.#damages) file.add(0, 'UNREADABLE', damage);
    // A query shows what its index leads to; a damaged table says enough by itself.
    if (this.#damages.length === 0) for (const fault of indexFaults(sqlite)) file.add(0, 'UNREADABLE', fault);
    const reports: ChainReport[] = [];
    for (const check of [...this.#checks.values()].sort((a, b) => compareChains(a.chain, b.chain))) {
      const before = check.name && formatChain(check.name.label, check.name.epoch - 1);
      check.checkEpochLink(reports.find((report) => report.chain === before));
      reports.push(check.report());
    }
    return reports;
  }

  #checkOf(chain: Stored | undefined): ChainCheck {
    const key = typeof chain === 'string' ? chain : `(${String(chain)})`;
    const known = this.#checks.get(key);
    if (known) return known;
    const check = new ChainCheck(key, this.#hasher, this.#options.beginnings.get(key));
    // Entries before the first readable one may lie in a damaged place.
    if (this.#damages.length > 0) check.damage();
    this.#checks.set(key, check);
    return check;
  }
}

/** By label, then by epoch as a number. */
export function compareChains(a: string, b: string): number {
  const [labelA = '', epochA = ''] = a.split('/');
  const [labelB = '', epochB = ''] = b.split('/');
  if (labelA !== labelB) return labelA < labelB ? -1 : 1;
  return Number(epochA) - Number(epochB) || (a < b ? -1 : Number(a > b));
}
