/**
 * Bodies on the wire: MessagePack or JSON, told apart by `Content-Type` or the first byte; a reply uses the encoding of
 * its request. Both are held to the same data model, so that a request means the same in either.
 */
import { Packr } from 'msgpackr';
import { FabricError } from '../errors.ts';
import { checkIJson } from './ijson.ts';
import { checkJsonText } from './json-text.ts';
import { readMsgpack } from './msgpack-bytes.ts';

export type Encoding = 'json' | 'msgpack';

export const contentTypes: Readonly<Record<Encoding, string>> = {
  json: 'application/json',
  msgpack: 'application/msgpack',
};

// Records and shared structures are msgpackr's own dialect; other languages read plain maps.
// What is undefined becomes null: the extension that would stand for it is beyond the data model, and so beyond the witness.
const packr = new Packr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number', encodeUndefinedAsNil: true });
const utf8 = new TextDecoder('utf-8', { fatal: true });

export function packBytes(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** Decodes bytes that the fabric itself wrote. */
export function unpackBytes(bytes: Uint8Array): unknown {
  // The fast reader drops a byte order mark that begins a longer text.
  return mayHoldByteOrderMark(bytes) ? readMsgpack(bytes) : packr.unpack(bytes);
}

const byteOrderMark = Buffer.from('\uFEFF');

function mayHoldByteOrderMark(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(byteOrderMark);
}

export function encodeBody(value: unknown, encoding: Encoding): Uint8Array {
  return encoding === 'json' ? new TextEncoder().encode(JSON.stringify(value)) : packBytes(value);
}

/** The encoding of a body: what `Content-Type` says, else what the first byte shows. */
export function encodingOf(bytes: Uint8Array, contentType: string | undefined): Encoding {
  if (contentType !== undefined && contentType !== '') {
    const type = contentType.split(';')[0]?.trim().toLowerCase();
    if (type === 'application/json') return 'json';
    if (type === 'application/msgpack' || type === 'application/x-msgpack' || type === 'application/vnd.msgpack')
      return 'msgpack';
  }
  const first = bytes[0];
  const isMap = first !== undefined && ((first >= 0x80 && first <= 0x8f) || first === 0xde || first === 0xdf);
  return isMap ? 'msgpack' : 'json';
}

/**
 * Decodes a body from outside; an empty body is `{}`.
 * @throws FabricError INVALID_REQUEST when it is not one object of JSON's data model, or ambiguous.
 */
export function decodeBody(bytes: Uint8Array, encoding: Encoding): Record<string, unknown> {
  if (bytes.length === 0) return {};
  const value = encoding === 'json' ? decodeJson(bytes) : readMsgpack(bytes);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FabricError(
      'INVALID_REQUEST',
      `the body is ${describe(value)}; send an object of the operation's fields`,
    );
  }
  return value as Record<string, unknown>;
}

function decodeJson(bytes: Uint8Array): unknown {
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    throw new FabricError(
      'INVALID_REQUEST',
      'the body is neither MessagePack nor JSON text; send an object in one of them',
    );
  }
  checkJsonText(text);
  // Escapes can smuggle in lone surrogates, and large literals numbers that are rounded.
  return checkIJson(value);
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}
