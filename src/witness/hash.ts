/**
 * The hash of a row: SHA-256 over an encoding in which no two different rows share their bytes (every value carries its
 * type, every text its length). The rule is published byte by byte in docs/witness-chain.md.
 */
import { hash } from 'node:crypto';
import type { Stored } from './columns.ts';

/** What the encoding of every row begins with: the domain, then the version of the rule. */
export const domainTag = 'InfraFabric witness entry\u0000\u0001';

const tagNull = 0;
const tagInteger = 1;
const tagReal = 2;
const tagText = 3;
const tagBlob = 4;

/** Up to this length a text of ASCII characters is copied faster here than by a call into the runtime. */
const shortText = 48;

/**
 * Encodes and hashes rows, one after the other, in one growing buffer. Not to be shared between threads.
 */
export class RowHasher {
  #bytes: Buffer;
  #view: DataView;
  readonly #start: number;

  constructor() {
    this.#bytes = Buffer.allocUnsafeSlow(16_384);
    this.#view = new DataView(this.#bytes.buffer);
    this.#start = this.#bytes.write(domainTag, 0, 'latin1');
  }

  /** The content hash of a row's hashed values, as 64 lower-case hex digits. */
  hash(values: readonly Stored[], count = values.length): string {
    return hash('sha256', this.encode(values, count), 'hex');
  }

  /** The same, with bytes taken for the text that they are the UTF-8 of. */
  hashOfUtf8(values: readonly Stored[]): string {
    return hash('sha256', this.encode(values, values.length, tagText), 'hex');
  }

  /** The encoding; valid until the next call. */
  encode(values: readonly Stored[], count = values.length, tagOfBytes = tagBlob): Uint8Array {
    let at = this.#start;
    for (let index = 0; index < count; index++) at = this.#value(values[index] ?? null, at, tagOfBytes);
    return this.#bytes.subarray(0, at);
  }

  #value(value: Stored, at: number, tagOfBytes: number): number {
    if (typeof value === 'string') return this.#text(value, at);
    this.#reserve(at, value instanceof Uint8Array ? value.length + 5 : 9);
    if (value === null) {
      this.#bytes[at] = tagNull;
      return at + 1;
    }
    if (typeof value === 'bigint') {
      this.#bytes[at] = tagInteger;
      this.#view.setBigInt64(at + 1, value);
      return at + 9;
    }
    if (typeof value === 'number') {
      this.#bytes[at] = tagReal;
      this.#view.setFloat64(at + 1, value);
      return at + 9;
    }
    // No column may hold a BLOB; a verifier meets it in a row that someone changed.
    this.#bytes[at] = tagOfBytes;
    this.#view.setUint32(at + 1, value.length);
    this.#bytes.set(value, at + 5);
    return at + 5 + value.length;
  }

  #text(text: string, at: number): number {
    this.#reserve(at, text.length * 3 + 5);
    const bytes = this.#bytes;
    bytes[at] = tagText;
    const start = at + 5;
    const length = text.length > shortText ? bytes.write(text, start) : this.#short(text, start);
    this.#view.setUint32(at + 1, length);
    return start + length;
  }

  #short(text: string, start: number): number {
    const bytes = this.#bytes;
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) return bytes.write(text, start);
      bytes[start + index] = unit;
    }
    return text.length;
  }

  #reserve(at: number, more: number): void {
    if (at + more <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, at + more));
    this.#bytes.copy(grown, 0, 0, at);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
