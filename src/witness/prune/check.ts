/**
 * What is checked of entries before they are removed: all that a verification would check of them, because afterwards
 * nobody can. What does not pass stays.
 */
import { FabricError } from '../../errors.ts';
import { type ChainName, parseChain } from '../chain-name.ts';
import { hashedColumns, type Stored } from '../columns.ts';
import { zeroHash } from '../entry.ts';
import { RowHasher } from '../hash.ts';
import { leafHash, TreeHasher } from '../proofs/merkle.ts';
import type { PrunedPart } from '../proofs/tree-tiles.ts';
import { at, wrongTypes } from '../verify/field-check.ts';
import { checkPayload, isGapRow, readGap } from '../verify/payload-check.ts';

/** The part of a chain up to some entry, and its tree. */
export class CheckedPart {
  readonly #chain: string;
  readonly #name: ChainName | undefined;
  readonly #hasher = new RowHasher();
  readonly #tree: TreeHasher;
  #seq: number;
  #head: string | undefined;

  /** Goes on behind the part that was removed before. */
  constructor(chain: string, removed: PrunedPart) {
    this.#chain = chain;
    this.#name = parseChain(chain);
    this.#tree = new TreeHasher({ size: removed.entries, peaks: removed.peaks });
    this.#seq = removed.seq;
    // What the first entry of a later epoch follows is the end of the epoch before, which may not be in this file.
    if (removed.entries > 0) this.#head = removed.head_hash;
    else if (this.#name?.epoch === 1) this.#head = zeroHash;
  }

  get entries(): number {
    return this.#tree.size;
  }
  /** The last number that the part accounts for. */
  get seq(): number {
    return this.#seq;
  }
  get head_hash(): string {
    return this.#head ?? zeroHash;
  }

  root(): string {
    return this.#tree.root();
  }

  peaks(): string[] {
    return this.#tree.peaks();
  }

  /** Takes the next entry in. @throws FabricError CONFLICT when it would not verify; the part is then of no further use */
  add(row: readonly Stored[]): void {
    const seq = Number(row[at.seq]);
    if (seq !== this.#seq + 1) throw this.#refusal(seq, `it comes after ${this.#seq}`);
    const [wrong] = wrongTypes(row);
    if (wrong !== undefined) throw this.#refusal(seq, wrong);
    const hash = String(row[at.content_hash]);
    if (this.#hasher.hash(row, hashedColumns) !== hash) throw this.#refusal(seq, 'its fields do not give its hash');
    if (this.#head !== undefined && row[at.prev_hash] !== this.#head)
      throw this.#refusal(seq, 'it does not follow the entry before it');
    checkPayload(this.#name, row, seq, (_, message) => {
      throw this.#refusal(seq, message);
    });
    const gap = isGapRow(row) ? readGap(row, seq) : undefined;
    if (isGapRow(row) && !gap) throw this.#refusal(seq, 'it is a gap whose payload is not one');
    this.#seq = gap?.last_seq ?? seq;
    this.#head = hash;
    this.#tree.add(leafHash(hash));
  }

  #refusal(seq: number, why: string): FabricError {
    return new FabricError(
      'CONFLICT',
      `entry ${seq} of ${this.#chain} does not verify (${why}), so it and what follows was not pruned; \`infrafabric witness verify\` says more`,
      { chain: this.#chain, seq },
    );
  }
}

/** Whether a row says that messages were lost: that stays on record, it would be forgotten otherwise. */
export function isLoss(row: readonly Stored[]): boolean {
  return isGapRow(row) && readGap(row, Number(row[at.seq]))?.reason === 'lost';
}
