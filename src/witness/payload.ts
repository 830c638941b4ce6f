/**
 * What a message says, as one JSON value: the record, the journal entry, or the change of a key. Everything that the
 * columns of the row are derived from is inside it.
 */
import type { Json } from '../../machines/record.ts';
import { encodingOf, unpackBytes } from '../data/codec.ts';
import { checkIJson } from '../data/ijson.ts';
import { checkJsonText } from '../data/json-text.ts';
import { readMsgpack } from '../data/msgpack-bytes.ts';
import type { ChainName } from './chain-name.ts';
import { isEpochRecord } from './epoch.ts';
import type { WitnessMessage } from './message.ts';

/** Set by the server on the marker of an expired key. */
const markerHeader = 'Nats-Marker-Reason';
const operationHeader = 'KV-Operation';

/** The payload of a message; undefined, or any error, when it cannot be decoded. */
export function payloadOf(chain: ChainName, message: WitnessMessage): Json | undefined {
  if (chain.stream !== 'bus') return decode(message);
  return (message.seq === 1 ? epochRecordIn(message) : undefined) ?? keyChange(chain, message);
}

function epochRecordIn(message: WitnessMessage): Json | undefined {
  try {
    const first = decode(message);
    return isEpochRecord(first) ? first : undefined;
  } catch {
    return undefined;
  }
}

function keyChange(chain: ChainName, message: WitnessMessage): Json | undefined {
  const prefix = `$KV.${chain.label}.`;
  if (!message.subject.startsWith(prefix)) return undefined;
  const deleted = header(message, operationHeader) !== undefined || header(message, markerHeader) !== undefined;
  const change: { [key: string]: Json } = { key: message.subject.slice(prefix.length), op: deleted ? 'DELETE' : 'PUT' };
  const by = header(message, 'IF-By');
  if (by !== undefined) change['by'] = by;
  const trace = header(message, 'IF-Trace');
  if (trace !== undefined) change['trace_id'] = trace;
  return { ...change, ...contentOf(message) };
}

/**
 * What is written to a key is its owner's affair: where JSON cannot say exactly what the bytes say, the bytes themselves
 * are kept. So the last entry of a key always tells its value, and none before it is taken for it.
 */
function contentOf(message: WitnessMessage): { [key: string]: Json } {
  const { buffer, byteOffset, byteLength } = message.body;
  if (byteLength === 0) return {};
  try {
    return { value: checkIJson(valueIn(message), 'value') };
  } catch {
    return { body: Buffer.from(buffer, byteOffset, byteLength).toString('base64') };
  }
}

/** @throws any error when the body is neither, or ambiguous */
function valueIn(message: WitnessMessage): unknown {
  if (encodingOf(message.body, header(message, 'Content-Type')) === 'msgpack') return readMsgpack(message.body);
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(message.body);
    const value: unknown = JSON.parse(text);
    checkJsonText(text);
    return value;
  } catch {
    // Values that are not maps look like text to the first byte.
    return readMsgpack(message.body);
  }
}

/** NATS answers '' for a header that is not there. */
function header(message: WitnessMessage, name: string): string | undefined {
  return message.headers?.get(name) || undefined;
}

/** @throws any error when the body is neither; what JSON cannot say is found when the payload is written. */
function decode(message: WitnessMessage): Json {
  const contentType = header(message, 'Content-Type');
  if (encodingOf(message.body, contentType) === 'msgpack') return unpackBytes(message.body) as Json;
  return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(message.body)) as Json;
}
