/**
 * The Merkle tree of a chain: leaf i is row i in order of the numbers, gap rows included. Built when it is asked for, from
 * the stored tiles as far as there are any and from the rows for the rest; a proof reads the rows of a tile or two.
 */
import type Sqlite from 'better-sqlite3';
import { FabricError } from '../../errors.ts';
import { leafHash, nodeHash, peakSizes, splitOf, TreeHasher } from './merkle.ts';
import type { ChainHead } from './signed-head.ts';
import {
  type ChainEnd,
  chainEnd,
  lastHashUpTo,
  leavesAfter,
  type PrunedPart,
  prunedPart,
  storedTiles,
  type Tile,
  TileFiller,
  tileHeight,
  tileLeaves,
  tileStart,
} from './tree-tiles.ts';

export { extendTree } from './tree-tiles.ts';

export interface TreeHead extends ChainHead {
  /** The roots of the complete subtrees, largest first. */
  readonly peaks: readonly string[];
}

export interface InclusionProof {
  /** The place of the entry in its chain, counted from 0. */
  readonly index: number;
  /** From the leaf's sibling upwards. */
  readonly path: readonly string[];
}

export class ChainTree {
  readonly chain: string;
  readonly entries: number;
  readonly seq: number;
  readonly head_hash: string;
  readonly #sqlite: Sqlite.Database;
  readonly #pruned: PrunedPart;
  /** From the tile on in which the removed part ends. */
  readonly #tiles: readonly Tile[];
  readonly #base: number;
  readonly #rest: TileFiller;
  /** Known nodes by height and place; those below the tiles' roots are of one tile, `#open`. */
  readonly #nodes = new Map<string, Buffer>();
  #below = new Map<string, Buffer>();
  #open = -1;

  constructor(sqlite: Sqlite.Database, chain: string, end: ChainEnd, pruned: PrunedPart) {
    this.chain = chain;
    this.seq = end.seq;
    this.head_hash = end.head_hash;
    this.#sqlite = sqlite;
    this.#pruned = pruned;
    this.#base = Math.floor(pruned.entries / tileLeaves);
    const tiles = storedTiles(sqlite, chain, this.#base);
    const last = tiles.at(-1);
    const { after, removed } = last ? tileStart(last, pruned) : { after: pruned.seq, removed: tileLeaves };
    this.#rest = new TileFiller(this.#base + tiles.length, pruned);
    for (const leaf of leavesAfter(sqlite, chain, after, tileLeaves - removed)) {
      const tile = this.#rest.add(leaf);
      if (tile) tiles.push(tile);
    }
    this.#tiles = tiles;
    this.entries = (this.#base + tiles.length) * tileLeaves + this.#rest.size;
    this.#takePeaks();
  }

  head(): TreeHead {
    const { chain, entries, seq, head_hash } = this;
    const peaks = this.peaksAt(entries);
    return { chain, entries, seq, head_hash, root: new TreeHasher({ size: entries, peaks }).root(), peaks };
  }

  /** The peaks of the tree of the first `size` entries. */
  peaksAt(size: number): string[] {
    let start = 0;
    return peakSizes(size).map((leaves) => {
      const peak = this.#range(start, start + leaves);
      start += leaves;
      return peak.toString('hex');
    });
  }

  /** Whether the chain begins with the entries that the head covers, of which those that were pruned are taken as signed. */
  beginsWith(head: ChainHead): boolean {
    if (head.entries > this.entries || this.rootAt(head.entries) !== head.root) return false;
    const { seq, head_hash } = this.#pruned;
    if (head.seq < seq) return true;
    // Roots come from stored tiles, which a row may not fit any more.
    return (lastHashUpTo(this.#sqlite, this.chain, head.seq, seq) ?? head_hash) === head.head_hash;
  }

  rootAt(size: number): string {
    this.#requireSize(size);
    return new TreeHasher({ size, peaks: this.peaksAt(size) }).root();
  }

  /** @throws FabricError CONFLICT when the entry is not there or lies behind `size`. */
  inclusion(seq: number, size = this.entries): InclusionProof {
    this.#requireSize(size);
    const index = this.#indexOf(seq);
    if (index >= size)
      throw new FabricError('CONFLICT', `entry ${seq} of ${this.chain} is not among the first ${size} entries`);
    const path: string[] = [];
    let [start, end] = [0, size];
    while (end - start > 1) {
      const middle = start + splitOf(end - start);
      const isLeft = index < middle;
      path.push((isLeft ? this.#range(middle, end) : this.#range(start, middle)).toString('hex'));
      if (isLeft) end = middle;
      else start = middle;
    }
    return { index, path: path.reverse() };
  }

  /** The proof that the tree of `to` entries begins with that of `from` entries. */
  consistency(from: number, to = this.entries): string[] {
    this.#requireSize(from);
    this.#requireSize(to);
    if (from > to) throw new FabricError('CONFLICT', `${from} entries do not come before ${to}`);
    const path: string[] = [];
    let [start, end] = [0, to];
    // Whether the earlier tree's part of this range is a whole tree of its own, which the verifier knows already.
    let known = true;
    while (from !== end) {
      const middle = start + splitOf(end - start);
      if (from <= middle) {
        path.push(this.#range(middle, end).toString('hex'));
        end = middle;
      } else {
        path.push(this.#range(start, middle).toString('hex'));
        start = middle;
        known = false;
      }
    }
    if (!known) path.push(this.#range(start, end).toString('hex'));
    return path.reverse();
  }

  /** The hash of the leaves from `start` to before `end`, as RFC 6962 defines it for a list of that length. */
  #range(start: number, end: number): Buffer {
    const leaves = end - start;
    const split = splitOf(leaves);
    if (leaves === 1 || (split * 2 === leaves && start % leaves === 0)) return this.#node(Math.log2(leaves), start);
    return nodeHash(this.#range(start, start + split), this.#range(start + split, end));
  }

  /** The root of the complete subtree of that height whose first leaf is `start`. */
  #node(height: number, start: number): Buffer {
    const place = `${height}:${start}`;
    if (height < tileHeight) this.#openTile(Math.floor(start / tileLeaves));
    const known = this.#nodes.get(place) ?? this.#below.get(place);
    if (known) return known;
    const half = 2 ** (height - 1);
    if (start + half * 2 <= this.#pruned.entries)
      throw new FabricError(
        'CONFLICT',
        `the proof needs entries of ${this.chain} that were pruned: the first ${this.#pruned.entries}, up to ${this.#pruned.seq}`,
      );
    if (height === 0)
      throw new FabricError('CONFLICT', `rows of ${this.chain} are missing in the witness database; verify it`);
    const node = nodeHash(this.#node(height - 1, start), this.#node(height - 1, start + half));
    (height > tileHeight ? this.#nodes : this.#below).set(place, node);
    return node;
  }

  /** Reads the leaves of a tile, in place of those of the tile before. */
  #openTile(tile: number): void {
    if (tile === this.#open) return;
    this.#open = tile;
    this.#below = new Map();
    let index = Math.max(tile * tileLeaves, this.#pruned.entries);
    for (const { content_hash } of this.#leavesOf(tile)) {
      this.#below.set(`0:${index}`, leafHash(content_hash));
      index += 1;
    }
  }

  /** The leaves of a tile that are there. */
  #leavesOf(tile: number): Iterable<{ seq: number; content_hash: string }> {
    const stored = this.#tiles[tile - this.#base];
    if (!stored && tile !== this.#base + this.#tiles.length) return [];
    const first_seq = stored?.first_seq ?? this.#rest.firstSeq;
    const { after, removed } = tileStart({ tile, first_seq, hash: '' }, this.#pruned);
    return leavesAfter(this.#sqlite, this.chain, after, 0, tileLeaves - removed);
  }

  #indexOf(seq: number): number {
    let tile = this.#tiles.findLastIndex(({ first_seq }) => first_seq <= seq);
    if (seq >= this.#rest.firstSeq) tile = this.#tiles.length;
    // The first tile may begin in the removed part, and its first number be that of an entry that is gone.
    const number = this.#base + Math.max(tile, 0);
    let index = Math.max(number * tileLeaves, this.#pruned.entries);
    for (const leaf of this.#leavesOf(number)) {
      if (leaf.seq === seq) return index;
      index += 1;
    }
    throw new FabricError(
      'CONFLICT',
      seq >= 1 && seq <= this.#pruned.seq
        ? `entry ${seq} of ${this.chain} was pruned; the entries up to ${this.#pruned.seq} are gone`
        : `${this.chain} has no entry ${seq}`,
    );
  }

  #requireSize(size: number): void {
    if (Number.isSafeInteger(size) && size >= 1 && size <= this.entries) return;
    throw new FabricError('CONFLICT', `${this.chain} has ${this.entries} entries, and none of ${size}`);
  }

  #takePeaks(): void {
    let start = 0;
    for (const [at, leaves] of peakSizes(this.#pruned.entries).entries()) {
      this.#nodes.set(`${Math.log2(leaves)}:${start}`, Buffer.from(this.#pruned.peaks[at] ?? '', 'hex'));
      start += leaves;
    }
    for (const { tile, hash } of this.#tiles)
      this.#nodes.set(`${tileHeight}:${tile * tileLeaves}`, Buffer.from(hash, 'hex'));
  }
}

/** The tree of a chain as it is now; undefined when it has no entries. For a consistent one, within a transaction. */
export function openTree(sqlite: Sqlite.Database, chain: string): ChainTree | undefined {
  const pruned = prunedPart(sqlite, chain);
  const end = chainEnd(sqlite, chain, pruned);
  return end && new ChainTree(sqlite, chain, end, pruned);
}

/** @throws FabricError CONFLICT when the chain has no entries. */
export function requireTree(sqlite: Sqlite.Database, chain: string): ChainTree {
  const tree = openTree(sqlite, chain);
  if (!tree) throw new FabricError('CONFLICT', `the witness database has no entries of ${chain}`);
  return tree;
}
