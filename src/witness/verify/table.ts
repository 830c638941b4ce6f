/**
 * The rows of the table of entries in order of their row ids, straight from its pages (SQLite file format, sections 1.6
 * and 2): where the bytes of each column lie, of which no values are made that are not needed.
 */
import { isUtf8 } from 'node:buffer';
import { columns, type Stored } from '../columns.ts';
import { type PageFile, Unusual } from './pages.ts';

const interior = 5;
const leaf = 13;
/** Deeper than a table of any size. */
const maxLevels = 20;
/** Longer rows are left to the careful pass. */
const maxRowBytes = 64 * 2 ** 20;

/** The pages right above the leaves, in order; a table of a single page is a list of that page. */
export function leafParents(file: PageFile, root: number): number[] {
  let level = [root];
  for (let depth = 0; depth < maxLevels; depth++) {
    const [first = root] = level;
    if (typeOf(file, first) === leaf) return level;
    const [below = 0] = children(file, first);
    if (typeOf(file, below) === leaf) return level;
    level = level.flatMap((page) => children(file, page));
  }
  throw new Unusual();
}

/** The leaves below a page of `leafParents`. */
export function leavesOf(file: PageFile, page: number): number[] {
  return typeOf(file, page) === leaf ? [page] : children(file, page);
}

function typeOf(file: PageFile, page: number): number | undefined {
  return file.page(page)[file.offset];
}

function children(file: PageFile, page: number): number[] {
  const bytes = file.page(page);
  const start = file.offset;
  if (bytes[start] !== interior) throw new Unusual();
  const cells = bytes.readUInt16BE(start + 3);
  const found: number[] = [];
  for (let cell = 0; cell < cells; cell++) {
    const place = bytes.readUInt16BE(start + 12 + cell * 2);
    if (place + 4 > file.pageSize) throw new Unusual();
    found.push(bytes.readUInt32BE(start + place));
  }
  found.push(bytes.readUInt32BE(start + 8));
  return found;
}

/** What a column of the present row holds. */
export const held = { nothing: 0, integer: 1, real: 2, text: 3 } as const;

/** What each column may hold, and whether it may be empty. */
const typeOfColumn = Uint8Array.from(columns, (column) =>
  column.type === 'TEXT' ? held.text : column.type === 'REAL' ? held.real : held.integer,
);
const mayBeNull = columns.map((column) => column.nullable);

/** Walks the rows of leaves and shows the present one, whose columns all have the types that a witness gives them. */
export class TableRows {
  /** Valid inside `check` only, as everything else that is shown. */
  bytes: Buffer = Buffer.alloc(0);
  view = new DataView(this.bytes.buffer);
  rowId = Number.MIN_SAFE_INTEGER;
  readonly types = new Uint8Array(columns.length);
  readonly starts = new Int32Array(columns.length);
  readonly lengths = new Int32Array(columns.length);
  /** The value of an integer or real column. */
  readonly numbers = new Float64Array(columns.length);
  readonly #file: PageFile;
  /** Reads the pages on which long rows go on, so that the leaf stays where it is. */
  readonly #others: PageFile;
  #at = 0;

  constructor(file: PageFile, others: PageFile) {
    this.#file = file;
    this.#others = others;
  }

  /** Calls `check` for each row of a leaf. @throws Unusual when a row is not like those that a witness writes */
  readLeaf(page: number, check: () => void): void {
    const bytes = this.#file.page(page);
    const start = this.#file.offset;
    const end = start + this.#file.pageSize;
    if (bytes[start] !== leaf) throw new Unusual();
    const cells = bytes.readUInt16BE(start + 3);
    for (let cell = 0; cell < cells; cell++) {
      this.#show(bytes);
      this.#at = start + bytes.readUInt16BE(start + 8 + cell * 2);
      const size = this.#varint();
      const id = this.#varint();
      if (id <= this.rowId) throw new Unusual();
      this.rowId = id;
      if (size > this.#file.pageSize - 35) this.#gather(size, end);
      else if (this.#at + size > end) throw new Unusual();
      this.#record(this.#at, size);
      check();
    }
  }

  /** The value of a column as the database gives it. */
  value(column: number): Stored {
    switch (this.types[column]) {
      case held.integer:
        return BigInt(this.numbers[column] as number);
      case held.real:
        return this.numbers[column] as number;
      case held.text:
        return this.text(column);
      default:
        return null;
    }
  }

  /** @throws Unusual when the bytes are no text */
  text(column: number): string {
    const start = this.starts[column] as number;
    const bytes = this.bytes.subarray(start, start + (this.lengths[column] as number));
    if (!isUtf8(bytes)) throw new Unusual();
    return bytes.toString();
  }

  /** A text as characters, when it was found to be UTF-8, or one per byte. */
  textAs(column: number, encoding: 'utf8' | 'latin1'): string {
    const start = this.starts[column] as number;
    return this.bytes.toString(encoding, start, start + (this.lengths[column] as number));
  }

  /** Whether a column is the text of these bytes. */
  is(column: number, text: Uint8Array): boolean {
    if (this.types[column] !== held.text || this.lengths[column] !== text.length) return false;
    const { bytes } = this;
    const start = this.starts[column] as number;
    for (let place = 0; place < text.length; place++) if (bytes[start + place] !== text[place]) return false;
    return true;
  }

  #show(bytes: Buffer): void {
    if (this.bytes === bytes) return;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Puts a row together that does not fit on its leaf (section 1.6: payload overflow). */
  #gather(size: number, end: number): void {
    if (size > maxRowBytes) throw new Unusual();
    const usable = this.#file.pageSize;
    const least = Math.floor(((usable - 12) * 32) / 255) - 23;
    const wanted = least + ((size - least) % (usable - 4));
    let have = wanted <= usable - 35 ? wanted : least;
    if (this.#at + have + 4 > end) throw new Unusual();
    const row = Buffer.alloc(size + 8);
    this.bytes.copy(row, 0, this.#at, this.#at + have);
    let next = this.bytes.readUInt32BE(this.#at + have);
    while (have < size) {
      const page = this.#others.page(next);
      const start = this.#others.offset;
      const more = Math.min(size - have, usable - 4);
      page.copy(row, have, start + 4, start + 4 + more);
      next = page.readUInt32BE(start);
      have += more;
    }
    this.#show(row);
    this.#at = 0;
  }

  /** Finds the columns of a row (section 2.1). */
  #record(start: number, size: number): void {
    this.#at = start;
    const body = start + this.#varint();
    let at = body;
    for (let column = 0; column < columns.length; column++) {
      const serial = this.#varint();
      this.starts[column] = at;
      if (serial >= 13 && serial % 2 === 1) {
        if (typeOfColumn[column] !== held.text) throw new Unusual();
        this.types[column] = held.text;
        at += this.lengths[column] = (serial - 13) / 2;
      } else if (serial === 0) {
        if (!mayBeNull[column]) throw new Unusual();
        this.types[column] = held.nothing;
      } else at += this.#number(column, serial, at);
    }
    if (this.#at !== body || at !== start + size) throw new Unusual();
  }

  /** The length of a number, whose value is noted. A real column keeps whole numbers as such. */
  #number(column: number, serial: number, at: number): number {
    const wanted = typeOfColumn[column] as number;
    if (wanted === held.text || (serial === 7 && wanted !== held.real)) throw new Unusual();
    this.types[column] = wanted;
    const { bytes } = this;
    switch (serial) {
      case 1:
      case 2:
      case 3:
      case 4:
        this.numbers[column] = bytes.readIntBE(at, serial);
        return serial;
      case 5:
        this.numbers[column] = bytes.readIntBE(at, 6);
        return 6;
      case 7: {
        const value = bytes.readDoubleBE(at);
        // The database takes it for NULL.
        if (Number.isNaN(value)) throw new Unusual();
        this.numbers[column] = value;
        return 8;
      }
      case 8:
      case 9:
        this.numbers[column] = serial - 8;
        return 0;
      default:
        throw new Unusual();
    }
  }

  /** Up to 2^53; longer ones are unusual. */
  #varint(): number {
    const { bytes } = this;
    let byte = bytes[this.#at++] as number;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let more = 0; more < 6; more++) {
      byte = bytes[this.#at++] as number;
      value = value * 128 + (byte & 0x7f);
      if (byte < 0x80) return value;
    }
    throw new Unusual();
  }
}
