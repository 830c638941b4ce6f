/**
 * Keeps the lease of one task while it is worked on, and tells before it is lost. Time is the local monotonic clock,
 * counted from before a renewal was sent, so that the end that is known here is never later than the fabric's.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Backoff, backoffMs } from '../backoff.ts';
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import type { Task } from './task.ts';
import { isPassing } from './trouble.ts';

export interface LeaseOptions {
  readonly client: FabricClient;
  readonly task_id: string;
  readonly token: number;
  /** Of the task, milliseconds. */
  readonly leaseMs: number;
  /** Little is left of the lease, and the fabric has not renewed it. Told once. */
  readonly onEndangered: (reason: FabricError) => void;
  /** The fabric says that the task is not ours, or will not be asked any more. Told once; nothing is renewed after it. */
  readonly onLost: (reason: FabricError) => void;
  /** A renewal was not answered; it is tried again. */
  readonly onTrouble: (error: FabricError) => void;
}

/** Besides keeping the lease, a heartbeat is the sign of life of a swarm that works long. */
const longestBetweenBeats = 10_000;
const betweenTries: Backoff = { first: 50, max: 1_000 };

/** What is left of a lease when the work is told to stop: time for it to do so. */
export function safetyMargin(leaseMs: number): number {
  return Math.max(200, leaseMs / 5);
}

export class Lease {
  readonly #options: LeaseOptions;
  readonly #over = new AbortController();
  readonly #secured: Promise<void>;
  #onSecured: () => void = () => {};
  /** The lease lasts at least until then. */
  #end = Number.NEGATIVE_INFINITY;
  #sentAt = Number.NEGATIVE_INFINITY;
  #alarm: NodeJS.Timeout | undefined;

  /** `sentAt`: when the request was sent that began the lease, by `performance.now()`; undefined when that is not known. */
  constructor(options: LeaseOptions, sentAt?: number) {
    this.#options = options;
    this.#secured = new Promise((resolve) => {
      this.#onSecured = resolve;
    });
    if (sentAt !== undefined) this.#renewed(sentAt);
    void this.#keep();
  }

  /** Resolves once at least half of the lease is ahead, so that work may begin; never, when it is lost before that. */
  get secured(): Promise<void> {
    return this.#secured;
  }

  /** The task is done with: nothing is renewed or told any more. */
  stop(): void {
    this.#over.abort();
    clearTimeout(this.#alarm);
  }

  /** Whether the task waits for the end of a blocker, still ours; false when that cannot be told. */
  async isBlocked(): Promise<boolean> {
    const { client, task_id } = this.#options;
    try {
      const { state, owner } = await client.request<Task>('task', 'get', { task_id });
      return state === 'blocked' && owner === client.callerId;
    } catch {
      return false;
    }
  }

  #renewed(sentAt: number): void {
    const { leaseMs } = this.#options;
    this.#sentAt = sentAt;
    this.#end = sentAt + leaseMs;
    // One that was renewed so slowly that it is nearly over is renewed again first.
    if (this.#end - performance.now() < leaseMs / 2) return;
    this.#onSecured();
    this.#setAlarm();
  }

  async #keep(): Promise<void> {
    const { signal } = this.#over;
    for (let failures = 0; !signal.aborted; ) {
      const pause = failures === 0 ? this.#untilNextBeat() : backoffMs(betweenTries, failures - 1);
      await delay(pause, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      failures = (await this.#beat()) ? 0 : failures + 1;
    }
  }

  #untilNextBeat(): number {
    const every = Math.min(this.#options.leaseMs / 3, longestBetweenBeats);
    return Math.max(0, this.#sentAt + every - performance.now());
  }

  /** False when it has to be tried again soon. */
  async #beat(): Promise<boolean> {
    const { client, task_id, token, leaseMs, onTrouble } = this.#options;
    // Patience beyond a third of the lease would cost the chance of another try.
    const timeoutMs = Math.min(Math.max(leaseMs / 3, 250), 5_000);
    const sentAt = performance.now();
    try {
      await client.request('task', 'heartbeat', { task_id, token }, { timeoutMs });
      if (!this.#over.signal.aborted) this.#renewed(sentAt);
      return true;
    } catch (thrown) {
      if (this.#over.signal.aborted) return false;
      const error = thrown instanceof FabricError ? thrown : new FabricError('INTERNAL', String(thrown));
      if (isPassing(error) && !client.connection.isClosed()) onTrouble(error);
      else if (error.code === 'TASK_NOT_AVAILABLE' && (await this.isBlocked())) return this.#suspended(sentAt);
      else this.#lost(error);
      return false;
    }
  }

  /** A blocked task has no lease to lose; it is asked for at the same pace until it has one again. */
  #suspended(askedAt: number): true {
    clearTimeout(this.#alarm);
    this.#sentAt = askedAt;
    return true;
  }

  #lost(error: FabricError): void {
    if (this.#over.signal.aborted) return;
    this.stop();
    this.#options.onLost(error);
  }

  #setAlarm(): void {
    clearTimeout(this.#alarm);
    const { leaseMs, task_id, onEndangered } = this.#options;
    const dangerAt = this.#end - safetyMargin(leaseMs);
    this.#alarm = setTimeout(
      () => {
        const left = Math.round(this.#end - performance.now());
        const rest = left > 0 ? `${left} ms of it are left` : `it may be over for ${-left} ms`;
        onEndangered(new FabricError('TIMEOUT', `the lease of ${task_id} could not be renewed, and ${rest}`));
      },
      Math.max(0, dangerAt - performance.now()),
    );
  }
}
