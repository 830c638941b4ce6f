/**
 * The pages of a SQLite file as they are now: those of its write-ahead log before those of the file itself (SQLite file
 * format, sections 1.3 and 4). For the quick pass of a verification; whatever is out of the ordinary is refused.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** What is there to read is not what this reader reads; the verification goes the careful way. */
export class Unusual extends Error {}

/** Where the pages of a log lie. Plain data, for other threads. */
export interface LogPages {
  readonly salt: bigint;
  /** Pairs: the number of a page, and the place of its newest frame. */
  readonly frames: ReadonlyArray<readonly [page: number, offset: number]>;
}

const headerSize = 100;
const logHeaderSize = 32;
const frameHeaderSize = 24;
/** Pages read at once; those of one table lie near each other. */
const windowPages = 32;
/** Readable bytes behind a page, so that what copies words need not look where it ends. */
export const slack = 8;

export class PageFile {
  readonly pageSize: number;
  readonly #file: number;
  readonly #log: number | undefined;
  readonly #salt: bigint;
  readonly #frames: ReadonlyMap<number, number>;
  readonly #window: Buffer;
  readonly #frame: Buffer;
  #first = 0;
  #held = 0;
  /** Where in `bytes` the page that was asked for last begins. */
  offset = 0;

  /** @throws Unusual when the file is not one of this reader's */
  constructor(path: string, log: LogPages | undefined) {
    this.#file = openSync(path, 'r');
    this.#log = log && openSync(`${path}-wal`, 'r');
    this.#salt = log?.salt ?? 0n;
    this.#frames = new Map(log?.frames ?? []);
    this.pageSize = 0;
    this.#window = this.#frame = Buffer.alloc(0);
    try {
      const header = this.#header();
      const size = header.readUInt16BE(16);
      this.pageSize = size === 1 ? 65_536 : size;
      const isText = header.toString('latin1', 0, 16) === 'SQLite format 3\0';
      // Unused bytes at the end of pages, and text that is not UTF-8.
      if (!isText || this.pageSize < 512 || header[20] !== 0 || header.readUInt32BE(56) !== 1) throw new Unusual();
      this.#window = Buffer.alloc(this.pageSize * windowPages + slack);
      this.#frame = Buffer.alloc(frameHeaderSize + this.pageSize + slack);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The bytes that hold a page, from `offset` on; valid until the next call. */
  page(number: number): Buffer {
    const frame = this.#frames.get(number);
    if (frame !== undefined) return this.#ofLog(frame);
    if (number < this.#first || number >= this.#first + this.#held) {
      const place = (number - 1) * this.pageSize;
      const bytes = number < 1 ? 0 : readSync(this.#file, this.#window, 0, this.pageSize * windowPages, place);
      this.#first = number;
      this.#held = Math.floor(bytes / this.pageSize);
      if (this.#held === 0) throw new Unusual();
    }
    this.offset = (number - this.#first) * this.pageSize;
    return this.#window;
  }

  close(): void {
    closeSync(this.#file);
    if (this.#log !== undefined) closeSync(this.#log);
  }

  #header(): Buffer {
    const header = Buffer.alloc(headerSize);
    const frame = this.#frames.get(1);
    const read =
      frame === undefined || this.#log === undefined
        ? readSync(this.#file, header, 0, headerSize, 0)
        : readSync(this.#log, header, 0, headerSize, frame + frameHeaderSize);
    if (read < headerSize) throw new Unusual();
    return header;
  }

  #ofLog(frame: number): Buffer {
    const length = frameHeaderSize + this.pageSize;
    const bytes = this.#log === undefined ? 0 : readSync(this.#log, this.#frame, 0, length, frame);
    // The log may have begun anew meanwhile.
    if (bytes < length || this.#frame.readBigUInt64BE(8) !== this.#salt) throw new Unusual();
    this.offset = frameHeaderSize;
    return this.#frame;
  }
}

/** The pages that a log holds up to its last commit; undefined when it holds none. @throws when it cannot be read */
export function readLog(path: string): LogPages | undefined {
  const file = openSync(`${path}-wal`, 'r');
  try {
    const header = Buffer.alloc(logHeaderSize);
    if (readSync(file, header, 0, logHeaderSize, 0) < logHeaderSize) return undefined;
    const magic = header.readUInt32BE(0);
    if (magic !== 0x377f0682 && magic !== 0x377f0683) return undefined;
    const length = frameHeaderSize + header.readUInt32BE(8);
    if (length > frameHeaderSize + 65_536) throw new Unusual();
    const salt = header.readBigUInt64BE(16);
    const sum = new LogSum(magic === 0x377f0682);
    sum.add(header, 0, 24);
    if (!sum.is(header, 24)) return undefined;
    const committed = new Map<number, number>();
    const open = new Map<number, number>();
    const frame = Buffer.alloc(length);
    const { size } = fstatSync(file);
    for (let at = logHeaderSize; at + length <= size; at += length) {
      if (readSync(file, frame, 0, length, at) < length || frame.readBigUInt64BE(8) !== salt) break;
      sum.add(frame, 0, 8);
      sum.add(frame, frameHeaderSize, length);
      if (!sum.is(frame, 16)) break;
      open.set(frame.readUInt32BE(0), at);
      if (frame.readUInt32BE(4) === 0) continue;
      for (const [page, offset] of open) committed.set(page, offset);
      open.clear();
    }
    return committed.size === 0 ? undefined : { salt, frames: [...committed] };
  } finally {
    closeSync(file);
  }
}

/** The running sum of a log (section 4.2). */
class LogSum {
  readonly #little: boolean;
  #first = 0;
  #second = 0;

  constructor(little: boolean) {
    this.#little = little;
  }

  add(bytes: Buffer, start: number, end: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let [first, second] = [this.#first, this.#second];
    for (let at = start; at < end; at += 8) {
      first = (first + view.getUint32(at, this.#little) + second) | 0;
      second = (second + view.getUint32(at + 4, this.#little) + first) | 0;
    }
    this.#first = first;
    this.#second = second;
  }

  is(bytes: Buffer, at: number): boolean {
    return bytes.readInt32BE(at) === this.#first && bytes.readInt32BE(at + 4) === this.#second;
  }
}
