/**
 * Reads MessagePack from outside. It admits only JSON's data model (no extension types, no binary, text keys, each key
 * once), bounds the nesting, and finds truncated or surplus bytes, so that a body means the same here as to any other
 * reader. Text is kept to the last code unit, a byte order mark at its beginning included.
 */
import { FabricError } from '../errors.ts';
import { maxDepth, noteKey, tooDeep } from './json-text.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The value of the bytes. @throws FabricError INVALID_REQUEST */
export function readMsgpack(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (reader.at !== bytes.length) throw invalid(`has ${bytes.length - reader.at} bytes after its end`);
  return value;
}

function invalid(what: string): FabricError {
  return new FabricError('INVALID_REQUEST', `the MessagePack body ${what}; send one map of JSON-like values`);
}

class Reader {
  /** Where the next value begins. */
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(depth: number): unknown {
    const tag = this.#unsigned(1);
    if (tag <= 0x7f) return tag;
    if (tag >= 0xe0) return tag - 0x100;
    if (tag <= 0x8f) return this.#map(tag & 0x0f, depth);
    if (tag <= 0x9f) return this.#array(tag & 0x0f, depth);
    if (tag <= 0xbf) return this.#text(tag & 0x1f);
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return exact(this.#view.getFloat32(this.#skip(4)));
      case 0xcb:
        return exact(this.#view.getFloat64(this.#skip(8)));
      case 0xcc:
        return this.#unsigned(1);
      case 0xcd:
        return this.#unsigned(2);
      case 0xce:
        return this.#unsigned(4);
      case 0xcf:
        return exact(Number(this.#view.getBigUint64(this.#skip(8))));
      case 0xd0:
        return this.#view.getInt8(this.#skip(1));
      case 0xd1:
        return this.#view.getInt16(this.#skip(2));
      case 0xd2:
        return this.#view.getInt32(this.#skip(4));
      case 0xd3:
        return exact(Number(this.#view.getBigInt64(this.#skip(8))));
      case 0xd9:
        return this.#text(this.#unsigned(1));
      case 0xda:
        return this.#text(this.#unsigned(2));
      case 0xdb:
        return this.#text(this.#unsigned(4));
      case 0xdc:
        return this.#array(this.#unsigned(2), depth);
      case 0xdd:
        return this.#array(this.#unsigned(4), depth);
      case 0xde:
        return this.#map(this.#unsigned(2), depth);
      case 0xdf:
        return this.#map(this.#unsigned(4), depth);
      default:
        throw invalid(`holds a binary or extension value (byte 0x${tag.toString(16)})`);
    }
  }

  #map(size: number, depth: number): Record<string, unknown> {
    if (depth >= maxDepth) throw tooDeep();
    const keys = new Set<string>();
    const map: Record<string, unknown> = {};
    for (let i = 0; i < size; i++) {
      const key = this.#key();
      noteKey(keys, key);
      map[key] = this.value(depth + 1);
    }
    return map;
  }

  #key(): string {
    const tag = this.#unsigned(1);
    if (tag >= 0xa0 && tag <= 0xbf) return this.#text(tag & 0x1f);
    if (tag === 0xd9) return this.#text(this.#unsigned(1));
    if (tag === 0xda) return this.#text(this.#unsigned(2));
    if (tag === 0xdb) return this.#text(this.#unsigned(4));
    throw invalid('has a map key that is not text');
  }

  #array(size: number, depth: number): unknown[] {
    if (depth >= maxDepth) throw tooDeep();
    const items: unknown[] = [];
    for (let i = 0; i < size; i++) items.push(this.value(depth + 1));
    return items;
  }

  #text(length: number): string {
    const start = this.#skip(length);
    try {
      return utf8.decode(this.#bytes.subarray(start, start + length));
    } catch {
      throw invalid('holds text that is not valid UTF-8');
    }
  }

  #unsigned(size: 1 | 2 | 4): number {
    const at = this.#skip(size);
    if (size === 1) return this.#view.getUint8(at);
    return size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  /** Moves on; where it was. */
  #skip(size: number): number {
    const at = this.at;
    if (at + size > this.#bytes.length) throw invalid('ends too early');
    this.at = at + size;
    return at;
  }
}

/** As for JSON: what a double does not hold exactly, another reader would see as another number. */
function exact(number: number): number {
  if (!Number.isFinite(number)) throw invalid(`holds the number ${number}, which JSON cannot say`);
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) {
    throw invalid('holds an integer beyond 2^53 - 1, which other readers would round; send it as text');
  }
  return number;
}
