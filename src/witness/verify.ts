/**
 * Verification of a witness database: every chain from its first row to its last, without trusting anything but the rule.
 * It opens the file for reading only, leaves no file behind, holds one row in memory, and never fails on a damaged file:
 * what cannot be read is part of the answer.
 */
import type Sqlite from 'better-sqlite3';
import { FabricError } from '../errors.ts';
import { ChainCheck, type ChainReport } from './chain-check.ts';
import { formatChain } from './chain-name.ts';
import { columns, hashedColumns, type Stored } from './columns.ts';
import { type Fault, FaultList } from './fault.ts';
import { RowHasher } from './hash.ts';
import { indexFaults } from './index-check.ts';
import { openReadOnly, type ReadOnlyDatabase } from './read-only.ts';
import { type Item, rowsAsStored, rowsSorted } from './row-source.ts';

export interface Verification {
  readonly ok: boolean;
  /** In order of label and epoch. Faults of the file as a whole are those of a chain named `*`, at seq 0. */
  readonly chains: readonly ChainReport[];
}

/** Told of every row in order of its chain, for checks of checkpoints on the same pass. */
export interface RowVisitor {
  /** A pass begins; what was told before does not count. */
  start(): void;
  row(chain: string, seq: number, contentHash: string): void;
}

/** The chain that stands for the file. */
export const wholeFile = '*';

/** Verifies the file at `path`; never throws for what the file holds or is. */
export function verifyDatabase(path: string, visitor?: RowVisitor): Verification {
  let database: ReadOnlyDatabase | undefined;
  try {
    database = openReadOnly(path);
    return verifyRows(database.sqlite, visitor);
  } catch (error) {
    return unreadable(error);
  } finally {
    database?.close();
  }
}

/** Verifies through an open connection. @throws when not even the table can be found. */
export function verifyRows(sqlite: Sqlite.Database, visitor?: RowVisitor): Verification {
  requireTable(sqlite);
  const pass = new Pass(visitor);
  const inOrder = pass.take(rowsAsStored(sqlite), true);
  if (!inOrder) {
    // Rows that lie in another order than that of their numbers are no fault; they are sorted first.
    pass.restart();
    pass.take(rowsSorted(sqlite), false);
  }
  pass.checkIndexes(sqlite);
  return pass.result();
}

class Pass {
  readonly #hasher = new RowHasher();
  readonly #visitor: RowVisitor | undefined;
  #checks = new Map<string, ChainCheck>();
  #file = new FaultList();
  #rows = 0;
  #lastRowId = 0n;

  constructor(visitor: RowVisitor | undefined) {
    this.#visitor = visitor;
    visitor?.start();
  }

  restart(): void {
    this.#checks = new Map();
    this.#file = new FaultList();
    this.#rows = 0;
    this.#lastRowId = 0n;
    this.#visitor?.start();
  }

  /** Checks the rows; false, at the first row out of order, when `stopUnlessOrdered`. */
  take(items: Iterable<Item>, stopUnlessOrdered: boolean): boolean {
    for (const item of items) {
      if ('damage' in item) {
        this.#file.add(0, 'UNREADABLE', `part of the file cannot be read: ${item.damage}`);
        for (const check of this.#checks.values()) check.damage();
        continue;
      }
      this.#rows += 1;
      const [chain, seq] = item.row;
      const rowId = item.row[columns.length] as bigint;
      if (rowId > this.#lastRowId) this.#lastRowId = rowId;
      const check = this.#checkOf(chain);
      if (stopUnlessOrdered && typeof seq === 'bigint' && seq <= check.lastRow) return false;
      check.add(item.row);
      if (this.#visitor && typeof seq === 'bigint')
        this.#visitor.row(check.chain, Number(seq), String(item.row[hashedColumns]));
    }
    return true;
  }

  /** A query shows what its index leads to; a damaged table says enough by itself. */
  checkIndexes(sqlite: Sqlite.Database): void {
    if (this.#file.any) return;
    for (const fault of indexFaults(sqlite, this.#rows, this.#lastRowId)) this.#file.add(0, 'UNREADABLE', fault);
  }

  result(): Verification {
    const checks = [...this.#checks.values()].sort(byLabelAndEpoch);
    const chains: ChainReport[] = [];
    for (const check of checks) {
      const before = check.name && formatChain(check.name.label, check.name.epoch - 1);
      check.checkEpochLink(chains.find((report) => report.chain === before));
      chains.push(check.report());
    }
    if (this.#file.any) chains.push(fileReport(this.#file.all()));
    return { ok: chains.every((chain) => chain.errors.length === 0), chains };
  }

  #checkOf(chain: Stored | undefined): ChainCheck {
    const key = typeof chain === 'string' ? chain : `(${String(chain)})`;
    const known = this.#checks.get(key);
    if (known) return known;
    const check = new ChainCheck(key, this.#hasher);
    // Entries before the first readable one may lie in a damaged place.
    if (this.#file.any) check.damage();
    this.#checks.set(key, check);
    return check;
  }
}

function requireTable(sqlite: Sqlite.Database): void {
  const table = sqlite.prepare<[], { type: string }>("SELECT type FROM sqlite_schema WHERE name = 'entries'").get();
  if (table?.type !== 'table')
    throw new FabricError('UNAVAILABLE', 'the file has no table "entries", so it is not a witness database');
}

function byLabelAndEpoch(a: ChainCheck, b: ChainCheck): number {
  if (!a.name || !b.name || a.name.label === b.name.label) return (a.name?.epoch ?? 0) - (b.name?.epoch ?? 0);
  return a.name.label < b.name.label ? -1 : 1;
}

function unreadable(error: unknown): Verification {
  const message = error instanceof Error ? error.message : String(error);
  return { ok: false, chains: [fileReport([{ seq: 0, code: 'UNREADABLE', message }])] };
}

function fileReport(errors: readonly Fault[]): ChainReport {
  return { chain: wholeFile, entries: 0, first_seq: null, last_seq: null, head_hash: null, gaps: 0, errors };
}
