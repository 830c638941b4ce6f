/**
 * Adds batches of messages to a chain. The head is read again inside each transaction, which begins as a writing one, so
 * that two processes that write to one file extend one chain and neither stores a message twice.
 */
import type Sqlite from 'better-sqlite3';
import { FabricError } from '../errors.ts';
import { type ChainName, formatChain, requireChain } from './chain-name.ts';
import { chainedValues, columnNames, columns, type UnchainedRow } from './columns.ts';
import { entryOf, type GapReason, gapEntry, gapEvent, zeroHash } from './entry.ts';
import { EntryMaker } from './entry-maker.ts';
import { readEpochRecord } from './epoch.ts';
import { RowHasher } from './hash.ts';
import type { WitnessMessage } from './message.ts';

/** The end of a chain. */
export interface Head {
  /** The last sequence number that the chain accounts for. */
  readonly last_seq: number;
  readonly head_hash: string;
}

/** Why the messages first..last are missing; undefined when that is not known yet. */
export type GapDecision = (first: number, last: number) => GapReason | undefined;

export interface AppendResult extends Head {
  /** Messages stored, gap rows not counted. */
  readonly appended: number;
  /** Messages that the chain already accounted for. */
  readonly duplicates: number;
  readonly gaps: number;
  /** The missing messages before which the batch ended, because their fate is not known yet. */
  readonly waiting_for?: { readonly first_seq: number; readonly last_seq: number };
}

interface HeadRow {
  readonly seq: number;
  readonly event: string;
  readonly kind: string | null;
  readonly payload: string;
  readonly content_hash: string;
}

export class BatchWriter {
  readonly #hasher = new RowHasher();
  readonly #maker = new EntryMaker();
  readonly #insert: Sqlite.Statement<unknown[]>;
  readonly #head: Sqlite.Statement<[string], HeadRow>;
  readonly #run: (name: ChainName, messages: readonly WitnessMessage[], reasonOf: GapDecision) => AppendResult;

  constructor(sqlite: Sqlite.Database) {
    // The UTF-8 of a payload is bound as it is; the cast changes its type alone.
    const places = columns.map(({ name }) => (name === 'payload' ? 'CAST(? AS TEXT)' : '?')).join(', ');
    this.#insert = sqlite.prepare(`INSERT INTO entries (${columnNames}) VALUES (${places})`);
    this.#head = sqlite.prepare(
      'SELECT seq, event, kind, payload, content_hash FROM entries WHERE chain = ? ORDER BY seq DESC LIMIT 1',
    );
    this.#run = sqlite.transaction((...batch: Parameters<BatchWriter['run']>) => this.run(...batch)).immediate;
  }

  append(chain: string, messages: readonly WitnessMessage[], reasonOf: GapDecision): AppendResult {
    const name = requireChain(chain);
    for (const message of messages) requireNumbers(message);
    try {
      return this.#run(name, messages, reasonOf);
    } catch (error) {
      if (error instanceof FabricError) throw error;
      throw new FabricError(
        'UNAVAILABLE',
        `nothing of the batch was stored in the witness: ${String(error)}; try again`,
        undefined,
        { cause: error },
      );
    }
  }

  head(chain: string): Head | undefined {
    const row = this.#head.get(chain);
    if (!row) return undefined;
    const isGap = row.kind === null && row.event === gapEvent;
    const last = isGap ? (JSON.parse(row.payload) as { last_seq: number }).last_seq : row.seq;
    return { last_seq: last, head_hash: row.content_hash };
  }

  /** One transaction. */
  private run(name: ChainName, messages: readonly WitnessMessage[], reasonOf: GapDecision): AppendResult {
    const known = this.head(formatChain(name.label, name.epoch));
    const before = known?.last_seq ?? 0;
    const fresh = inOrder(messages, before);
    const duplicates = messages.length - fresh.length;
    let last = before;
    let hash = known?.head_hash ?? this.#firstPrevious(name, fresh[0]);
    let gaps = 0;
    if (fresh.length > 0) this.#refuseClosedEpoch(name);
    for (let at = 0; at < fresh.length; at++) {
      const message = fresh[at] as WitnessMessage;
      if (message.seq > last + 1) {
        const reason = reasonOf(last + 1, message.seq - 1);
        if (reason === undefined) {
          const waiting_for = { first_seq: last + 1, last_seq: message.seq - 1 };
          return { appended: at, duplicates, gaps, last_seq: last, head_hash: hash, waiting_for };
        }
        hash = this.#store(gapEntry(name, last + 1, message.seq - 1, reason, message.time_ms), hash);
        gaps += 1;
      }
      hash = this.#store(this.#maker.make(name, message), hash);
      last = message.seq;
    }
    return { appended: fresh.length, duplicates, gaps, last_seq: last, head_hash: hash };
  }

  #store(entry: UnchainedRow, prev_hash: string): string {
    const values = chainedValues(entry, prev_hash);
    const content_hash = this.#hasher.hashOfUtf8(values);
    values.push(content_hash);
    this.#insert.run(values);
    return content_hash;
  }

  /** The previous hash of the first entry of a chain: zeros, or the last head of the epoch before. */
  #firstPrevious(name: ChainName, first: WitnessMessage | undefined): string {
    const chain = formatChain(name.label, name.epoch);
    const before = name.epoch === 1 ? undefined : this.head(formatChain(name.label, name.epoch - 1));
    const previous = before?.head_hash ?? zeroHash;
    if (first?.seq !== 1) return previous;
    const record = readEpochRecord(JSON.parse(entryOf(name, first).payload));
    if (!record) {
      if (name.epoch === 1) return previous;
      throw new FabricError(
        'CONFLICT',
        `the first message of ${chain} is not an epoch record; a later epoch must begin with one`,
      );
    }
    if (record.epoch !== name.epoch) {
      throw new FabricError(
        'CONFLICT',
        `the stream of ${chain} is in epoch ${record.epoch}; append its messages to ${formatChain(name.label, record.epoch)}`,
      );
    }
    // A witness that begins in a later epoch takes the head of the epoch before on trust; its verification says so.
    const expected = before === undefined && name.epoch > 1 ? record.previous_head : previous;
    if (record.previous_head === expected) return expected;
    throw new FabricError(
      'CONFLICT',
      `the epoch record of ${chain} follows ${record.previous_head}, but this witness' chain before it ends with ${expected}; use the witness database that the epoch was opened from`,
    );
  }

  #refuseClosedEpoch(name: ChainName): void {
    const next = formatChain(name.label, name.epoch + 1);
    if (this.#head.get(next)) {
      throw new FabricError(
        'CONFLICT',
        `${formatChain(name.label, name.epoch)} is closed: ${next} has entries; append to the newest epoch`,
      );
    }
  }
}

/** The messages after `before`, each once, in order of their numbers. */
function inOrder(messages: readonly WitnessMessage[], before: number): WitnessMessage[] {
  const fresh: WitnessMessage[] = [];
  let last = before;
  let sorted = true;
  for (const message of messages) {
    if (message.seq <= before) continue;
    if (message.seq <= last) sorted = false;
    last = message.seq;
    fresh.push(message);
  }
  if (sorted) return fresh;
  fresh.sort((a, b) => a.seq - b.seq);
  return fresh.filter((message, at) => at === 0 || message.seq !== fresh[at - 1]?.seq);
}

function requireNumbers({ seq, time_ms }: WitnessMessage): void {
  if (!Number.isSafeInteger(seq) || seq < 1)
    throw new FabricError('INVALID_REQUEST', `the sequence number ${seq} is not one; streams count from 1`);
  if (!Number.isSafeInteger(time_ms))
    throw new FabricError(
      'INVALID_REQUEST',
      `the time ${time_ms} of message ${seq} is not a whole number of milliseconds`,
    );
}
