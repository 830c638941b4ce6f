/**
 * The Merkle tree of RFC 6962 (SHA-256): leaves and nodes are hashed with different prefixes, so that neither can pass for
 * the other. Everything here works on hashes alone; where they are kept is another matter.
 */
import { hash } from 'node:crypto';

const leafPrefix = 0;
const nodePrefix = 1;
const hashBytes = 32;
const hashPattern = /^[0-9a-f]{64}$/;

/** The leaf of an entry: its content hash, 64 hexadecimal digits, taken as 32 bytes. */
export function leafHash(contentHashHex: string): Buffer {
  const bytes = Buffer.alloc(1 + hashBytes, leafPrefix);
  const written = bytes.write(contentHashHex, 1, 'hex');
  return digest(written === hashBytes ? bytes : bytes.subarray(0, 1 + written));
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(1 + left.length + right.length);
  bytes[0] = nodePrefix;
  bytes.set(left, 1);
  bytes.set(right, 1 + left.length);
  return digest(bytes);
}

/** Asked for as text, a digest costs a third of what it costs as a buffer of its own. */
function digest(bytes: Uint8Array): Buffer {
  return Buffer.from(hash('sha256', bytes, 'binary'), 'binary');
}

/** Whether a text is a hash as it is written everywhere: 64 lower-case hexadecimal digits. */
export function isHash(text: string): boolean {
  return hashPattern.test(text);
}

/** The largest power of two below `size`, at which a tree of more than one leaf is split. */
export function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/** The sizes of the complete subtrees that a tree consists of, largest first: the powers of two in `size`. */
export function peakSizes(size: number): number[] {
  const sizes: number[] = [];
  for (let rest = size, bit = 1; rest > 0; rest = Math.floor(rest / 2), bit *= 2) if (rest % 2 === 1) sizes.push(bit);
  return sizes.reverse();
}

/** A tree that grows leaf by leaf and keeps no more than its peaks, the roots of its complete subtrees, largest first. */
export class TreeHasher {
  #size: number;
  readonly #peaks: Buffer[];

  /** Goes on from the peaks of a tree of `size` leaves. */
  constructor(state: { readonly size: number; readonly peaks: readonly string[] } = { size: 0, peaks: [] }) {
    if (!isCount(state.size) || peakSizes(state.size).length !== state.peaks.length || !state.peaks.every(isHash))
      throw new RangeError(`a tree of ${state.size} leaves has ${peakSizes(state.size).length} peaks, each a hash`);
    this.#size = state.size;
    this.#peaks = state.peaks.map((peak) => Buffer.from(peak, 'hex'));
  }

  get size(): number {
    return this.#size;
  }

  /** `leaf` is a leaf's hash, or the root of a complete subtree where all leaves are such roots of one height. */
  add(leaf: Buffer): void {
    let node = leaf;
    for (let rest = this.#size; rest % 2 === 1; rest = Math.floor(rest / 2))
      node = nodeHash(this.#peaks.pop() as Buffer, node);
    this.#peaks.push(node);
    this.#size += 1;
  }

  root(): string {
    const last = this.#peaks.at(-1);
    if (!last) return hash('sha256', '', 'hex');
    let root = last;
    for (let at = this.#peaks.length - 2; at >= 0; at--) root = nodeHash(this.#peaks[at] as Buffer, root);
    return root.toString('hex');
  }

  peaks(): string[] {
    return this.#peaks.map((peak) => peak.toString('hex'));
  }
}

/** The root of the tree that has these peaks. @throws RangeError when there are not as many as a tree of that size has. */
export function rootOfPeaks(size: number, peaks: readonly string[]): string {
  return new TreeHasher({ size, peaks }).root();
}

export interface Inclusion {
  /** The hash of the leaf. */
  readonly leaf: Uint8Array;
  /** Counted from 0. */
  readonly index: number;
  readonly size: number;
  readonly path: readonly string[];
  readonly root: string;
}

/** Whether the leaf is the one of that index in the tree of that size and root (RFC 9162, 2.1.3.2). */
export function verifyInclusion({ leaf, index, size, path, root }: Inclusion): boolean {
  if (!isCount(index) || !isCount(size) || index >= size || !path.every(isHash)) return false;
  const place = new Place(index, size - 1);
  let node: Buffer = Buffer.from(leaf);
  for (const text of path) {
    if (place.last === 0) return false;
    const sibling = Buffer.from(text, 'hex');
    node = place.stepsLeft() ? nodeHash(sibling, node) : nodeHash(node, sibling);
    place.up();
  }
  return place.last === 0 && node.toString('hex') === root;
}

export interface Consistency {
  readonly from_size: number;
  readonly from_root: string;
  readonly to_size: number;
  readonly to_root: string;
  readonly proof: readonly string[];
}

/** Whether the larger tree begins with all leaves of the smaller one (RFC 9162, 2.1.4.2); false for an empty tree. */
export function verifyConsistency({ from_size, from_root, to_size, to_root, proof }: Consistency): boolean {
  if (!isCount(from_size) || !isCount(to_size) || from_size < 1 || from_size > to_size) return false;
  if (!proof.every(isHash) || !isHash(from_root)) return false;
  if (from_size === to_size) return proof.length === 0 && from_root === to_root;
  const place = new Place(from_size - 1, to_size - 1);
  while (place.index % 2 === 1) place.up();
  const [first, ...rest] = place.index === 0 ? [from_root, ...proof] : proof;
  if (first === undefined) return false;
  let from: Buffer = Buffer.from(first, 'hex');
  let to = from;
  for (const text of rest) {
    if (place.last === 0) return false;
    const sibling = Buffer.from(text, 'hex');
    if (place.stepsLeft()) {
      from = nodeHash(sibling, from);
      to = nodeHash(sibling, to);
    } else to = nodeHash(to, sibling);
    place.up();
  }
  return place.last === 0 && from.toString('hex') === from_root && to.toString('hex') === to_root;
}

/** A node on the way up, and the last node of its height. Sizes may exceed 32 bits, so there are no bit operations. */
class Place {
  index: number;
  last: number;

  constructor(index: number, last: number) {
    this.index = index;
    this.last = last;
  }

  up(): void {
    this.index = Math.floor(this.index / 2);
    this.last = Math.floor(this.last / 2);
  }

  /** Whether the next sibling is a left one; heights at which the last node has no sibling are passed. */
  stepsLeft(): boolean {
    if (this.index % 2 === 0 && this.index !== this.last) return false;
    while (this.index % 2 === 0 && this.index !== 0) this.up();
    return true;
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
