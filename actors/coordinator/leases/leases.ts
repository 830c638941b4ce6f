/**
 * Leases: an owner keeps its task as long as it renews in time, and loses it soon after it stops to. Any process may get
 * any heartbeat and any due timer. A lease never ends early, and a renewal that was confirmed is never forgotten; it ends
 * at most two seconds late, also when its timer was lost, as long as a coordinator runs.
 *
 * The end of a lease is decided in one place (`LeaseRegister`): first it is noted that the lease is over, which no
 * renewal can undo, then the task is told. Timers and sweeps only bring that about; a stale or a second one does nothing.
 */
import type { Clock } from '../../../src/clock.ts';
import { FabricError } from '../../../src/errors.ts';
import type { Log } from '../../../src/log.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { Registers } from '../../../src/store/registers.ts';
import type { Timer, Timers } from '../../../src/store/timers.ts';
import { type TaskView, taskView } from '../tasks/task-view.ts';
import { type LeaseEnd, LeaseEnds } from './lease-ends.ts';
import { LeaseRegister } from './lease-register.ts';
import { LeaseTimers } from './lease-timers.ts';
import { leaseOf, type RunningLease, RunningLeases } from './running-leases.ts';

/** What leases need of the tasks. */
export interface LeaseTasks {
  /** The task, if this swarm holds it under this token and a lease; linearizable. @throws FabricError if not */
  held(by: string, task_id: string, token: number): Promise<StoredRecord>;
  /** The last record of the task, linearizable. @throws FabricError UNAVAILABLE */
  read(task_id: string): Promise<StoredRecord | undefined>;
  /** Ends leases of one owner; says of each whether it ended, or does not run any more, or runs longer on record. @throws FabricError */
  leasesExpired(ends: readonly LeaseEnd[]): Promise<readonly boolean[]>;
}

export interface LeasesOptions {
  readonly tasks: LeaseTasks;
  readonly timers: Timers;
  readonly registers: Registers;
  readonly clock: Clock;
  readonly log: Log;
  /** The sweep leaves leases to their timers for this long after their end, milliseconds. Default 750. */
  readonly sweepAfterMs?: number;
}

const mostPerSweep = 2_000;
const sweptAtOnce = 16;
/** Whoever noted that a lease is over has this long to end it before others do, milliseconds. */
const leftToOthersMs = 600;
/** A lease whose record changes while its end is decided is looked at again. */
const mostLooks = 4;

export class Leases {
  readonly #tasks: LeaseTasks;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #sweepAfterMs: number;
  readonly #register: LeaseRegister;
  readonly #timers: LeaseTimers;
  readonly #running = new RunningLeases();
  readonly #ends: LeaseEnds;

  constructor(options: LeasesOptions) {
    this.#tasks = options.tasks;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#sweepAfterMs = options.sweepAfterMs ?? 750;
    this.#register = new LeaseRegister(options);
    this.#timers = new LeaseTimers(options);
    this.#ends = new LeaseEnds(async (ends) => await options.tasks.leasesExpired(ends));
  }

  /** Takes in any record, of this process or of another. */
  apply(stored: StoredRecord): void {
    if (stored.record.kind !== 'task' || !this.#running.apply(stored)) return;
    const { id } = stored.record;
    this.#timers.ended(id);
    this.#register.forget(id).catch((error: unknown) => {
      this.#log.debug({ err: error, task_id: id }, 'the renewal of a lease that is over is kept until its time');
    });
  }

  /** Takes in the records of a commit of this process: the leases that began with it are its to arm. */
  committed(records: readonly StoredRecord[]): void {
    for (const stored of records) {
      const lease = leaseOf(stored);
      if (lease) this.#timers.began(lease);
    }
  }

  /**
   * Renews a lease for its full length from now on, and never shortens it; answers with the task and the new end. One that
   * comes late counts as long as nothing has noted that the lease is over.
   * @throws FabricError of `LeaseTasks.held`; STALE_TOKEN when the lease is over; UNAVAILABLE (it may be renewed)
   */
  async heartbeat(by: string, task_id: string, token: number): Promise<TaskView> {
    for (let look = 0; look < mostLooks; look++) {
      const stored = await this.#tasks.held(by, task_id, token);
      const lease = leaseOf(stored);
      if (!lease) break;
      const renewed = await this.#register.renew(lease, this.#clock.now() + lease.lease_ms);
      if (renewed.standing === 'running') {
        this.#running.note(lease, renewed.at);
        return { ...taskView(stored), lease_expires_at: renewed.at };
      }
      // Noted as over, but perhaps not on record yet: the next look finds what the record says.
      if (renewed.standing === 'over') await this.#end(lease, renewed.at);
    }
    throw new FabricError(
      'UNAVAILABLE',
      `the lease of ${task_id} changes while it is renewed; repeat the request to learn what became of it`,
    );
  }

  /** When the lease of a task ends, renewals included; null when none runs. Linearizable. @throws FabricError UNAVAILABLE */
  async deadlineOf(stored: StoredRecord): Promise<number | null> {
    const lease = leaseOf(stored);
    return lease ? await this.#register.end(lease) : null;
  }

  /** Handles a due timer of the kind `leaseTimer`. @throws FabricError when it has to come again */
  async due({ id, data }: Timer): Promise<void> {
    const token = tokenOf(data);
    if (token === undefined) return;
    const until = await this.#settle(id, token);
    // It was renewed, as most leases that are due are.
    if (until && until !== 'ending') await this.#timers.arm(until);
  }

  /** Ends the leases that are over without a timer having said so; made to be called about every second. */
  async sweep(): Promise<void> {
    const overdue = this.#running.endedBefore(this.#clock.now() - this.#sweepAfterMs, mostPerSweep);
    const work = async () => {
      for (let lease = overdue.pop(); lease; lease = overdue.pop()) await this.#sweepOne(lease);
    };
    const workers = Array.from({ length: sweptAtOnce }, async () => {
      // What one cannot reach, the others cannot either; the next sweep tries all of them again.
      await work().finally(() => overdue.splice(0));
    });
    const failed = (await Promise.allSettled(workers)).find(({ status }) => status === 'rejected');
    if (failed) throw (failed as PromiseRejectedResult).reason;
  }

  /** Arms no further leases, and waits for what is under way. */
  async stop(): Promise<void> {
    await this.#timers.stop();
  }

  async #sweepOne(lease: RunningLease): Promise<void> {
    const known = this.#register.known(lease);
    const until = known > this.#clock.now() ? known : await this.#settle(lease.task_id, lease.token);
    if (until !== 'ending') this.#running.note(lease, typeof until === 'number' ? until : until?.at);
  }

  /** Ends the lease of this ownership if its time has come. Answers with what still runs, if something does. */
  async #settle(task_id: string, token: number): Promise<RunningLease | 'ending' | undefined> {
    for (let look = 0; look < mostLooks; look++) {
      const lease = leaseOf(await this.#tasks.read(task_id));
      if (lease?.token !== token) return undefined;
      const end = await this.#register.close(lease);
      if (end.standing === 'superseded') return undefined;
      if (end.standing === 'running') return { ...lease, at: end.at };
      // Many leases may end at once; that each is ended by one process keeps all of them in time.
      if (!end.notedHere && this.#clock.now() - end.notedAt < leftToOthersMs) return 'ending';
      if (await this.#end(lease, end.at)) return undefined;
    }
    throw new FabricError('UNAVAILABLE', `the lease of ${task_id} changes while its end is decided; it is tried again`);
  }

  async #end({ owner, task_id, token }: RunningLease, at: number): Promise<boolean> {
    return await this.#ends.end(owner, { task_id, token, lease_expires_at: at });
  }
}

function tokenOf(data: unknown): number | undefined {
  const { token } = (data ?? {}) as { token?: unknown };
  return typeof token === 'number' ? token : undefined;
}
