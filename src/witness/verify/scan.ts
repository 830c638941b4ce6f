/**
 * Reads over a payload's bytes once, to know that they are JSON and where the few fields lie that columns are derived from,
 * without making a value of it. It accepts less than JSON: whatever is unusual is left to the parser.
 */

const [quote, backslash, comma, colon, zero, nine, minus, plus, dot] = [
  0x22, 0x5c, 0x2c, 0x3a, 0x30, 0x39, 0x2d, 0x2b, 0x2e,
] as const;
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d] as const;
const [nullWord, trueWord, alseWord] = [0x6e756c6c, 0x74727565, 0x616c7365] as const;
/** As deep as canonical JSON goes, and less deep than the stack. */
const maxDepth = 256;
/** What may follow a backslash, but for `u` and its digits. */
const escapes = new Set(Buffer.from('"\\/bfnrt'));

/** The fields of a record that are found. */
export const fields = { by: 0, event: 1, id: 2, kind: 3, n: 4, trace_id: 5, type: 6, cost: 7, model: 8 } as const;
type Field = (typeof fields)[keyof typeof fields];
const count = Object.keys(fields).length;

/** A name of a field by its length and its first byte, then the rest of it. */
const known = (names: readonly (keyof typeof fields)[]) =>
  new Map(
    names.map((name) => [name.length * 256 + name.charCodeAt(0), { name: Buffer.from(name), field: fields[name] }]),
  );
const ofRecord = known(['by', 'event', 'id', 'kind', 'n', 'trace_id']);
const ofEvent = known(['type', 'cost', 'model']);

/** Not to be read as a place. */
const unusual = -1;

export class PayloadScan {
  /** Where each field's value begins, with a text's quote; 0 when the record has no such field. */
  readonly starts = new Int32Array(count);
  /** Behind the end of each value. */
  readonly ends = new Int32Array(count);
  #bytes: Uint8Array = new Uint8Array();
  #view: DataView = new DataView(new ArrayBuffer(0));

  /**
   * Whether the bytes from `start` to `end` are the JSON of an object in which each field is found at most once, and those
   * that are texts hold no escapes. There are at least four bytes behind the end, which do not matter.
   */
  record(bytes: Uint8Array, view: DataView, start: number, end: number): boolean {
    this.starts.fill(0);
    this.#bytes = bytes;
    this.#view = view;
    try {
      return bytes[start] === openBrace && this.#fieldsOf(ofRecord, start + 1, 1) === end;
    } catch {
      // A text without an end leads out of the bytes.
      return false;
    }
  }

  /** The end of an object of which some fields are wanted. */
  #fieldsOf(wanted: typeof ofRecord, start: number, depth: number): number {
    const bytes = this.#bytes;
    let at = start;
    if (bytes[at] === closeBrace) return at + 1;
    for (;;) {
      const key = at;
      at = bytes[at] === quote ? this.#string(at, false) : unusual;
      if (at === unusual || bytes[at] !== colon) return unusual;
      const field = this.#fieldOf(wanted, key + 1, at - 1);
      at = field === undefined ? this.#value(at + 1, depth) : this.#field(field, at + 1, depth);
      if (at === unusual) return unusual;
      const next = bytes[at++];
      if (next === closeBrace) return at;
      if (next !== comma) return unusual;
    }
  }

  #fieldOf(wanted: typeof ofRecord, start: number, end: number): Field | undefined {
    const bytes = this.#bytes;
    const candidate = wanted.get((end - start) * 256 + (bytes[start] as number));
    if (!candidate) return undefined;
    const { name, field } = candidate;
    for (let at = 1; at < name.length; at++) if (bytes[start + at] !== name[at]) return undefined;
    return field;
  }

  #field(field: Field, start: number, depth: number): number {
    // A second value of a field would be the one that counts.
    if (this.starts[field] !== 0) return unusual;
    const first = this.#bytes[start];
    let end: number;
    if (first === quote) end = this.#string(start, false);
    else if (first === openBrace && field === fields.event) end = this.#fieldsOf(ofEvent, start + 1, depth + 1);
    else end = this.#value(start, depth);
    this.starts[field] = start;
    this.ends[field] = end;
    return end;
  }

  #value(at: number, depth: number): number {
    const first = this.#bytes[at] as number;
    if (first === quote) return this.#string(at, true);
    if (first === 0x6e) return this.#view.getInt32(at) === nullWord ? at + 4 : unusual;
    if (first === openBrace) return this.#object(at + 1, depth + 1);
    if (first === openBracket) return this.#array(at + 1, depth + 1);
    if (first === 0x74) return this.#view.getInt32(at) === trueWord ? at + 4 : unusual;
    if (first === 0x66) return this.#view.getInt32(at + 1) === alseWord ? at + 5 : unusual;
    return this.#number(at);
  }

  #object(start: number, depth: number): number {
    const bytes = this.#bytes;
    let at = start;
    if (bytes[at] === closeBrace) return at + 1;
    if (depth > maxDepth) return unusual;
    for (;;) {
      at = bytes[at] === quote ? this.#string(at, true) : unusual;
      if (at === unusual || bytes[at] !== colon) return unusual;
      at = this.#value(at + 1, depth);
      if (at === unusual) return unusual;
      const next = bytes[at++];
      if (next === closeBrace) return at;
      if (next !== comma) return unusual;
    }
  }

  #array(start: number, depth: number): number {
    const bytes = this.#bytes;
    let at = start;
    if (bytes[at] === closeBracket) return at + 1;
    if (depth > maxDepth) return unusual;
    for (;;) {
      at = this.#value(at, depth);
      if (at === unusual) return unusual;
      const next = bytes[at++];
      if (next === closeBracket) return at;
      if (next !== comma) return unusual;
    }
  }

  /** From the opening quote to behind the closing one. Four bytes at a time; whatever is not plain ASCII stops it. */
  #string(start: number, mayEscape: boolean): number {
    const view = this.#view;
    let at = start + 1;
    for (;;) {
      const word = view.getInt32(at, true);
      // The highest bit of each byte that is beyond ASCII, a control, a quote or a backslash; right for the first one.
      const odd =
        (word | (word - 0x20202020) | ((word ^ 0x22222222) - 0x01010101) | ((word ^ 0x5c5c5c5c) - 0x01010101)) &
        0x80808080;
      if (odd === 0) {
        at += 4;
        continue;
      }
      at += (31 - Math.clz32(odd & -odd)) >>> 3;
      const byte = this.#bytes[at] as number;
      if (byte === quote) return at + 1;
      if (byte >= 0x80) at += 1;
      else if (byte !== backslash || !mayEscape) return unusual;
      else {
        at = this.#escape(at + 1);
        if (at === unusual) return unusual;
      }
    }
  }

  /** Behind what follows a backslash. */
  #escape(at: number): number {
    const next = this.#bytes[at] as number;
    if (escapes.has(next)) return at + 1;
    if (next !== 0x75) return unusual;
    for (let digit = at + 1; digit < at + 5; digit++) if (!isHex(this.#bytes[digit])) return unusual;
    return at + 5;
  }

  #number(start: number): number {
    const bytes = this.#bytes;
    let at = start;
    if (bytes[at] === minus) at += 1;
    at = bytes[at] === zero ? at + 1 : this.#digits(at);
    if (at !== unusual && bytes[at] === dot) at = this.#digits(at + 1);
    if (at === unusual || ((bytes[at] as number) | 0x20) !== 0x65) return at;
    const sign = bytes[at + 1];
    return this.#digits(sign === plus || sign === minus ? at + 2 : at + 1);
  }

  #digits(start: number): number {
    const bytes = this.#bytes;
    let at = start;
    while ((bytes[at] as number) >= zero && (bytes[at] as number) <= nine) at += 1;
    return at > start ? at : unusual;
  }
}

function isHex(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  const letter = byte | 0x20;
  return (byte >= zero && byte <= nine) || (letter >= 0x61 && letter <= 0x66);
}
