/**
 * Folds the rows of one actor, in their order, through its machine: each recorded event is decided again from the snapshot
 * before it, and the outcome compared with the recorded snapshot. After a row that does not fit, the fold goes on from what
 * is recorded, or from what should have been where only that leads on, so that one false row is one finding.
 */
import type { ActorRef } from '../../../machines/address.ts';
import { type ActorMachine, restoredEvent } from '../../../machines/machine.ts';
import { type ActorRecord, type Json, type Snapshot, stateName } from '../../../machines/record.ts';
import { type Change, changesBetween, sameValue, shortValue } from './changes.ts';
import { decideAgain, difference, type Outcome } from './decision.ts';
import type { ReplayRow } from './row.ts';
import type { ReplaySource } from './source.ts';

/**
 * Why a transition does not replay. `RECORD_ALTERED`: the row is not what was written, or its machine does not lead there.
 * `MACHINE_CHANGED`: it was made by another version of the machine, which this program does not have. `RECORD_MISSING`:
 * transitions before it are not there, without a reason on record. `UNREADABLE`: the payload is no record.
 */
export type ReplayFault = 'RECORD_ALTERED' | 'MACHINE_CHANGED' | 'RECORD_MISSING' | 'UNREADABLE';

/** One transition as it was replayed. */
export interface ReplayedTransition {
  readonly n: number;
  /** Time of the decision as recorded, milliseconds since 1970. */
  readonly at: number;
  readonly event: string;
  readonly state: string;
  readonly ok: boolean;
  readonly error?: string;
  readonly fault?: ReplayFault;
  /** What is worth knowing although it is no fault. */
  readonly note?: string;
  readonly chain: string;
  readonly seq: number;
  /** The version of the machine that made it. */
  readonly version: number | null;
  /** What it changed in the context, as recorded. */
  readonly changes: readonly Change[];
}

interface Finding {
  readonly fault: ReplayFault;
  readonly message: string;
}

/** Where a fold stands. */
interface Last {
  readonly row: ReplayRow;
  readonly record: ActorRecord;
}

/** What a row is to follow: a snapshot, or nothing when it can only be taken as it is. */
interface Beginning {
  readonly from?: Snapshot;
  readonly note?: string;
  readonly missing?: string;
}

export class ActorFold {
  readonly ref: ActorRef;
  readonly #machine: ActorMachine;
  readonly #source: ReplaySource;
  #last: Last | undefined;
  /** What the last row should have led to, where it did not. */
  #expected: Snapshot | undefined;
  /** Rows since the last one that hold no record of the actor. */
  #holes = 0;

  constructor(ref: ActorRef, machine: ActorMachine, source: ReplaySource) {
    this.ref = ref;
    this.#machine = machine;
    this.#source = source;
  }

  /** The snapshot that is recorded last; undefined before the first record. */
  get snapshot(): Snapshot | undefined {
    return this.#last?.record.snapshot;
  }

  /** Takes the next row; `isDetailed` says whether the changes are wanted. */
  add(row: ReplayRow, isDetailed = true): ReplayedTransition {
    const { chain, seq, n, record } = row;
    if (!record) {
      this.#holes += 1;
      const what = row.altered ?? 'its payload is not a record of a transition';
      const message = row.altered === undefined ? what : `record altered: ${what}`;
      const state = this.snapshot ? stateName(this.snapshot.value) : 'unknown';
      const shown = { n, at: row.timestamp, event: row.event, state, chain, seq, version: null, changes: [] };
      return { ...shown, ok: false, ...faultOf({ fault: row.altered ? 'RECORD_ALTERED' : 'UNREADABLE', message }) };
    }
    const before = this.snapshot;
    const beginning = this.#beginning(row, record);
    const outcome = beginning.from ? this.#outcome(beginning.from, record) : {};
    const finding = this.#finding(row, beginning, outcome);
    const expected =
      finding && outcome.snapshot && !sameValue(outcome.snapshot, record.snapshot) ? outcome.snapshot : undefined;
    const version = beginning.from && !finding ? this.#otherVersion(record) : undefined;
    const note = [beginning.note, outcome.note, version].filter((text) => text !== undefined).join('; ');
    this.#last = { row, record };
    this.#expected = expected;
    this.#holes = 0;
    return {
      n,
      at: record.at,
      event: record.event.type,
      state: stateName(record.snapshot.value),
      ok: finding === undefined,
      ...(finding ? faultOf(finding) : {}),
      ...(note === '' ? {} : { note }),
      chain,
      seq,
      version: record.v,
      changes: isDetailed
        ? changesBetween(
            (n === 1 ? undefined : before)?.context ?? this.#machine.absent.context,
            record.snapshot.context,
          )
        : [],
    };
  }

  #beginning(row: ReplayRow, record: ActorRecord): Beginning {
    const last = this.#last;
    const { absent } = this.#machine;
    const skipped = row.n - (last?.row.n ?? 0) - 1;
    if (skipped > 0 && skipped <= this.#holes)
      return { note: 'the entry before holds no record of it; the replay goes on here' };
    if (!last) {
      if (row.n === 1) return { from: absent };
      if (!this.#source.mayBeginAt(row)) return { missing: `transitions 1 to ${row.n - 1} are missing` };
      return { note: `transitions 1 to ${row.n - 1} are not in this database; the replay begins here` };
    }
    const isNextEpoch = last.row.chain !== row.chain;
    if (row.n === last.row.n + 1) {
      const wrong = isNextEpoch || record.event.type === restoredEvent ? wrongOrigin(last.row, row, record) : undefined;
      return { from: last.record.snapshot, ...(wrong === undefined ? {} : { missing: wrong }) };
    }
    if (row.n === 1) {
      if (isNextEpoch) return { from: absent, note: `begins anew: epoch ${row.name.epoch} was opened without it` };
      if (hasEnded(last.record)) return { from: absent, note: 'begins anew: what ended before was archived' };
      return { from: absent, missing: `it begins anew, although it had not ended at transition ${last.row.n}` };
    }
    if (row.n <= last.row.n) return { missing: `transition ${row.n} follows transition ${last.row.n}` };
    const between =
      row.n === last.row.n + 2 ? `transition ${row.n - 1} is` : `transitions ${last.row.n + 1} to ${row.n - 1} are`;
    if (this.#source.mayBeTrimmed(skipped, last.row, row))
      return { note: `${between} in a gap of the chain, or pruned; the replay goes on here` };
    return { missing: `${between} missing` };
  }

  /** Decides the event again, also from what the row before should have led to. */
  #outcome(from: Snapshot, record: ActorRecord): Outcome & { readonly note?: string } {
    const outcome = decideAgain(this.#machine, from, record);
    if (this.#expected === undefined || sameValue(outcome.snapshot, record.snapshot)) return outcome;
    const other = decideAgain(this.#machine, this.#expected, record);
    if (!sameValue(other.snapshot, record.snapshot)) return outcome;
    return { ...other, note: 'follows what the transition before should have led to' };
  }

  #otherVersion({ v }: ActorRecord): string | undefined {
    const { kind, version } = this.#machine;
    return v === version
      ? undefined
      : `recorded by version ${v} of the ${kind} machine; version ${version} leads to the same`;
  }

  #finding(row: ReplayRow, beginning: Beginning, outcome: Outcome): Finding | undefined {
    const record = row.record as ActorRecord;
    const differs = beginning.from ? difference(outcome, record.snapshot) : undefined;
    if (row.altered !== undefined) {
      const detail = differs === undefined ? '' : `; ${differs}`;
      return { fault: 'RECORD_ALTERED', message: `record altered: ${row.altered}${detail}` };
    }
    if (beginning.missing !== undefined) return { fault: 'RECORD_MISSING', message: beginning.missing };
    if (differs === undefined) return undefined;
    const { kind, version } = this.#machine;
    if (record.v === version) {
      const message = `record altered: it says that version ${version} of the ${kind} machine made it, but ${differs}`;
      return { fault: 'RECORD_ALTERED', message };
    }
    const message = `recorded by version ${record.v} of the ${kind} machine, this program has version ${version}: not replayable here, use the program that recorded it (${differs})`;
    return { fault: 'MACHINE_CHANGED', message };
  }
}

function faultOf({ fault, message }: Finding): { error: string; fault: ReplayFault } {
  return { error: message, fault };
}

/** Why a transition in a new epoch does not go on from the last entry of the one before. */
function wrongOrigin(last: ReplayRow, row: ReplayRow, { event }: ActorRecord): string | undefined {
  if (event.type !== restoredEvent) return `it goes on in ${row.chain} without having been restored there`;
  const { epoch, chain, seq, content_hash } = event;
  if (epoch !== row.name.epoch)
    return `it was restored into epoch ${shortValue(epoch as Json)}, but stands in ${row.chain}`;
  if (chain === last.chain && seq === last.seq && content_hash === last.content_hash) return undefined;
  return `it was restored from ${shortValue(`${String(chain)}/${String(seq)}`)}, which is not its last entry before that, ${last.chain}/${last.seq}, as it is here`;
}

/** Whether the log may have forgotten the actor after this. A semaphore that nobody holds is forgotten like one that ended. */
function hasEnded({ kind, snapshot }: ActorRecord): boolean {
  return snapshot.status === 'done' || (kind === 'semaphore' && snapshot.value === 'free');
}
