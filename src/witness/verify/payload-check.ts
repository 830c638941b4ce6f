/**
 * Whether a row means what it says: its columns are those of its payload, a gap row is a gap, and the first row of an
 * epoch opens that epoch.
 */
import type { Json } from '../../../machines/record.ts';
import type { ChainName } from '../chain-name.ts';
import type { Stored } from '../columns.ts';
import { derive } from '../derive.ts';
import { blank, type GapReason, gapEvent, unreadableEvent } from '../entry.ts';
import { readEpochRecord } from '../epoch.ts';
import type { FaultCode } from './fault.ts';
import { at, differingColumn } from './field-check.ts';

export interface Gap {
  readonly last_seq: number;
  readonly reason: GapReason;
}

export type Note = (code: FaultCode, message: string) => void;

/** Whether the row is one that the witness made for missing messages. */
export function isGapRow(row: readonly Stored[]): boolean {
  return row[at.kind] === null && row[at.event] === gapEvent;
}

/** What a gap row stands for; undefined when its payload is not that of a gap at `seq`. */
export function readGap(row: readonly Stored[], seq: number): Gap | undefined {
  const payload = parseJson(row[at.payload]);
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return undefined;
  const { first_seq, last_seq, reason } = payload;
  if (first_seq !== seq || typeof last_seq !== 'number' || !Number.isSafeInteger(last_seq) || last_seq < seq)
    return undefined;
  return reason === 'lost' || reason === 'trimmed' ? { last_seq, reason } : undefined;
}

/** Checks a row whose hash is right. */
export function checkPayload(name: ChainName | undefined, row: readonly Stored[], seq: number, note: Note): void {
  const payload = parseJson(row[at.payload]);
  if (payload === undefined) {
    note('UNREADABLE', `the payload of entry ${seq} is not JSON`);
    return;
  }
  const derived = row[at.kind] === null ? ownColumns(row) : name && derive(name, seq, payload);
  if (!derived) {
    note('FIELD_TYPE', `the payload of entry ${seq} is none of this chain's`);
    return;
  }
  const wrong = differingColumn(row, derived);
  if (wrong)
    note(
      'FIELD_TYPE',
      `${wrong} of entry ${seq} is ${String(row[at[wrong]])}, its payload says ${String(derived[wrong])}`,
    );
  if (name && seq === 1) checkFirst(name, payload, row, note);
}

/** The columns of rows that the witness makes itself. */
function ownColumns(row: readonly Stored[]): ReturnType<typeof blank> | undefined {
  const event = row[at.event];
  return event === gapEvent || event === unreadableEvent ? blank(event) : undefined;
}

function checkFirst(name: ChainName, payload: Json, row: readonly Stored[], note: Note): void {
  const record = readEpochRecord(payload);
  if (!record) {
    if (name.epoch > 1 && !isGapRow(row)) note('CHAIN_BROKEN', `entry 1 does not open epoch ${name.epoch}`);
    return;
  }
  if (record.epoch !== name.epoch)
    note('CHAIN_BROKEN', `entry 1 opens epoch ${record.epoch}, in a chain of epoch ${name.epoch}`);
  const previous = row[at.prev_hash];
  if (record.previous_head !== previous)
    note('CHAIN_BROKEN', `entry 1 follows the hash ${String(previous)}, its epoch record ${record.previous_head}`);
}

function parseJson(text: Stored | undefined): Json | undefined {
  try {
    return JSON.parse(String(text)) as Json;
  } catch {
    return undefined;
  }
}
