/**
 * The record log's contract in this process: for tests, with a simulated clock, and for exploring what machines do
 * without servers. Same order, same conflicts, same limits, and no failures.
 */
import { type ActorRef, formatRef } from '../../machines/address.ts';
import { refOf } from '../../machines/record.ts';
import { packBytes, unpackBytes } from '../data/codec.ts';
import { type Appended, maxRecordBytes, type RecordLog, type StoredRecord, type Write } from './record-log.ts';
import { packWrites, recordFrom } from './record-message.ts';

export class MemoryRecordLog implements RecordLog {
  readonly #records: StoredRecord[] = [];
  readonly #last = new Map<string, StoredRecord>();
  #revision = 0;

  async read(ref: ActorRef): Promise<StoredRecord | undefined> {
    const last = this.#last.get(formatRef(ref));
    return last && structuredClone(last);
  }

  async append(writes: readonly Write[]): Promise<Appended> {
    const packed = packWrites(writes, maxRecordBytes);
    const seen = new Set<string>();
    for (const { record, expected } of writes) {
      const key = formatRef(refOf(record));
      if (!seen.has(key) && (this.#last.get(key)?.revision ?? 0) !== expected) return { committed: false };
      seen.add(key);
    }
    const revisions = packed.map(({ body }) => {
      // Through the encoding, so that what is kept is what another process would read.
      const stored: StoredRecord = { record: recordFrom(body), revision: ++this.#revision };
      this.#records.push(stored);
      this.#last.set(formatRef(refOf(stored.record)), stored);
      return stored.revision;
    });
    return { committed: true, revisions };
  }

  async lastRevision(kind: string): Promise<number> {
    return this.#records.findLast(({ record }) => record.kind === kind)?.revision ?? 0;
  }

  async *history(ref: ActorRef): AsyncIterable<StoredRecord> {
    const key = formatRef(ref);
    for (const stored of this.#records) {
      if (formatRef(refOf(stored.record)) === key) yield structuredClone(stored);
    }
  }

  /** Every record, in commit order. */
  get all(): readonly StoredRecord[] {
    return this.#records.map((stored) => unpackBytes(packBytes(stored)) as StoredRecord);
  }
}
