/**
 * Whether chains agree with checkpoints that were kept elsewhere. A chain alone cannot show that its end was cut off, that
 * an old copy was put back, or that all of it was replaced: a signed head of a later or another one does.
 */
import { zeroHash } from '../entry.ts';
import { leafHash, TreeHasher } from '../proofs/merkle.ts';
import type { SignedHead } from '../proofs/signed-head.ts';
import type { TrustedKeys } from '../proofs/trusted-keys.ts';
import { type Beginning, type NoteOfChain, wrongSignature } from './pruned.ts';

/** A row as the rows are passed over, in order of its chain. */
export interface PassedRow {
  readonly chain: string;
  readonly seq: number;
  /** The last number that it accounts for. */
  readonly last_seq: number;
  readonly content_hash: string;
}

const hashPattern = /^[0-9a-f]{64}$/;

/** Compares the heads with what passes by. */
export class HeadsCheck {
  readonly #heads: ReadonlyMap<string, readonly SignedHead[]>;
  readonly #beginnings: ReadonlyMap<string, Beginning>;
  #chains = new Map<string, ChainHeads>();

  /** Heads that no trusted key signed say nothing; they are noted and passed over. */
  constructor(
    heads: readonly SignedHead[],
    {
      trusted,
      beginnings,
      note,
    }: {
      readonly trusted: TrustedKeys | undefined;
      readonly beginnings: ReadonlyMap<string, Beginning>;
      readonly note: NoteOfChain;
    },
  ) {
    this.#heads = trustedHeads(heads, trusted, note);
    this.#beginnings = beginnings;
  }

  /** A pass begins; what passed by before does not count. */
  start(): void {
    this.#chains = new Map();
  }

  row(row: PassedRow): void {
    this.#chain(row.chain).row(row);
  }

  /** The root of a chain's tree; null when none of its rows passed by. */
  rootOf(chain: string): string | null {
    return this.#chains.get(chain)?.root() ?? null;
  }

  /** Notes what does not agree. @returns the chains that are missing altogether */
  finish(note: NoteOfChain): string[] {
    const missing: string[] = [];
    for (const chain of this.#heads.keys()) {
      const heads = this.#chain(chain);
      heads.finish(note);
      if (heads.isEmpty) missing.push(chain);
    }
    return missing;
  }

  #chain(chain: string): ChainHeads {
    const known = this.#chains.get(chain);
    if (known) return known;
    const made = new ChainHeads(this.#heads.get(chain) ?? [], this.#beginnings.get(chain));
    this.#chains.set(chain, made);
    return made;
  }
}

/** The heads of one chain, in order of their numbers, and its tree as it grows. */
class ChainHeads {
  readonly #heads: readonly SignedHead[];
  readonly #tree: TreeHasher | undefined;
  readonly #differing: SignedHead[] = [];
  #next = 0;
  #last: number;
  #root: string | undefined;

  constructor(heads: readonly SignedHead[], beginning: Beginning | undefined) {
    this.#heads = heads;
    this.#last = beginning?.seq ?? 0;
    this.#tree = beginning && !beginning.tree ? undefined : new TreeHasher(beginning?.tree);
    const removed = beginning?.head;
    // What was removed can only be compared where it ends.
    for (let head = heads[0]; head && head.seq <= this.#last; head = heads[++this.#next])
      if (removed && head.seq === removed.seq && !isSame(head, removed)) this.#differing.push(head);
  }

  get isEmpty(): boolean {
    return this.#last === 0;
  }

  row({ chain, last_seq, content_hash }: PassedRow): void {
    this.#tree?.add(leafHash(hashPattern.test(content_hash) ? content_hash : zeroHash));
    this.#root = undefined;
    this.#last = last_seq;
    for (let head = this.#heads[this.#next]; head && head.seq <= last_seq; head = this.#heads[++this.#next]) {
      const present = { chain, seq: last_seq, head_hash: content_hash, entries: this.#tree?.size, root: this.root() };
      if (!isSame(head, present)) this.#differing.push(head);
    }
  }

  root(): string | null {
    this.#root ??= this.#tree?.root();
    return this.#root ?? null;
  }

  finish(note: NoteOfChain): void {
    const [first, ...others] = this.#differing;
    if (first) {
      const more = others.length > 0 ? `, nor with ${others.length} later ones` : '';
      const what = `the chain does not agree with the checkpoint of ${timeOf(first)} at entry ${first.seq}${more}: it was rewritten or replaced`;
      note(first.chain, first.seq, 'CHECKPOINT_MISMATCH', what);
    }
    const newest = this.#heads.at(-1);
    if (newest && newest.seq > this.#last) {
      const what = `the chain ends with ${this.#last}, but the checkpoint of ${timeOf(newest)} has it up to ${newest.seq}: its end was cut off, or this is an old copy`;
      note(newest.chain, this.#last + 1, 'TRUNCATED', what);
    }
  }
}

/** Where no tree can be made, because what was removed is not known, the rest is compared. */
function isSame(
  head: SignedHead,
  {
    seq,
    head_hash,
    entries,
    root,
  }: { seq: number; head_hash: string; entries: number | undefined; root: string | null },
): boolean {
  if (head.seq !== seq || head.head_hash !== head_hash) return false;
  return entries === undefined || (head.entries === entries && head.root === root);
}

/** Each head once, by chain and in order of their numbers. */
function trustedHeads(
  heads: readonly SignedHead[],
  trusted: TrustedKeys | undefined,
  note: NoteOfChain,
): Map<string, SignedHead[]> {
  const chains = new Map<string, SignedHead[]>();
  const seen = new Set<string>();
  const unknown = new Set<string>();
  for (const head of heads) {
    const { chain, seq, head_hash, root, key, signature } = head;
    const same = [chain, seq, head_hash, root, key, signature].join(' ');
    if (seen.has(same)) continue;
    seen.add(same);
    const wrong = wrongSignature(head, trusted);
    if (wrong === undefined) {
      const known = chains.get(chain);
      if (known) known.push(head);
      else chains.set(chain, [head]);
    } else if (!unknown.has(`${chain} ${key}`)) {
      // A key that is not trusted signs many heads; that is said once.
      if (trusted?.verify(head) !== 'bad signature') unknown.add(`${chain} ${key}`);
      note(chain, seq, 'SIGNATURE_INVALID', `the checkpoint of ${timeOf(head)} at entry ${seq} ${wrong}`);
    }
  }
  for (const list of chains.values()) list.sort((a, b) => a.seq - b.seq || a.issued_at - b.issued_at);
  return chains;
}

function timeOf({ issued_at }: SignedHead): string {
  const time = new Date(issued_at);
  return Number.isNaN(time.getTime()) ? String(issued_at) : time.toISOString();
}
