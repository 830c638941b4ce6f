/**
 * The check of one chain, row by row in order of their numbers. Each fault is named once, by the number of the row that
 * shows it; a deleted row by its own.
 */
import { type ChainName, formatChain, parseChain } from '../chain-name.ts';
import { hashedColumns, type Stored } from '../columns.ts';
import { zeroHash } from '../entry.ts';
import type { RowHasher } from '../hash.ts';
import { type Fault, FaultList } from './fault.ts';
import { at, isSafeInteger, wrongTypes } from './field-check.ts';
import { checkPayload, isGapRow, readGap } from './payload-check.ts';
import type { Beginning } from './pruned.ts';

export interface ChainReport {
  readonly chain: string;
  readonly entries: number;
  /** Null when the chain has no readable entry. */
  readonly first_seq: number | null;
  /** The last number that the chain accounts for. */
  readonly last_seq: number | null;
  readonly head_hash: string | null;
  /** The root of its tree (RFC 6962), which is known when it was verified against checkpoints. */
  readonly root: string | null;
  /** The last number of the part that was removed behind a signed head. */
  readonly pruned_through: number | null;
  readonly gaps: number;
  readonly errors: readonly Fault[];
}

/** Missing numbers that are named one by one; a longer hole ends with one fault for the rest. */
const maxNamed = 100;

export class ChainCheck {
  readonly chain: string;
  readonly name: ChainName | undefined;
  readonly faults = new FaultList();
  readonly #hasher: RowHasher;
  #entries = 0;
  #gaps = 0;
  #firstSeq: number | null = null;
  #firstPrevious = '';
  #lastRow = 0;
  /** The last number accounted for: that of the last row, or the end of a gap. */
  #last = 0;
  #head: string | null = null;
  /** What the next row's prev_hash may be: the stored and the computed hash of the row before. */
  #previous: readonly [stored: string, computed: string] | undefined;
  #damaged = false;
  readonly #beginning: Beginning | undefined;

  constructor(chain: string, hasher: RowHasher, beginning?: Beginning) {
    this.chain = chain;
    this.name = parseChain(chain);
    this.#hasher = hasher;
    this.#beginning = beginning;
    if (beginning) {
      this.#last = beginning.seq;
      this.#head = beginning.head_hash;
      this.#previous = [beginning.head_hash, beginning.head_hash];
    }
    if (!this.name) this.faults.add(0, 'FIELD_TYPE', `${JSON.stringify(chain)} is not the name of a chain`);
  }

  /** The number of the last row seen. */
  get lastRow(): number {
    return this.#lastRow;
  }

  /** The last number that the rows seen account for. */
  get lastSeq(): number {
    return this.#last;
  }

  /** Rows could not be read since the last one: a hole before the next is explained by that. */
  damage(): void {
    this.#damaged = true;
  }

  /** Takes the next row. False when it has no place in the chain. */
  add(row: readonly Stored[]): boolean {
    this.#entries += 1;
    const seq = this.#placeOf(row);
    if (seq === undefined) return false;
    const wrong = wrongTypes(row);
    for (const what of wrong) this.faults.add(seq, 'FIELD_TYPE', `entry ${seq}: ${what}`);
    const stored = String(row[at.content_hash]);
    const computed = this.#hasher.hash(row, hashedColumns);
    this.#checkLink(row, seq);
    this.#last = seq;
    this.#lastRow = seq;
    if (isGapRow(row)) this.#passGap(row, seq);
    if (wrong.length === 0) {
      if (stored === computed)
        checkPayload(this.name, row, seq, (code, message) => this.faults.add(seq, code, message));
      else
        this.faults.add(
          seq,
          'HASH_MISMATCH',
          `entry ${seq} was changed: its content_hash is ${stored}, its fields give ${computed}`,
        );
    }
    this.#previous = [stored, computed];
    this.#head = stored;
    return true;
  }

  /** Checks that the first row follows the chain of the epoch before, whose report is given if the file has it. */
  checkEpochLink(before: ChainReport | undefined): void {
    const { name } = this;
    const first = this.#firstSeq;
    if (!name || first === null) return;
    if (name.epoch > 1 && !before) {
      this.faults.add(
        first,
        'CHAIN_BROKEN',
        `the chain before it, ${formatChain(name.label, name.epoch - 1)}, is not in this file`,
      );
      return;
    }
    const expected = before?.head_hash ?? zeroHash;
    if (first !== 1 || this.#firstPrevious === expected) return;
    const rule = before ? `${before.chain} ends with` : 'a first epoch begins with';
    this.faults.add(1, 'CHAIN_BROKEN', `entry 1 follows the hash ${this.#firstPrevious}, but ${rule} ${expected}`);
  }

  report(): ChainReport {
    return {
      chain: this.chain,
      entries: this.#entries,
      first_seq: this.#firstSeq,
      last_seq: this.#last === 0 ? null : this.#last,
      head_hash: this.#head,
      root: null,
      pruned_through: this.#beginning?.seq ?? null,
      gaps: this.#gaps,
      errors: this.faults.all(),
    };
  }

  /** The row's number if it follows the rows before; otherwise the fault is noted. */
  #placeOf(row: readonly Stored[]): number | undefined {
    const seq = row[at.seq];
    if (!isSafeInteger(seq) || seq < 1n) {
      this.faults.add(
        this.#last + 1,
        'FIELD_TYPE',
        `a row after entry ${this.#last} has the seq ${String(seq)}, which is no sequence number`,
      );
      return undefined;
    }
    const number = Number(seq);
    if (number <= this.#last) {
      const inside = number <= (this.#beginning?.seq ?? 0) ? 'the part that was removed' : 'a gap';
      const what =
        number === this.#lastRow ? `there are several entries ${number}` : `entry ${number} lies inside ${inside}`;
      this.faults.add(number, 'SEQ_DUPLICATE', what);
      return undefined;
    }
    if (number > this.#last + 1) this.#noteHole(this.#last + 1, number - 1);
    this.#damaged = false;
    if (this.#firstSeq === null) {
      this.#firstSeq = number;
      this.#firstPrevious = String(row[at.prev_hash]);
    }
    return number;
  }

  #noteHole(first: number, last: number): void {
    // Nothing is known of the row that the next one follows.
    this.#previous = undefined;
    if (this.#damaged) {
      this.faults.add(first, 'UNREADABLE', `the entries ${first} to ${last} cannot be read; the file is damaged`);
      return;
    }
    const named = Math.min(last, first + maxNamed - 1);
    for (let seq = first; seq <= named; seq++) this.faults.add(seq, 'SEQ_MISSING', `entry ${seq} is missing`);
    if (named < last) this.faults.add(named + 1, 'SEQ_MISSING', `the entries ${named + 1} to ${last} are missing too`);
  }

  #checkLink(row: readonly Stored[], seq: number): void {
    const previous = String(row[at.prev_hash]);
    if (this.#previous === undefined || this.#previous[0] === previous || this.#previous[1] === previous) return;
    this.faults.add(
      seq,
      'CHAIN_BROKEN',
      `entry ${seq} follows the hash ${previous}, but the entry before it has ${this.#previous[0]}`,
    );
  }

  #passGap(row: readonly Stored[], seq: number): void {
    this.#gaps += 1;
    const gap = readGap(row, seq);
    if (!gap) {
      this.faults.add(seq, 'FIELD_TYPE', `entry ${seq} is a gap whose payload is not one`);
      return;
    }
    this.#last = gap.last_seq;
    if (gap.reason !== 'lost') return;
    this.faults.add(seq, 'SEQ_MISSING', `the messages ${seq} to ${gap.last_seq} were lost before the witness had them`);
  }
}
