/**
 * Canonical JSON (RFC 8785) straight from MessagePack bytes, without making a value of them: the witness does this for
 * every message. It answers only for the plain case, in which it writes exactly what reading the value and `canonicalJson`
 * would; of anything unusual (texts that are not UTF-8, keys beyond plain ASCII or given twice, integers that a double does
 * not hold, extensions, deep nesting, very large bodies) it says so, and the caller takes the long way.
 */
import type { Json } from '../../machines/record.ts';
import { JsonOutput } from './json-output.ts';
import { type KeyShape, KeyShapes, type Outline } from './key-shapes.ts';
import { skipMsgpack } from './msgpack-skip.ts';

/** A canonical text, and of the members that were asked for those that are there; arrays and maps not asked into are empty. */
export interface CanonicalText {
  /** UTF-8; valid until the next call. */
  readonly json: Uint8Array;
  readonly outline: { [key: string]: Json };
}

const largestBody = 1_048_576;
/** Each byte of MessagePack becomes at most as many of JSON: a control character is escaped with six. */
const growth = 6;
const deepest = 32;
const mostMembers = 1_024;
const nothing = new Uint8Array();

/** Writes one body after the other. Not to be shared between threads. */
export class CanonicalWriter {
  readonly #outline: Outline;
  readonly #shapes = new KeyShapes();
  readonly #out = new JsonOutput();
  #bytes: Uint8Array = nothing;
  #view: DataView = new DataView(nothing.buffer);
  /** Where the next value begins. */
  #at = 0;
  /** Where the values of the maps that are being written begin, map by map. */
  readonly #places = new Int32Array(deepest * mostMembers);
  #placed = 0;
  /** The value that was written last, where it is asked for. */
  #seen: Json = null;

  /** @param outline the members of the top-level map that are asked for */
  constructor(outline: Outline) {
    this.#outline = outline;
  }

  /** The canonical text of a body that is one MessagePack map; undefined when anything about it is unusual. */
  write(bytes: Uint8Array): CanonicalText | undefined {
    if (bytes.length > largestBody) return undefined;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = 0;
    this.#placed = 0;
    this.#out.start(growth * bytes.length);
    const size = this.#mapSize(bytes[this.#at++] ?? 0);
    if (size < 0 || !this.#map(size, 0, this.#outline) || this.#at !== bytes.length) return undefined;
    return { json: this.#out.written, outline: this.#seen as { [key: string]: Json } };
  }

  /** Writes the next value; false when it is unusual. */
  #value(depth: number, asked: true | Outline | undefined): boolean {
    const tag = this.#bytes[this.#at++];
    if (tag === undefined) return false;
    if (tag <= 0x7f) return this.#number(tag);
    if (tag >= 0xe0) return this.#number(tag - 0x100);
    if (tag >= 0xa0 && tag <= 0xbf) return this.#text(tag & 0x1f, asked !== undefined);
    const size = this.#mapSize(tag);
    if (size >= 0) return this.#map(size, depth, asked === true ? undefined : asked);
    switch (tag) {
      case 0xc0:
        return this.#literal(null);
      case 0xc2:
        return this.#literal(false);
      case 0xc3:
        return this.#literal(true);
      case 0xd9:
        return this.#text(this.#unsigned(1), asked !== undefined);
      case 0xda:
        return this.#text(this.#unsigned(2), asked !== undefined);
      case 0xdb:
        return this.#text(this.#unsigned(4), asked !== undefined);
      case 0xdc:
        return this.#array(this.#unsigned(2), depth);
      case 0xdd:
        return this.#array(this.#unsigned(4), depth);
      default:
        return tag <= 0x9f ? this.#array(tag & 0x0f, depth) : this.#longNumber(tag);
    }
  }

  #literal(value: null | boolean): boolean {
    this.#seen = value;
    this.#out.ascii(value === null ? 'null' : value ? 'true' : 'false');
    return true;
  }

  #longNumber(tag: number): boolean {
    const start = this.#at;
    const size = tag === 0xcb || tag === 0xcf || tag === 0xd3 ? 8 : 1 << (tag & 0x03);
    if (tag < 0xcb || tag > 0xd3 || start + size > this.#bytes.length) return false;
    this.#at = start + size;
    const view = this.#view;
    switch (tag) {
      case 0xcb:
        return this.#number(view.getFloat64(start));
      case 0xcc:
        return this.#number(view.getUint8(start));
      case 0xcd:
        return this.#number(view.getUint16(start));
      case 0xce:
        return this.#number(view.getUint32(start));
      case 0xcf:
        return this.#number(view.getUint32(start) * 0x1_0000_0000 + view.getUint32(start + 4));
      case 0xd0:
        return this.#number(view.getInt8(start));
      case 0xd1:
        return this.#number(view.getInt16(start));
      case 0xd2:
        return this.#number(view.getInt32(start));
      default:
        return this.#number(view.getInt32(start) * 0x1_0000_0000 + view.getUint32(start + 4));
    }
  }

  #number(value: number): boolean {
    this.#seen = value;
    if (Number.isSafeInteger(value)) this.#out.integer(value);
    else if (Number.isInteger(value) || !Number.isFinite(value)) return false;
    else this.#out.ascii(`${value}`);
    return true;
  }

  #text(length: number, asked: boolean): boolean {
    const start = this.#at;
    const stop = start + length;
    if (length < 0 || stop > this.#bytes.length) return false;
    this.#at = stop;
    if (this.#out.plainText(this.#bytes, start, stop)) {
      if (asked) this.#seen = this.#out.lastText(length);
      return true;
    }
    const text = this.#out.text(this.#bytes.subarray(start, stop));
    this.#seen = text ?? null;
    return text !== undefined;
  }

  #array(size: number, depth: number): boolean {
    if (size < 0 || depth >= deepest) return false;
    this.#out.byte(0x5b);
    for (let at = 0; at < size; at++) {
      if (at > 0) this.#out.byte(0x2c);
      if (!this.#value(depth + 1, undefined)) return false;
    }
    this.#out.byte(0x5d);
    this.#seen = [];
    return true;
  }

  #map(size: number, depth: number, outline: Outline | undefined): boolean {
    if (depth >= deepest || size > mostMembers) return false;
    const first = this.#placed;
    const members = this.#find(size, outline);
    if (!members) return false;
    const stop = this.#at;
    const seen: { [key: string]: Json } = {};
    const out = this.#out;
    for (let at = 0; at < members.length; at++) {
      const member = members[at] as (typeof members)[number];
      out.words(member.lead, member.leadLength);
      this.#at = this.#places[first + member.place] as number;
      if (!this.#value(depth + 1, member.asked)) return false;
      if (member.asked !== undefined) seen[member.key] = this.#seen;
    }
    if (size === 0) out.byte(0x7b);
    out.byte(0x7d);
    this.#at = stop;
    this.#placed = first;
    this.#seen = seen;
    return true;
  }

  /** Notes where each value of a map begins, moves behind the map, and gives its members in canonical order. */
  #find(size: number, outline: Outline | undefined): KeyShape['members'] {
    const bytes = this.#bytes;
    let shape = this.#shapes.empty(outline);
    for (let at = 0; at < size; at++) {
      const length = this.#keyLength();
      const start = this.#at;
      if (length < 0 || start + length > bytes.length) return null;
      const next = shape.next(this.#view, start, length) ?? shape.learn(bytes, start, length);
      if (!next) return null;
      shape = next;
      this.#places[this.#placed++] = start + length;
      this.#at = skipMsgpack(bytes, this.#view, start + length);
      if (this.#at < 0) return null;
    }
    return shape.members;
  }

  /** -1 when the tag is no map's. */
  #mapSize(tag: number): number {
    if (tag >= 0x80 && tag <= 0x8f) return tag & 0x0f;
    if (tag === 0xde) return this.#unsigned(2);
    return tag === 0xdf ? this.#unsigned(4) : -1;
  }

  /** -1 when the key is not text. */
  #keyLength(): number {
    const tag = this.#bytes[this.#at++] ?? 0;
    if (tag >= 0xa0 && tag <= 0xbf) return tag & 0x1f;
    if (tag === 0xd9) return this.#unsigned(1);
    if (tag === 0xda) return this.#unsigned(2);
    return tag === 0xdb ? this.#unsigned(4) : -1;
  }

  /** -1 when the bytes end before. */
  #unsigned(size: 1 | 2 | 4): number {
    const at = this.#at;
    if (at + size > this.#bytes.length) return -1;
    this.#at = at + size;
    if (size === 1) return this.#bytes[at] as number;
    return size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }
}
