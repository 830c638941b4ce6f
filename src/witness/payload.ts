/**
 * What a message says, as one JSON value: the record, the journal entry, or the change of a key. Everything that the
 * columns of the row are derived from is inside it.
 */
import type { Json } from '../../machines/record.ts';
import { encodingOf, unpackBytes } from '../data/codec.ts';
import type { ChainName } from './chain-name.ts';
import { isEpochRecord } from './epoch.ts';
import type { WitnessMessage } from './message.ts';

/** Set by the server on the marker of an expired key. */
const markerHeader = 'Nats-Marker-Reason';
const operationHeader = 'KV-Operation';

/** The payload of a message; undefined, or any error, when it cannot be decoded. */
export function payloadOf(chain: ChainName, message: WitnessMessage): Json | undefined {
  if (chain.stream !== 'bus') return decode(message);
  if (message.seq === 1 && message.body.length > 0) {
    const first = decode(message);
    if (isEpochRecord(first)) return first;
  }
  return keyChange(chain, message);
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
  if (!deleted || message.body.length > 0) change['value'] = decode(message);
  return change;
}

/** NATS answers '' for a header that is not there. */
function header(message: WitnessMessage, name: string): string | undefined {
  return message.headers?.get(name) || undefined;
}

/** @throws any error when the body is neither; what JSON cannot say is found when the payload is written. */
function decode(message: WitnessMessage): Json {
  const contentType = header(message, 'Content-Type');
  if (encodingOf(message.body, contentType) === 'msgpack') return unpackBytes(message.body) as Json;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(message.body)) as Json;
  } catch {
    // Values that are not maps look like text to the first byte.
    return unpackBytes(message.body) as Json;
  }
}
