/**
 * A walk over MessagePack bytes before they are decoded. It admits only JSON's data model (no extension types, no binary,
 * text keys, each key once), bounds the nesting, and finds truncated or surplus bytes, so that the decoder behind it
 * never meets input that it would interpret more freely than another reader.
 */
import { FabricError } from '../errors.ts';
import { maxDepth, noteKey, tooDeep } from './json-text.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws FabricError INVALID_REQUEST */
export function checkMsgpack(bytes: Uint8Array): void {
  const end = new Walk(bytes).value(0, 0);
  if (end !== bytes.length) throw invalid(`has ${bytes.length - end} bytes after its end`);
}

function invalid(what: string): FabricError {
  return new FabricError('INVALID_REQUEST', `the MessagePack body ${what}; send one map of JSON-like values`);
}

class Walk {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Checks the value at `at` and returns the offset behind it. */
  value(at: number, depth: number): number {
    const tag = this.#unsigned(at, 1);
    if (tag <= 0x7f || tag >= 0xe0) return at + 1;
    if (tag <= 0x8f) return this.#map(at + 1, tag & 0x0f, depth);
    if (tag <= 0x9f) return this.#array(at + 1, tag & 0x0f, depth);
    if (tag <= 0xbf) return this.#text(at + 1, tag & 0x1f)[1];
    switch (tag) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        return at + 1;
      case 0xca:
        return this.#finite(this.#view.getFloat32(this.#need(at + 1, 4)), at + 5);
      case 0xcb:
        return this.#finite(this.#view.getFloat64(this.#need(at + 1, 8)), at + 9);
      case 0xcc:
      case 0xd0:
        return this.#need(at + 1, 1) + 1;
      case 0xcd:
      case 0xd1:
        return this.#need(at + 1, 2) + 2;
      case 0xce:
      case 0xd2:
        return this.#need(at + 1, 4) + 4;
      case 0xcf:
        return this.#safe(this.#view.getBigUint64(this.#need(at + 1, 8)), at + 9);
      case 0xd3:
        return this.#safe(this.#view.getBigInt64(this.#need(at + 1, 8)), at + 9);
      case 0xd9:
        return this.#text(at + 2, this.#unsigned(at + 1, 1))[1];
      case 0xda:
        return this.#text(at + 3, this.#unsigned(at + 1, 2))[1];
      case 0xdb:
        return this.#text(at + 5, this.#unsigned(at + 1, 4))[1];
      case 0xdc:
        return this.#array(at + 3, this.#unsigned(at + 1, 2), depth);
      case 0xdd:
        return this.#array(at + 5, this.#unsigned(at + 1, 4), depth);
      case 0xde:
        return this.#map(at + 3, this.#unsigned(at + 1, 2), depth);
      case 0xdf:
        return this.#map(at + 5, this.#unsigned(at + 1, 4), depth);
      default:
        throw invalid(`holds a binary or extension value (byte 0x${tag.toString(16)})`);
    }
  }

  #map(at: number, size: number, depth: number): number {
    if (depth >= maxDepth) throw tooDeep();
    const keys = new Set<string>();
    let next = at;
    for (let i = 0; i < size; i++) {
      const [key, behind] = this.#key(next);
      noteKey(keys, key);
      next = this.value(behind, depth + 1);
    }
    return next;
  }

  #key(at: number): [string, number] {
    const tag = this.#unsigned(at, 1);
    if (tag >= 0xa0 && tag <= 0xbf) return this.#text(at + 1, tag & 0x1f);
    if (tag === 0xd9) return this.#text(at + 2, this.#unsigned(at + 1, 1));
    if (tag === 0xda) return this.#text(at + 3, this.#unsigned(at + 1, 2));
    throw invalid('has a map key that is not text');
  }

  #array(at: number, size: number, depth: number): number {
    if (depth >= maxDepth) throw tooDeep();
    let next = at;
    for (let i = 0; i < size; i++) next = this.value(next, depth + 1);
    return next;
  }

  #text(at: number, length: number): [string, number] {
    this.#need(at, length);
    try {
      return [utf8.decode(this.#bytes.subarray(at, at + length)), at + length];
    } catch {
      throw invalid('holds text that is not valid UTF-8');
    }
  }

  #finite(value: number, next: number): number {
    if (!Number.isFinite(value)) throw invalid('holds a number that is not finite');
    if (Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21) throw unsafe();
    return next;
  }

  #safe(value: bigint, next: number): number {
    if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)) throw unsafe();
    return next;
  }

  #unsigned(at: number, size: 1 | 2 | 4): number {
    this.#need(at, size);
    if (size === 1) return this.#view.getUint8(at);
    return size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #need(at: number, size: number): number {
    if (at + size > this.#bytes.length) throw invalid('ends too early');
    return at;
  }
}

function unsafe(): FabricError {
  return invalid('holds an integer beyond 2^53 - 1, which other readers would round; send it as text');
}
