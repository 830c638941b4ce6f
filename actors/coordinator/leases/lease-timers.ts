/**
 * The timers that remind of the ends of leases. Most tasks end soon after they were claimed, and a timer for each would
 * cost more than the claim: a lease is armed a moment late, and only if it is still needed then. A timer that is never
 * set, because this process dies, is made up for by the sweep.
 */
import { LRUCache } from 'lru-cache';
import type { Log } from '../../../src/log.ts';
import type { Timers } from '../../../src/store/timers.ts';
import type { RunningLease } from './running-leases.ts';

/** The kind of the timer; its data is `{token}`. */
export const leaseTimer = 'task-lease';

interface Waiting {
  readonly lease: RunningLease;
  timeout?: NodeJS.Timeout;
  /** The lease ended before it was armed, or while it was being armed. */
  over: boolean;
}

interface Armed {
  readonly token: number;
  readonly at: number;
  readonly revision: number;
}

/** Leases armed by this process of which it can take back the timer; what is forgotten fires and does nothing. */
const mostArmed = 50_000;
const longestWaitMs = 500;

export class LeaseTimers {
  readonly #timers: Timers;
  readonly #log: Log;
  readonly #waiting = new Map<string, Waiting>();
  readonly #armed = new LRUCache<string, Armed>({ max: mostArmed });
  readonly #running = new Set<Promise<void>>();
  #stopped = false;

  constructor(options: { timers: Timers; log: Log }) {
    this.#timers = options.timers;
    this.#log = options.log;
  }

  /** An ownership has a lease from now on, or a longer one; of one that is armed the handler of the timer finds out. */
  began(lease: RunningLease): void {
    const { task_id, token, lease_ms } = lease;
    const present = this.#waiting.get(task_id);
    if (this.#stopped || present?.lease.token === token || this.#armed.peek(task_id)?.token === token) return;
    clearTimeout(present?.timeout);
    const waiting: Waiting = { lease, over: false };
    const arm = () => this.#inBackground(this.#armWaiting(waiting), 'a lease was not armed', task_id);
    waiting.timeout = setTimeout(arm, Math.min(longestWaitMs, lease_ms / 4));
    this.#waiting.set(task_id, waiting);
  }

  /** No lease runs any more: its timer is not needed. */
  ended(task_id: string): void {
    const waiting = this.#waiting.get(task_id);
    if (waiting) {
      clearTimeout(waiting.timeout);
      waiting.over = true;
      this.#waiting.delete(task_id);
    }
    const armed = this.#armed.peek(task_id);
    if (!armed) return;
    this.#armed.delete(task_id);
    // One of this time is about to fire, or has fired, and does nothing.
    if (armed.at <= Date.now()) return;
    const cancelling = this.#timers.cancel(leaseTimer, task_id, armed.revision);
    this.#inBackground(cancelling, 'the timer of a lease was not taken back', task_id);
  }

  /** Sets the timer of a lease. @throws FabricError UNAVAILABLE */
  async arm({ task_id, token, at }: RunningLease): Promise<void> {
    const revision = await this.#timers.set({ what: leaseTimer, id: task_id, at, data: { token } });
    this.#armed.set(task_id, { token, at, revision });
  }

  /** Sets no further timers, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { timeout } of this.#waiting.values()) clearTimeout(timeout);
    this.#waiting.clear();
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #armWaiting(waiting: Waiting): Promise<void> {
    const { task_id } = waiting.lease;
    await this.arm(waiting.lease).finally(() => {
      if (this.#waiting.get(task_id) === waiting) this.#waiting.delete(task_id);
    });
    // One that waits by now sets the timer anew.
    if (waiting.over && !this.#waiting.has(task_id)) this.ended(task_id);
  }

  #inBackground(work: Promise<void>, failure: string, task_id: string): void {
    const running = work
      .catch((error: unknown) => this.#log.warn({ err: error, task_id }, failure))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}
