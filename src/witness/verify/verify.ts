/**
 * Verification of a witness database: every chain from its first row to its last, without trusting anything but the rule,
 * and against checkpoints that were kept elsewhere. It opens the file for reading only, leaves no file behind, takes no
 * more memory for more rows, and never fails on a damaged file: what cannot be read is part of the answer.
 */
import type Sqlite from 'better-sqlite3';
import { FabricError } from '../../errors.ts';
import type { Checkpoint } from '../proofs/checkpoint-format.ts';
import type { TrustedKeys } from '../proofs/trusted-keys.ts';
import { openReadOnly, type ReadOnlyDatabase } from '../read-only.ts';
import { carefulPass, compareChains } from './careful.ts';
import type { ChainReport } from './chain-check.ts';
import { type Fault, FaultList } from './fault.ts';
import { HeadsCheck } from './heads.ts';
import { type Beginning, checkKept, type NoteOfChain, readBeginnings } from './pruned.ts';
import { quickPass } from './quick.ts';

export interface Verification {
  readonly ok: boolean;
  /** In order of label and epoch. Faults of the file as a whole are those of a chain named `*`, at seq 0. */
  readonly chains: readonly ChainReport[];
}

export interface VerifyOptions {
  /** Whose signatures count. Without it, checkpoints and removed parts of chains are not believed. */
  readonly trusted?: TrustedKeys | undefined;
  /** Kept elsewhere, in any order. */
  readonly checkpoints?: readonly Checkpoint[] | undefined;
}

/** The chain that stands for the file. */
export const wholeFile = '*';

/** Verifies the file at `path`; never throws for what the file holds or is. */
export function verifyDatabase(path: string, options: VerifyOptions = {}): Verification {
  let database: ReadOnlyDatabase | undefined;
  try {
    database = openReadOnly(path);
    requireTable(database.sqlite);
    return new Verifier(database, options).result();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { ok: false, chains: [emptyReport(wholeFile, [{ seq: 0, code: 'UNREADABLE', message }])] };
  } finally {
    database?.close();
  }
}

class Verifier {
  readonly #database: ReadOnlyDatabase;
  readonly #trusted: TrustedKeys | undefined;
  readonly #file = new FaultList();
  /** Faults that are not found in the rows, by chain. */
  readonly #others = new Map<string, FaultList>();
  readonly #beginnings: ReadonlyMap<string, Beginning>;
  readonly #heads: HeadsCheck | undefined;

  constructor(database: ReadOnlyDatabase, { trusted, checkpoints }: VerifyOptions) {
    this.#database = database;
    this.#trusted = trusted;
    this.#beginnings = this.#unlessDamaged(() => readBeginnings(database.sqlite, trusted, this.#note)) ?? new Map();
    if (!checkpoints) return;
    const heads = checkpoints.flatMap((checkpoint) => checkpoint.chains);
    this.#heads = new HeadsCheck(heads, { trusted, beginnings: this.#beginnings, note: this.#note });
  }

  result(): Verification {
    const reports = this.#quick() ?? this.#careful();
    this.#unlessDamaged(() => checkKept(this.#database.sqlite, this.#trusted, this.#note));
    const missing = this.#heads?.finish(this.#note) ?? [];
    const known = new Set(reports.map((report) => report.chain));
    const absent = [...this.#others.keys(), ...missing].filter((chain) => !known.has(chain));
    for (const chain of new Set(absent)) reports.push(emptyReport(chain, []));
    reports.sort((a, b) => compareChains(a.chain, b.chain));
    const chains = reports.map(
      (report): ChainReport => ({
        ...report,
        root: this.#heads?.rootOf(report.chain) ?? null,
        errors: [...report.errors, ...(this.#others.get(report.chain)?.all() ?? [])].sort((a, b) => a.seq - b.seq),
      }),
    );
    if (this.#file.any) chains.push(emptyReport(wholeFile, this.#file.all()));
    return { ok: chains.every((chain) => chain.errors.length === 0), chains };
  }

  #quick(): ChainReport[] | undefined {
    const { path, sqlite } = this.#database;
    const heads = this.#heads;
    const parts = quickPass(path, sqlite, this.#beginnings, (lastRowId) => heads && passRows(sqlite, lastRowId, heads));
    if (!parts) return undefined;
    const reports: ChainReport[] = parts.map(({ chain, entries, first_seq, last_seq, head_hash, gaps }) => {
      const pruned_through = this.#beginnings.get(chain)?.seq ?? null;
      return { ...emptyReport(chain, []), entries, first_seq, last_seq, head_hash, pruned_through, gaps };
    });
    for (const { chain, seq, head_hash } of this.#beginnings.values()) {
      if (reports.some((report) => report.chain === chain)) continue;
      reports.push({ ...emptyReport(chain, []), last_seq: seq, head_hash, pruned_through: seq });
    }
    return reports;
  }

  #careful(): ChainReport[] {
    return carefulPass(this.#database.sqlite, {
      beginnings: this.#beginnings,
      heads: this.#heads,
      file: this.#file,
    });
  }

  readonly #note: NoteOfChain = (chain, seq, code, message) => {
    if (chain === wholeFile) {
      this.#file.add(seq, code, message);
      return;
    }
    const list = this.#others.get(chain) ?? new FaultList();
    this.#others.set(chain, list);
    list.add(seq, code, message);
  };

  /** Tables beside that of the entries may lie in damaged places, too. */
  #unlessDamaged<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      this.#file.add(0, 'UNREADABLE', `what is known of removed entries cannot be read: ${String(error)}`);
      return undefined;
    }
  }
}

/** Shows rows that are being found right to `heads`. @throws when they do not lie in order, so that it cannot be done so */
function passRows(sqlite: Sqlite.Database, lastRowId: bigint, heads: HeadsCheck): void {
  heads.start();
  const rows = sqlite
    .prepare<[bigint], [chain: string, seq: number, content_hash: string, gap: string | null]>(
      `SELECT chain, seq, content_hash, CASE WHEN kind IS NULL AND event = 'gap' THEN payload END
        FROM entries NOT INDEXED WHERE rowid <= ? ORDER BY rowid`,
    )
    .raw();
  const last = new Map<string, number>();
  for (const [chain, seq, content_hash, gap] of rows.iterate(lastRowId)) {
    if (seq <= (last.get(chain) ?? 0)) throw new Error(`entry ${seq} of ${chain} does not lie in order`);
    last.set(chain, seq);
    const last_seq = gap === null ? seq : (JSON.parse(gap) as { last_seq: number }).last_seq;
    heads.row({ chain, seq, last_seq, content_hash });
  }
}

function requireTable(sqlite: Sqlite.Database): void {
  const table = sqlite.prepare<[], { type: string }>("SELECT type FROM sqlite_schema WHERE name = 'entries'").get();
  if (table?.type !== 'table')
    throw new FabricError('UNAVAILABLE', 'the file has no table "entries", so it is not a witness database');
}

function emptyReport(chain: string, errors: readonly Fault[]): ChainReport {
  const place = { first_seq: null, last_seq: null, head_hash: null, root: null, pruned_through: null };
  return { chain, entries: 0, ...place, gaps: 0, errors };
}
