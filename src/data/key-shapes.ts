/**
 * The key sequences of maps that have been seen, as a tree: maps of one kind carry the same keys in the same order, so the
 * canonical order of their keys is worked out once. Only keys that are their own JSON form are kept; the tree is bounded.
 */

/** Which members of a map are asked for: by key, and of a member that is a map itself, which of its members. */
export interface Outline {
  readonly [key: string]: true | Outline;
}

/** A member of a map, in canonical order. */
export interface Member {
  /** Its place among the keys as they came. */
  readonly place: number;
  readonly key: string;
  /** What is written before its value: `{` or `,`, the key and a colon; four bytes at a time, padded with zeros. */
  readonly lead: Int32Array;
  readonly leadLength: number;
  /** Whether it is asked for. */
  readonly asked: true | Outline | undefined;
}

/** Further ones replace the oldest. */
const mostFollowers = 16;
const longestKey = 256;
/** How many keys and members are remembered, a long key counted as several; then all are forgotten, and learned anew. */
const mostRemembered = 32_768;
const lengthPerUnit = 32;

/** All the shapes that are remembered; those of maps that different things are asked of are kept apart. */
export class KeyShapes {
  #roots = new Map<Outline | undefined, KeyShape>();
  #room = { left: mostRemembered };

  /** The shape of no key. */
  empty(outline: Outline | undefined): KeyShape {
    if (this.#room.left < 0) {
      this.#room = { left: mostRemembered };
      this.#roots = new Map();
    }
    let root = this.#roots.get(outline);
    if (!root) {
      root = new KeyShape('', undefined, outline, this.#room);
      this.#roots.set(outline, root);
    }
    return root;
  }
}

/** The keys of a map up to one of them. */
export class KeyShape {
  readonly #key: string;
  /** The key, four bytes at a time; the last four may overlap those before. */
  readonly #words: Int32Array;
  readonly #before: KeyShape | undefined;
  readonly #outline: Outline | undefined;
  readonly #followers: KeyShape[] = [];
  readonly #room: { left: number };
  #replaced = 0;
  #members: readonly Member[] | null | undefined;

  constructor(key: string, before: KeyShape | undefined, outline: Outline | undefined, room: { left: number }) {
    this.#key = key;
    this.#words = wordsOf(Buffer.from(key, 'latin1'));
    this.#before = before;
    this.#outline = outline;
    this.#room = room;
  }

  /** The shape with one more key, the ASCII text at `start`; undefined when it has not been seen. */
  next(view: DataView, start: number, length: number): KeyShape | undefined {
    const followers = this.#followers;
    for (let at = 0; at < followers.length; at++) {
      const follower = followers[at] as KeyShape;
      if (follower.#key.length === length && follower.#isAt(view, start)) return follower;
    }
    return undefined;
  }

  /** Learns the shape with one more key; undefined when that is long, not its own JSON form, or not kept by all readers. */
  learn(bytes: Uint8Array, start: number, length: number): KeyShape | undefined {
    if (length > longestKey) return undefined;
    const key = Buffer.from(bytes.subarray(start, start + length)).toString('latin1');
    if (!plainKey.test(key) || key === '__proto__') return undefined;
    this.#room.left -= 1 + length / lengthPerUnit;
    const shape = new KeyShape(key, this, this.#outline, this.#room);
    if (this.#followers.length < mostFollowers) this.#followers.push(shape);
    else this.#followers[this.#replaced++ % mostFollowers] = shape;
    return shape;
  }

  /** All members in canonical order; null when a key occurs twice. */
  get members(): readonly Member[] | null {
    if (this.#members === undefined) {
      const keys = this.#keys();
      for (const key of keys) this.#room.left -= 1 + key.length / lengthPerUnit;
      this.#members = inOrder(keys, this.#outline);
    }
    return this.#members;
  }

  #isAt(view: DataView, start: number): boolean {
    const length = this.#key.length;
    const words = this.#words;
    if (length < 4) {
      for (let at = 0; at < length; at++) if (words[at] !== view.getUint8(start + at)) return false;
      return true;
    }
    const last = words.length - 1;
    for (let at = 0; at < last; at++) if (words[at] !== view.getInt32(start + 4 * at, true)) return false;
    return words[last] === view.getInt32(start + length - 4, true);
  }

  #keys(): string[] {
    const keys: string[] = [];
    for (let shape: KeyShape = this; shape.#before; shape = shape.#before) keys.push(shape.#key);
    return keys.reverse();
  }
}

const plainKey = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

function inOrder(keys: readonly string[], outline: Outline | undefined): Member[] | null {
  if (new Set(keys).size < keys.length) return null;
  const places = keys.map((key, place) => ({ key, place })).sort((a, b) => (a.key < b.key ? -1 : 1));
  return places.map(({ key, place }, at) => {
    const lead = Buffer.from(`${at === 0 ? '{' : ','}"${key}":`, 'latin1');
    const padded = Buffer.alloc(Math.ceil(lead.length / 4) * 4);
    lead.copy(padded);
    return {
      place,
      key,
      lead: wordsOf(padded),
      leadLength: lead.length,
      asked: outline && Object.hasOwn(outline, key) ? outline[key] : undefined,
    };
  });
}

/** Bytes as little-endian words, the last four as one; fewer than four one by one. */
function wordsOf(bytes: Buffer): Int32Array {
  if (bytes.length < 4) return Int32Array.from(bytes);
  const count = Math.ceil(bytes.length / 4);
  return Int32Array.from({ length: count }, (_, at) => bytes.readInt32LE(Math.min(4 * at, bytes.length - 4)));
}
