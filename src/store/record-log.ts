/**
 * The contract between the actor store and what keeps its records: a log with one key per actor, compare-and-swap on the
 * revision, and atomic commits over several actors. `NatsRecordLog` keeps them on JetStream, `MemoryRecordLog` in this
 * process for tests; one suite runs over both.
 */
import type { ActorRef } from '../../machines/address.ts';
import type { ActorRecord } from '../../machines/record.ts';

export interface StoredRecord {
  readonly record: ActorRecord;
  /** The stream sequence of the record; grows with every commit of any actor. */
  readonly revision: number;
}

export interface Write {
  readonly record: ActorRecord;
  /** The revision that the actor must have, 0 when it must have none. */
  readonly expected: number;
}

/** Either every write took effect, with these revisions, or none did because a revision was not the expected one. */
export type Appended =
  | { readonly committed: true; readonly revisions: readonly number[] }
  | { readonly committed: false };

export interface RecordLog {
  /** The last record of an actor, linearizable; undefined when it has none. @throws FabricError UNAVAILABLE */
  read(ref: ActorRef): Promise<StoredRecord | undefined>;

  /**
   * Commits all writes, or none. A write whose answer is lost is looked up until `deadline` (milliseconds since 1970):
   * it is never applied twice, nor reported as not applied when it was. Several writes of one actor follow each other
   * in the order given; only the first of them carries a revision to compare.
   * @throws FabricError UNAVAILABLE (the outcome is unknown), RATE_LIMITED (the log is full), PAYLOAD_TOO_LARGE
   */
  append(writes: readonly Write[], deadline: number): Promise<Appended>;

  /** The revision of the last commit of any actor of this kind, 0 when there is none; linearizable. @throws FabricError UNAVAILABLE */
  lastRevision(kind: string): Promise<number>;

  /** The records of an actor that the log still holds, oldest first. @throws FabricError UNAVAILABLE */
  history(ref: ActorRef): AsyncIterable<StoredRecord>;
}

/** The most writes in one commit (`max_msgs` of a batch in nats.conf; a server that is not told so takes 1,000). */
export const maxWrites = 1_100;

/** The largest encoded record, bytes; the servers take messages of 8 MB. */
export const maxRecordBytes = 4 * 1024 * 1024;
