/**
 * Until when a lease runs beyond what is on record. Renewals are not recorded as transitions; they are kept here, one value
 * per task, changed by compare-and-swap. Whoever ends a lease first puts "over" in the same place, so that of a renewal
 * and the end exactly one succeeds, in whichever processes they happen: a renewal that was confirmed keeps the lease, and
 * a lease that is over is never revived.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../../src/clock.ts';
import { FabricError } from '../../../src/errors.ts';
import type { Registers } from '../../../src/store/registers.ts';
import type { RunningLease } from './running-leases.ts';

interface Entry {
  readonly token: number;
  /** The end of the lease, milliseconds since 1970. */
  readonly at: number;
  readonly over: boolean;
  /** When this was written, milliseconds since 1970. */
  readonly noted_at: number;
  readonly revision: number;
}

/** Renewed or still running until `at`; over since `at`, as was noted at `notedAt`; or of an ownership that has a successor. */
export type LeaseStanding =
  | { readonly standing: 'running'; readonly at: number }
  | { readonly standing: 'over'; readonly at: number; readonly notedAt: number; readonly notedHere: boolean }
  | { readonly standing: 'superseded' };

const what = 'lease-renewed';
/** A value outlives the end of its lease by this long, milliseconds: longer than anyone takes to decide about it. */
const keepBeyondMs = 120_000;
/** Processes that write the same value at once take few turns. */
const mostTurns = 20;

export class LeaseRegister {
  readonly #registers: Registers;
  readonly #clock: Clock;
  /** What this process wrote or read last; the least recently used gives way, and is then read again. */
  readonly #known: LRUCache<string, Entry>;

  constructor(options: { registers: Registers; clock: Clock; maxKnown?: number }) {
    this.#registers = options.registers;
    this.#clock = options.clock;
    this.#known = new LRUCache({ max: options.maxKnown ?? 10_000 });
  }

  /** The end of the lease as this process knows it; later ones of other processes it may not know. */
  known({ task_id, token, at }: RunningLease): number {
    const entry = this.#known.get(task_id);
    return entry?.token === token ? Math.max(at, entry.at) : at;
  }

  /** The end of the lease, linearizable. @throws FabricError UNAVAILABLE */
  async end(lease: RunningLease): Promise<number> {
    await this.#read(lease.task_id);
    return this.known(lease);
  }

  /** Makes the lease last until `until` at least. @throws FabricError UNAVAILABLE: it may last longer by now, or not */
  async renew(lease: RunningLease, until: number): Promise<LeaseStanding> {
    const known = this.#known.get(lease.task_id);
    return await this.#decide(lease, known ?? (await this.#read(lease.task_id)), (end) => ({
      at: Math.max(until, end),
      over: false,
    }));
  }

  /** Ends the lease, unless it still runs. @throws FabricError UNAVAILABLE: it may be over by now, or not */
  async close(lease: RunningLease): Promise<LeaseStanding> {
    return await this.#decide(lease, await this.#read(lease.task_id), (end) =>
      this.#clock.now() < end ? undefined : { at: end, over: true },
    );
  }

  /** The ownership is over and on record as such: a value that would be kept for long is not needed any more. */
  async forget(task_id: string): Promise<void> {
    const entry = this.#known.get(task_id);
    this.#known.delete(task_id);
    if (!entry || entry.over || entry.at - this.#clock.now() < keepBeyondMs) return;
    await this.#registers.change(what, task_id, null, 0, entry.revision);
  }

  /** `next` says what to write, given the present end of the lease; undefined leaves it as it is. */
  async #decide(
    lease: RunningLease,
    present: Entry | undefined,
    next: (end: number) => Pick<Entry, 'at' | 'over'> | undefined,
  ): Promise<LeaseStanding> {
    const { task_id, token } = lease;
    for (let turn = 0; turn < mostTurns; turn++) {
      const entry = turn === 0 ? present : await this.#read(task_id);
      // Tokens grow: whoever wrote this owns, or owned, the task after this lease.
      if (entry && entry.token > token) return { standing: 'superseded' };
      const own = entry?.token === token ? entry : undefined;
      // What was over counts no more when the record has given the same ownership a later end.
      if (own?.over && own.at >= lease.at)
        return { standing: 'over', at: own.at, notedAt: own.noted_at, notedHere: false };
      const end = Math.max(lease.at, own?.at ?? 0);
      const wanted = next(end);
      if (!wanted) return { standing: 'running', at: end };
      const now = this.#clock.now();
      const value = { token, ...wanted, noted_at: now };
      const keepMs = Math.max(0, wanted.at - now) + keepBeyondMs;
      const revision = await this.#registers.change(what, task_id, value, keepMs, entry?.revision ?? 0);
      if (revision === undefined) continue;
      this.#known.set(task_id, { ...value, revision });
      const { at } = wanted;
      return wanted.over ? { standing: 'over', at, notedAt: now, notedHere: true } : { standing: 'running', at };
    }
    throw new FabricError('UNAVAILABLE', `the lease of ${task_id} is being changed by too many at once; try again`);
  }

  async #read(task_id: string): Promise<Entry | undefined> {
    const registered = await this.#registers.read(what, task_id);
    if (!registered) {
      this.#known.delete(task_id);
      return undefined;
    }
    // A value that says nothing stands for none, but a change has to expect its revision.
    const { token = 0, at = 0, over = false, noted_at = 0 } = (registered.value ?? {}) as Partial<Entry>;
    const entry = { token, at, over, noted_at, revision: registered.revision };
    this.#known.set(task_id, entry);
    return entry;
  }
}
