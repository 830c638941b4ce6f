/**
 * The content hash of a row straight from its stored bytes: the encoding of `hash.ts`, whose texts are copied as they lie in
 * the file. Its tests hold both to the same bytes.
 */
import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import { hashedColumns } from '../columns.ts';
import { domainTag } from '../hash.ts';
import { Unusual } from './pages.ts';
import { held, type TableRows } from './table.ts';

const [tagNull, tagInteger, tagReal, tagText] = [0, 1, 2, 3];
/** Up to this length copying words here is faster than a call into the runtime. */
const shortText = 64;
const highBits = 0x80808080 | 0;

export class StoredRowHasher {
  #out: Buffer = Buffer.alloc(0);
  #view = new DataView(this.#out.buffer);
  #start = 0;

  constructor() {
    this.#grow(16_384);
  }

  /** The content hash of the row, as hex digits. @throws Unusual when a text is not UTF-8 */
  hash(row: TableRows): string {
    return hash('sha256', this.encode(row), 'hex');
  }

  /** Valid until the next call. */
  encode(row: TableRows): Buffer {
    let at = this.#start;
    for (let column = 0; column < hashedColumns; column++) {
      const length = row.lengths[column] as number;
      switch (row.types[column]) {
        case held.text:
          if (at + length + 64 > this.#out.length) this.#grow(at + length + 64);
          this.#out[at] = tagText as number;
          this.#view.setInt32(at + 1, length);
          this.#copy(row, row.starts[column] as number, length, at + 5);
          at += 5 + length;
          break;
        case held.integer:
          this.#out[at] = tagInteger as number;
          this.#integer(row.numbers[column] as number, at + 1);
          at += 9;
          break;
        case held.real:
          this.#out[at] = tagReal as number;
          this.#view.setFloat64(at + 1, row.numbers[column] as number);
          at += 9;
          break;
        default:
          this.#out[at] = tagNull as number;
          at += 1;
      }
    }
    return this.#out.subarray(0, at);
  }

  /** Copies a text; what it writes behind the end is written over by what follows. */
  #copy(row: TableRows, start: number, length: number, to: number): void {
    let high = highBits;
    if (length <= shortText) {
      high = 0;
      const { view } = row;
      for (let at = 0; at < length; at += 4) {
        const word = view.getInt32(start + at);
        high |= word;
        this.#view.setInt32(to + at, word);
      }
    } else row.bytes.copy(this.#out, to, start, start + length);
    if ((high & highBits) !== 0 && !isUtf8(row.bytes.subarray(start, start + length))) throw new Unusual();
  }

  /** Two's complement of a whole number below 2^53. */
  #integer(value: number, at: number): void {
    this.#view.setInt32(at, Math.floor(value / 4_294_967_296));
    this.#view.setInt32(at + 4, value | 0);
  }

  #grow(least: number): void {
    const grown = Buffer.alloc(Math.max(this.#out.length * 2, least));
    this.#out.copy(grown);
    this.#out = grown;
    this.#view = new DataView(grown.buffer, grown.byteOffset, grown.length);
    this.#start = grown.write(domainTag, 0, 'latin1');
  }
}
