/**
 * Puts back what a witness database holds into a log that lost everything: the last record of each actor as a transition
 * `RESTORED`, and the keys of the bus. Every write expects that there is nothing yet, so that a restore which was
 * interrupted is begun again and ends the same.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import type { ActorRef } from '../../machines/address.ts';
import { type ActorMachine, decide, type MachineEvent, type Restored, restoredEvent } from '../../machines/machine.ts';
import type { ActorRecord } from '../../machines/record.ts';
import { machineOf } from '../../machines/registry.ts';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import type { Epoch } from '../witness/epoch.ts';
import type { TrustedKeys } from '../witness/proofs/trusted-keys.ts';
import { BusKeys } from './bus-keys.ts';
import { NatsRecordLog } from './nats-record-log.ts';
import type { RecordLog, Write } from './record-log.ts';
import { type LastEntry, RestoreSource } from './restore-source.ts';
import { StreamReader } from './stream-reader.ts';

export interface RestoreOptions {
  readonly nc: NatsConnection;
  readonly namespace: Namespace;
  /** The epoch that was begun and is not open yet. */
  readonly epoch: Epoch;
  /** The witness database. */
  readonly path: string;
  /** Who may have signed the end of what was pruned from it. */
  readonly trusted?: TrustedKeys | undefined;
  /** Actors that ended longer ago than this stay in the past, milliseconds; except tasks that others wait for. */
  readonly archiveAfterMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly signal?: AbortSignal;
  /** After each commit: how many came back so far. */
  readonly onProgress?: (restored: Restoration) => void;
}

/** How much came back. */
export interface Restoration {
  readonly actors: number;
  readonly keys: number;
}

const mostPerCommit = 500;
/** Characters of the records of one commit; they are a little shorter when they are packed. */
const mostTextPerCommit = 4 * 1024 * 1024;
const commitsAtOnce = 4;
/** How long one commit may take, milliseconds; after a leader was lost there is none for up to 9 s. */
const commitMs = 60_000;

/**
 * Resolves when everything is back; the epoch is still to be opened.
 * @throws FabricError UNAVAILABLE: the database or the log cannot be read or written, or an entry was altered; with
 *   `details.lost` when everything was lost once more
 */
export async function restoreLog(options: RestoreOptions): Promise<Restoration> {
  const { nc, namespace, epoch, path, trusted, archiveAfterMs, now } = options;
  const endedBefore = now() - archiveAfterMs;
  const source = new RestoreSource({ path, namespace, epoch: epoch.epoch, endedBefore, trusted });
  try {
    return await new Restore(options, source, new NatsRecordLog(nc, namespace, { epoch })).run();
  } finally {
    source.close();
  }
}

/** Whether the log holds anything but the record of its epoch. @throws FabricError UNAVAILABLE */
export async function holdsActors(nc: NatsConnection, namespace: Namespace): Promise<boolean> {
  const reader = new StreamReader(nc, namespace.actorsStream);
  return (await reader.next(`$KV.${namespace.actorsBucket}.>`, 2)) !== undefined;
}

class Restore {
  readonly #options: RestoreOptions;
  readonly #source: RestoreSource;
  readonly #log: RecordLog;
  readonly #running = new Set<Promise<void>>();
  #actors = 0;
  #keys = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: RestoreOptions, source: RestoreSource, log: RecordLog) {
    this.#options = options;
    this.#source = source;
    this.#log = log;
  }

  async run(): Promise<Restoration> {
    try {
      await this.#putBack();
      await Promise.all(this.#running);
      this.#check();
      return { actors: this.#actors, keys: this.#keys };
    } finally {
      // Nothing is written any more when this is over, however it ends.
      await Promise.all(this.#running);
    }
  }

  async #putBack(): Promise<void> {
    let writes: Write[] = [];
    let size = 0;
    for (const entry of this.#source.actors()) {
      const write = { record: restored(entry, this.#options.epoch.epoch, this.#options.now()), expected: 0 };
      if (writes.length >= mostPerCommit || (size + entry.payload.length > mostTextPerCommit && writes.length > 0)) {
        await this.#begin(this.#commit(writes));
        writes = [];
        size = 0;
      }
      writes.push(write);
      size += entry.payload.length;
    }
    if (writes.length > 0) await this.#begin(this.#commit(writes));
    const { nc, namespace, epoch } = this.#options;
    const keys = new BusKeys(nc, namespace, epoch);
    for (const entry of this.#source.keys()) {
      await this.#begin(
        keys.putBack(entry).then(() => {
          this.#keys++;
        }),
      );
    }
  }

  /** Bounded: waits for one of those under way when there are enough of them. */
  async #begin(work: Promise<void>): Promise<void> {
    const running: Promise<void> = work
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
    if (this.#running.size >= commitsAtOnce) await Promise.race(this.#running);
    this.#check();
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
    this.#options.signal?.throwIfAborted();
  }

  async #commit(writes: readonly Write[]): Promise<void> {
    for (let left = writes; left.length > 0; ) {
      const { committed } = await this.#log.append(left, Date.now() + commitMs);
      if (committed) break;
      // Some of them are back already, of a restore that was interrupted.
      const missing = await this.#missing(left);
      if (missing.length === left.length)
        throw new FabricError('UNAVAILABLE', 'the log refuses what is restored, and does not hold it; try again');
      left = missing;
    }
    this.#actors += writes.length;
    this.#options.onProgress?.({ actors: this.#actors, keys: this.#keys });
  }

  async #missing(writes: readonly Write[]): Promise<Write[]> {
    const present = await Promise.all(writes.map(async ({ record }) => await this.#log.read(record)));
    return writes.filter((_, i) => present[i] === undefined);
  }
}

/** The record that takes an actor over into the new epoch. @throws FabricError UNAVAILABLE when the entry holds none */
function restored({ payload, ...entry }: LastEntry, epoch: number, at: number): ActorRecord {
  const last = JSON.parse(payload) as ActorRecord;
  const event: Restored = { type: restoredEvent, at, epoch, ...entry };
  const machine = machineOf(last.kind) as ActorMachine<unknown, MachineEvent> | undefined;
  // A kind that this program does not know is kept for one that does.
  const verdict = machine ? decide(machine, last.snapshot, event) : undefined;
  if (verdict?.accepted === false) {
    const { kind, id }: ActorRef = last;
    throw new FabricError(
      'UNAVAILABLE',
      `${kind}:${id} cannot be restored from ${entry.chain}/${entry.seq}: ${verdict.refusal.message}`,
    );
  }
  return {
    v: machine?.version ?? last.v,
    kind: last.kind,
    id: last.id,
    n: last.n + 1,
    event: { id: `restored-${epoch}-${entry.chain.replace('/', '-')}-${entry.seq}`, ...event },
    at,
    by: 'IF.fabric',
    trace_id: last.trace_id,
    snapshot: verdict?.snapshot ?? last.snapshot,
  };
}
