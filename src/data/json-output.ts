/** JSON as UTF-8 bytes, written piece by piece into one growing buffer. Room is made once, before the pieces are written. */
import { isUtf8 } from 'node:buffer';

/** ASCII that stands for itself between quotes. */
const isPlain = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x80 && byte !== 0x22 && byte !== 0x5c ? 1 : 0,
);
/** Pieces that are written four bytes at a time may reach beyond their end. */
const margin = 16;

export class JsonOutput {
  #bytes = Buffer.allocUnsafeSlow(16_384);
  #view: DataView = new DataView(this.#bytes.buffer);
  #end = 0;

  /** Begins anew, with room for as many bytes. */
  start(room: number): void {
    this.#end = 0;
    if (room + margin <= this.#bytes.length) return;
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(room + margin, 2 * this.#bytes.length));
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** What was written; valid until the next start. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  byte(value: number): void {
    this.#bytes[this.#end++] = value;
  }

  ascii(text: string): void {
    const bytes = this.#bytes;
    let end = this.#end;
    for (let at = 0; at < text.length; at++) bytes[end++] = text.charCodeAt(at);
    this.#end = end;
  }

  /** `length` bytes that are given as little-endian words. */
  words(words: Int32Array, length: number): void {
    const end = this.#end;
    for (let at = 0; at < words.length; at++) this.#view.setInt32(end + 4 * at, words[at] as number, true);
    this.#end = end + length;
  }

  /** A safe integer. */
  integer(value: number): void {
    let rest = value;
    if (rest < 0) {
      this.byte(0x2d);
      rest = -rest;
    }
    if (rest < 1e8) {
      this.#digits(rest, digitsOf(rest));
      return;
    }
    // Halves that fit into 32 bits.
    const high = Math.floor(rest / 1e8);
    this.#digits(high, digitsOf(high));
    this.#digits(rest - high * 1e8, 8);
  }

  #digits(value: number, count: number): void {
    const bytes = this.#bytes;
    const start = this.#end;
    let rest = value;
    for (let at = start + count - 1; at >= start; at--) {
      const tenth = (rest / 10) | 0;
      bytes[at] = 0x30 + rest - tenth * 10;
      rest = tenth;
    }
    this.#end = start + count;
  }

  /** The text of these UTF-8 bytes, quoted; false, and nothing is written, when it is more than plain ASCII. */
  plainText(from: Uint8Array, start: number, stop: number): boolean {
    const bytes = this.#bytes;
    let end = this.#end;
    bytes[end++] = 0x22;
    for (let at = start; at < stop; at++) {
      const byte = from[at] as number;
      if (isPlain[byte] === 0) return false;
      bytes[end++] = byte;
    }
    bytes[end++] = 0x22;
    this.#end = end;
    return true;
  }

  /** What `plainText` wrote last, of `length` characters. */
  lastText(length: number): string {
    return this.#bytes.toString('latin1', this.#end - 1 - length, this.#end - 1);
  }

  /** The text of these bytes, quoted and escaped; undefined, and nothing is written, when they are not UTF-8. */
  text(from: Uint8Array): string | undefined {
    if (!isUtf8(from)) return undefined;
    const text = Buffer.from(from.buffer, from.byteOffset, from.byteLength).toString('utf8');
    this.#end += this.#bytes.write(JSON.stringify(text), this.#end, 'utf8');
    return text;
  }
}

function digitsOf(value: number): number {
  let count = 1;
  for (let limit = 10; value >= limit; limit *= 10) count++;
  return count;
}
