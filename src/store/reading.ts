/**
 * What a transaction has read so far. It remembers which of it came from the cache, so that the store can tell a
 * decision that rests on facts from one that rests on what was a fact a moment ago.
 */
import { type ActorRef, formatRef } from '../../machines/address.ts';
import type { ActorMachine, AnyMachine } from '../../machines/machine.ts';
import type { Snapshot } from '../../machines/record.ts';
import type { RecordLog, StoredRecord } from './record-log.ts';
import type { Residents } from './residents.ts';

/** One actor as a plan sees it. An actor without records has revision 0, n 0 and its machine's absent snapshot. */
export interface ActorState<Context = unknown> {
  readonly ref: ActorRef;
  readonly revision: number;
  readonly n: number;
  readonly snapshot: Snapshot<Context>;
  /** The last record; undefined for an actor without records. */
  readonly last: StoredRecord | undefined;
}

interface Read {
  readonly state: ActorState;
  /** Whether the log's leader said so during this attempt. */
  readonly confirmed: boolean;
  /** When it was last known to be so, milliseconds since 1970; undefined when it is presumed. */
  readonly verifiedAt: number | undefined;
}

export interface ReadingOptions {
  readonly log: RecordLog;
  readonly residents: Residents;
  readonly now: () => number;
  /** Whether `presumeAbsent` may presume. */
  readonly mayPresume: boolean;
  /** Keys of actors that are read from the log even if they are resident. */
  readonly distrusted: ReadonlySet<string>;
}

export class Reading {
  readonly #log: RecordLog;
  readonly #residents: Residents;
  readonly #now: () => number;
  readonly #mayPresume: boolean;
  readonly #distrusted: ReadonlySet<string>;
  readonly #reads = new Map<string, Read>();

  constructor(options: ReadingOptions) {
    this.#log = options.log;
    this.#residents = options.residents;
    this.#now = options.now;
    this.#mayPresume = options.mayPresume;
    this.#distrusted = options.distrusted;
  }

  /** The actor's state, from the cache where it is resident. @throws FabricError UNAVAILABLE */
  async get<C>(machine: ActorMachine<C, never>, id: string): Promise<ActorState<C>> {
    const ref = { kind: machine.kind, id };
    const known = this.#reads.get(formatRef(ref)) ?? this.#recall(machine, ref) ?? (await this.#load(machine, ref));
    return known.state as ActorState<C>;
  }

  /** As `get`, but as the log's leader says during this attempt: for what a plan leaves out because of it. */
  async confirm<C>(machine: ActorMachine<C, never>, id: string): Promise<ActorState<C>> {
    const ref = { kind: machine.kind, id };
    const known = this.#reads.get(formatRef(ref));
    return (known?.confirmed ? known : await this.#load(machine, ref)).state as ActorState<C>;
  }

  /** Like `get`, but at first takes an actor that is not resident to be absent: for creation, which the commit verifies. */
  async presumeAbsent<C>(machine: ActorMachine<C, never>, id: string): Promise<ActorState<C>> {
    const ref = { kind: machine.kind, id };
    if (!this.#mayPresume || this.#reads.has(formatRef(ref))) return await this.get(machine, id);
    const known = this.#recall(machine, ref) ?? this.#note(machine, ref, undefined, undefined, false);
    return known.state as ActorState<C>;
  }

  /**
   * What keeps this from being one view of the log at one time: actors that the leader was not asked about in this
   * attempt, and, of several, those that have changed since the attempt before (`before`, where it matters). Of actors
   * that two attempts found at the same revisions, all were at these revisions at once in between.
   */
  unsettled(before: ReadonlyMap<string, number> | undefined): ActorRef[] {
    const compared = this.#reads.size > 1 ? before : undefined;
    return this.#refs(
      ({ confirmed, state }, key) => !confirmed || (compared !== undefined && compared.get(key) !== state.revision),
    );
  }

  /** The revision at which each actor was found. */
  revisions(): Map<string, number> {
    return new Map([...this.#reads].map(([key, { state }]) => [key, state.revision]));
  }

  /** Actors last verified before `since` (milliseconds since 1970), except those of these keys. */
  olderThan(since: number, except: ReadonlySet<string>): ActorRef[] {
    return this.#refs(({ verifiedAt }, key) => !except.has(key) && (verifiedAt === undefined || verifiedAt < since));
  }

  #refs(test: (read: Read, key: string) => boolean): ActorRef[] {
    return [...this.#reads].filter(([key, read]) => test(read, key)).map(([, { state }]) => state.ref);
  }

  #recall(machine: AnyMachine, ref: ActorRef): Read | undefined {
    const resident = this.#distrusted.has(formatRef(ref)) ? undefined : this.#residents.get(ref);
    return resident && this.#note(machine, ref, resident.stored, resident.verifiedAt, false);
  }

  async #load(machine: AnyMachine, ref: ActorRef): Promise<Read> {
    const askedAt = this.#now();
    const stored = await this.#log.read(ref);
    if (stored) this.#residents.put(stored, askedAt);
    else this.#residents.drop(ref);
    return this.#note(machine, ref, stored, askedAt, true);
  }

  #note(
    machine: AnyMachine,
    ref: ActorRef,
    stored: StoredRecord | undefined,
    verifiedAt: number | undefined,
    confirmed: boolean,
  ): Read {
    const state: ActorState = stored
      ? { ref, revision: stored.revision, n: stored.record.n, snapshot: stored.record.snapshot, last: stored }
      : { ref, revision: 0, n: 0, snapshot: machine.absent, last: undefined };
    const read = { state, verifiedAt, confirmed };
    this.#reads.set(formatRef(ref), read);
    return read;
  }
}
