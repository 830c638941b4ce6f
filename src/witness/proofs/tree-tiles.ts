/**
 * Where a tree's hashes come from: the rows of its chain, and of every 256 of them the root, kept in the table
 * `tree_tiles` so that a proof reads few rows. The table is derived, and the rows that a chain has lost to pruning are
 * stood for by the peaks of their tree.
 */
import type Sqlite from 'better-sqlite3';
import { FabricError } from '../../errors.ts';
import { hasTable } from '../contents.ts';
import { gapEvent } from '../entry.ts';
import { isHash, leafHash, peakSizes, TreeHasher } from './merkle.ts';

/** Leaves of a tile. */
export const tileLeaves = 256;
/** The height of a tile's root above its leaves. */
export const tileHeight = 8;
/** Tiles stored per transaction, so that writers of entries are not kept waiting. */
const tilesPerTransaction = 128;

const createTiles =
  'CREATE TABLE IF NOT EXISTS tree_tiles (chain TEXT, tile INTEGER, first_seq INTEGER, hash TEXT, PRIMARY KEY (chain, tile)) STRICT';

/** The beginning of a chain that was removed: the end of it, and the peaks of its tree. */
export interface PrunedPart {
  readonly entries: number;
  readonly seq: number;
  readonly head_hash: string;
  readonly peaks: readonly string[];
}

export interface Tile {
  readonly tile: number;
  readonly first_seq: number;
  readonly hash: string;
}

/** A row as a leaf. */
export interface Leaf {
  readonly seq: number;
  readonly content_hash: string;
}

export interface ChainEnd {
  /** The last number that the chain accounts for. */
  readonly seq: number;
  readonly head_hash: string;
}

const none: PrunedPart = { entries: 0, seq: 0, head_hash: '', peaks: [] };

/** The part of a chain that was removed; of no entries when none was. */
export function prunedPart(sqlite: Sqlite.Database, chain: string): PrunedPart {
  if (!hasTable(sqlite, 'pruned')) return none;
  const row = sqlite
    .prepare<[string], { entries: number; seq: number; head_hash: string; peaks: string }>(
      'SELECT entries, seq, head_hash, peaks FROM pruned WHERE chain = ?',
    )
    .get(chain);
  return row ? { ...row, peaks: peaksOf(chain, row.peaks) } : none;
}

function peaksOf(chain: string, text: string): string[] {
  try {
    const peaks: unknown = JSON.parse(text);
    if (Array.isArray(peaks) && peaks.every(isHash)) return peaks;
  } catch {
    // The same as any other text that is none.
  }
  throw new FabricError('CONFLICT', `what is known of the removed part of ${chain} was altered; verify the database`);
}

/** The stored tiles from number `from` on, as far as they follow each other. */
export function storedTiles(sqlite: Sqlite.Database, chain: string, from: number): Tile[] {
  if (!hasTable(sqlite, 'tree_tiles')) return [];
  const tiles = sqlite
    .prepare<[string, number], Tile>(
      'SELECT tile, first_seq, hash FROM tree_tiles WHERE chain = ? AND tile >= ? ORDER BY tile',
    )
    .all(chain, from);
  const hole = tiles.findIndex(({ tile }, at) => tile !== from + at);
  return hole === -1 ? tiles : tiles.slice(0, hole);
}

/** Rows of a chain after number `after`, without the first `skip`. */
export function leavesAfter(
  sqlite: Sqlite.Database,
  chain: string,
  after: number,
  skip = 0,
  limit = -1,
): IterableIterator<Leaf> {
  return sqlite
    .prepare<[string, number, number, number], Leaf>(
      'SELECT seq, content_hash FROM entries WHERE chain = ? AND seq > ? ORDER BY seq LIMIT ? OFFSET ?',
    )
    .iterate(chain, after, limit, skip);
}

/** The end of a chain: that of its last row, or of the removed part when there is none after it. */
export function chainEnd(sqlite: Sqlite.Database, chain: string, pruned: PrunedPart): ChainEnd | undefined {
  const row = sqlite
    .prepare<[string, number], Leaf & { event: string; kind: string | null; payload: string }>(
      'SELECT seq, content_hash, event, kind, payload FROM entries WHERE chain = ? AND seq > ? ORDER BY seq DESC LIMIT 1',
    )
    .get(chain, pruned.seq);
  if (!row) return pruned.entries === 0 ? undefined : { seq: pruned.seq, head_hash: pruned.head_hash };
  const isGap = row.kind === null && row.event === gapEvent;
  const seq = isGap ? (JSON.parse(row.payload) as { last_seq: number }).last_seq : row.seq;
  return { seq, head_hash: row.content_hash };
}

/** The content hash of the last row up to a number and after another; undefined when there is none. */
export function lastHashUpTo(sqlite: Sqlite.Database, chain: string, seq: number, after: number): string | undefined {
  return sqlite
    .prepare<[string, number, number], string>(
      'SELECT content_hash FROM entries WHERE chain = ? AND seq <= ? AND seq > ? ORDER BY seq DESC LIMIT 1',
    )
    .pluck()
    .get(chain, seq, after);
}

/** Where the leaves of a tile lie: after which number, and how many of the tile's first were removed. */
export function tileStart(tile: Tile, pruned: PrunedPart): { after: number; removed: number } {
  const removed = Math.min(Math.max(pruned.entries - tile.tile * tileLeaves, 0), tileLeaves);
  return { after: removed > 0 ? pruned.seq : tile.first_seq - 1, removed };
}

/** The leaves behind the last tile, and the tiles that they fill on the way. */
export class TileFiller {
  readonly #pruned: PrunedPart;
  #tile: number;
  #hasher: TreeHasher;
  #firstSeq = 0;
  #leaves: Leaf[] = [];

  /** Begins with tile number `tile`. */
  constructor(tile: number, pruned: PrunedPart) {
    this.#pruned = pruned;
    this.#tile = tile;
    this.#hasher = this.#begin();
  }

  /** Takes the next leaf; the tile when this was its last. */
  add(leaf: Leaf): Tile | undefined {
    if (this.#leaves.length === 0) this.#firstSeq = leaf.seq;
    this.#leaves.push(leaf);
    this.#hasher.add(leafHash(leaf.content_hash));
    if (this.#hasher.size < tileLeaves) return undefined;
    const full = { tile: this.#tile, first_seq: this.#firstSeq, hash: this.#hasher.root() };
    this.#tile += 1;
    this.#leaves = [];
    this.#hasher = this.#begin();
    return full;
  }

  /** Leaves of the tile that is not full. */
  get size(): number {
    return this.#hasher.size;
  }

  /** Of them, the first that is there. */
  get firstSeq(): number {
    return this.#leaves[0]?.seq ?? Number.POSITIVE_INFINITY;
  }

  peaks(): string[] {
    return this.#hasher.peaks();
  }

  /** A tile that begins in the removed part goes on from the peaks of that part. */
  #begin(): TreeHasher {
    const size = this.#pruned.entries - this.#tile * tileLeaves;
    if (size <= 0 || size >= tileLeaves) return new TreeHasher();
    return new TreeHasher({ size, peaks: this.#pruned.peaks.slice(-peakSizes(size).length) });
  }
}

/**
 * Stores the roots of the tiles that have become full. In several transactions, unless one is open.
 * @throws an error of SQLite when the database cannot be written to
 */
export function extendTree(sqlite: Sqlite.Database, chain: string): void {
  sqlite.exec(createTiles);
  const pruned = prunedPart(sqlite, chain);
  const base = Math.floor(pruned.entries / tileLeaves);
  const last = storedTiles(sqlite, chain, base).at(-1);
  let next = last ? last.tile + 1 : base;
  let { after, removed } = last ? tileStart(last, pruned) : { after: pruned.seq, removed: tileLeaves };
  const insert = sqlite.prepare('INSERT OR IGNORE INTO tree_tiles (chain, tile, first_seq, hash) VALUES (?, ?, ?, ?)');
  const extend = sqlite.transaction((): boolean => {
    const filler = new TileFiller(next, pruned);
    let filled = 0;
    // Rows are read to the end before anything is written: SQLite leaves open what a reader of a changing table sees.
    const tiles: Tile[] = [];
    for (const leaf of leavesAfter(sqlite, chain, after, tileLeaves - removed, tilesPerTransaction * tileLeaves)) {
      const tile = filler.add(leaf);
      if (!tile) continue;
      tiles.push(tile);
      filled = leaf.seq;
    }
    for (const { tile, first_seq, hash } of tiles) insert.run(chain, tile, first_seq, hash);
    if (tiles.length === 0) return false;
    next += tiles.length;
    after = filled;
    removed = tileLeaves;
    return true;
  });
  while (extend.immediate()) {}
}
