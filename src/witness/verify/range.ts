/**
 * The quick check of the rows of some pages: the same rule as the careful one, for rows that are as they should be. At the
 * first that is not, or that this check does not know, it gives up; what is wrong is for the careful pass to say.
 */
import { type ChainName, parseChain } from '../chain-name.ts';
import { columns, type Stored } from '../columns.ts';
import { StoredRowHasher } from './encode.ts';
import { at } from './field-check.ts';
import { type LogPages, PageFile, Unusual } from './pages.ts';
import { checkPayload, isGapRow, readGap } from './payload-check.ts';
import { RecordCheck } from './record.ts';
import { leavesOf, TableRows } from './table.ts';

/** The rows of one chain in a range: whole in themselves, from one link to another. */
export interface ChainPart {
  readonly chain: string;
  readonly entries: number;
  readonly gaps: number;
  readonly first_seq: number;
  /** The hash that the first row follows. */
  readonly first_previous: string;
  /** The last number that the rows account for. */
  readonly last_seq: number;
  readonly last_row: number;
  readonly head_hash: string;
}

/** What is to be checked. Plain data, for other threads. */
export interface Range {
  readonly path: string;
  readonly log: LogPages | undefined;
  /** Of `leafParents`, in order. */
  readonly parents: readonly number[];
}

export interface RangeResult {
  readonly last_row_id: number;
  readonly parts: readonly ChainPart[];
}

/** @throws Unusual, or any other error, unless every row of the range is right */
export function checkRange({ path, log, parents }: Range, progress?: () => void): RangeResult {
  const file = new PageFile(path, log);
  const others = new PageFile(path, log);
  try {
    const rows = new TableRows(file, others);
    const check = new RangeCheck(rows);
    const checkRow = () => check.row();
    for (const parent of parents) {
      for (const leaf of leavesOf(file, parent)) rows.readLeaf(leaf, checkRow);
      progress?.();
    }
    return { last_row_id: rows.rowId, parts: check.parts() };
  } finally {
    file.close();
    others.close();
  }
}

type Part = { -readonly [Key in Exclude<keyof ChainPart, 'head_hash'>]: ChainPart[Key] } & {
  readonly name: ChainName;
  readonly chainBytes: Uint8Array;
  /** The hash of the last row, as it is written. */
  readonly head: Buffer;
};

class RangeCheck {
  readonly #row: TableRows;
  readonly #hasher = new StoredRowHasher();
  readonly #record: RecordCheck;
  readonly #parts = new Map<string, Part>();
  #last: Part | undefined;

  constructor(row: TableRows) {
    this.#row = row;
    this.#record = new RecordCheck(row);
  }

  parts(): ChainPart[] {
    return [...this.#parts.values()].map(({ name: _, chainBytes: __, head, ...part }) => ({
      ...part,
      head_hash: head.toString(),
    }));
  }

  row(): void {
    const row = this.#row;
    const seq = row.numbers[at.seq] as number;
    const hash = this.#hasher.hash(row);
    // Every byte of a hash is a character of its own, so other bytes give another text.
    if (this.#row.textAs(at.content_hash, 'latin1') !== hash) throw new Unusual();
    const part = this.#partOf(seq);
    if (seq !== part.last_seq + 1 || !this.#row.is(at.prev_hash, part.head)) throw new Unusual();
    part.entries += 1;
    part.last_seq = seq;
    part.last_row = seq;
    part.head.set(row.bytes.subarray(row.starts[at.content_hash], (row.starts[at.content_hash] as number) + 64));
    if (seq === 1 || part.name.stream !== 'actors' || !this.#record.isPlainRecord()) this.#checkValues(part, seq);
  }

  /** The part that the row belongs to, mostly that of the row before. */
  #partOf(seq: number): Part {
    if (this.#last && this.#row.is(at.chain, this.#last.chainBytes)) return this.#last;
    const chain = this.#row.textAs(at.chain, 'utf8');
    this.#last = this.#parts.get(chain) ?? this.#newPart(chain, seq);
    return this.#last;
  }

  #newPart(chain: string, seq: number): Part {
    const name = parseChain(chain);
    const first_previous = this.#row.textAs(at.prev_hash, 'utf8');
    if (!name || seq < 1 || Buffer.byteLength(first_previous) !== 64) throw new Unusual();
    const part: Part = {
      name,
      chain,
      chainBytes: Buffer.from(chain),
      entries: 0,
      gaps: 0,
      first_seq: seq,
      first_previous,
      last_seq: seq - 1,
      last_row: 0,
      head: Buffer.from(first_previous),
    };
    this.#parts.set(chain, part);
    return part;
  }

  /** The check of the careful pass. */
  #checkValues(part: Part, seq: number): void {
    const values: Stored[] = columns.map((_, column) => this.#row.value(column));
    checkPayload(part.name, values, seq, () => {
      throw new Unusual();
    });
    if (!isGapRow(values)) return;
    const gap = readGap(values, seq);
    if (gap?.reason !== 'trimmed') throw new Unusual();
    part.gaps += 1;
    part.last_seq = gap.last_seq;
  }
}
