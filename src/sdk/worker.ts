/**
 * The loop of a worker: ask for a task, start it, do the work while its lease is kept, complete or fail it, again until
 * told to stop. What the fabric refuses or cannot answer now does not end the worker; wrong credentials, a swarm that was
 * unregistered, or a closed connection do.
 */
import type { Json } from '../../machines/record.ts';
import { type Backoff, backOff } from '../backoff.ts';
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import { Attempt, type AttemptEvent, type Work } from './attempt.ts';
import { orAborted } from './or-aborted.ts';
import { Slots } from './slots.ts';
import { type TakenTask, TaskSource } from './task-source.ts';
import { isPassing, mayPass, type Trouble, troubleOf } from './trouble.ts';

export interface WorkerOptions {
  /** Of `join`. One worker per swarm id: two under one id would both be told that they own a task. */
  readonly client: FabricClient;
  /** How the swarm describes itself; without it the swarm must be registered already. */
  readonly registration?: Registration;
  /** Only tasks of these types; without it, all. */
  readonly taskTypes?: readonly string[];
  /** How many tasks are worked on at the same time, from 1. Default 1. */
  readonly concurrency?: number;
  /** Abort it to stop: no further task is taken, and those in hand may still finish. */
  readonly signal: AbortSignal;
  /**
   * How long those in hand may take after `signal`, milliseconds; then they are released. Default 5,000. A worker that
   * waits for a task ends within one or two seconds: until its request has run out, a task may be on its way to it.
   */
  readonly drainMs?: number;
  /**
   * Does a task; what it returns is the task's result. A thrown error fails the attempt; a FabricError that is not
   * retryable fails the task for good. `signal` aborts before the lease is lost when it cannot be renewed, and when the
   * task is no longer ours or time is up; its reason is a FabricError that says which. Work that ends then with an error
   * gives the task back; a result counts if the fabric still takes it.
   */
  readonly work: Work;
  /** Told of every step, for logs and counters; must not throw. */
  readonly onEvent?: (event: WorkerEvent) => void;
}

export interface Registration {
  readonly capabilities: readonly string[];
  /** US dollars. */
  readonly cost_per_hour: number;
  readonly model?: string;
  readonly max_concurrent_tasks?: number;
  readonly metadata?: { readonly [key: string]: Json };
}

export type WorkerEvent =
  | {
      readonly type: 'claimed';
      readonly task_id: string;
      readonly token: number;
      /** 1 with the first claim of the task, by whomever. */
      readonly attempt: number;
      /** Whether it was this swarm's before, from another process or a lost answer. */
      readonly recovered: boolean;
      /** From asking to having it, milliseconds: most of it may be waiting for a task. */
      readonly waited_ms: number;
    }
  | AttemptEvent
  | Trouble;

const betweenTries: Backoff = { first: 100, max: 5_000 };
const defaultDrainMs = 5_000;
/** How long a request for a task waits at the fabric, milliseconds; no longer than a stop may take. */
const parkLimits = { least: 1_000, most: 2_000 };

/**
 * Works until `signal` aborts, then resolves: the tasks in hand are completed, or released when they took too long.
 * @throws FabricError what cannot pass by itself: UNAUTHORIZED, SWARM_NOT_FOUND, INVALID_REQUEST, a closed connection
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  await new Worker(options).run();
}

class Worker {
  readonly #options: WorkerOptions;
  readonly #slots: Slots;
  readonly #source: TaskSource;
  /** Aborted when something ends the worker that is not its signal. */
  readonly #fatal = new AbortController();
  readonly #stop: AbortSignal;
  readonly #drainMs: number;
  readonly #onEvent: (event: WorkerEvent) => void;

  constructor(options: WorkerOptions) {
    const { client, taskTypes, concurrency = 1, drainMs = defaultDrainMs, onEvent = () => {} } = options;
    if (!Number.isInteger(concurrency) || concurrency < 1)
      throw new FabricError('INVALID_REQUEST', `concurrency is ${concurrency}; allowed: a whole number from 1`);
    this.#options = options;
    this.#stop = AbortSignal.any([options.signal, this.#fatal.signal]);
    this.#drainMs = drainMs;
    this.#onEvent = onEvent;
    this.#slots = new Slots(concurrency);
    const parkMs = Math.min(Math.max(drainMs, parkLimits.least), parkLimits.most);
    this.#source = new TaskSource({ client, taskTypes, parkMs, isInHand: (task_id) => this.#slots.has(task_id) });
  }

  async run(): Promise<void> {
    try {
      await this.#register();
      await this.#persist(async () => {
        await this.#slots.free();
        const taken = this.#stop.aborted ? undefined : await this.#source.next(this.#stop);
        if (taken) this.#slots.add(taken.task.task_id, this.#attempt(taken));
      });
    } catch (error) {
      this.#fatal.abort(error);
    }
    await this.#slots.idle();
    if (this.#fatal.signal.aborted) throw this.#fatal.signal.reason;
  }

  async #register(): Promise<void> {
    const { client, registration } = this.#options;
    let registered = registration === undefined;
    await this.#persist(
      async () => {
        await orAborted(client.request('swarm', 'register', { ...registration }), this.#stop);
        registered = true;
      },
      () => registered,
    );
  }

  /** Does it again and again until told to stop; after failures that may pass, with growing pauses. */
  async #persist(step: () => Promise<void>, isDone: () => boolean = () => false): Promise<void> {
    let failures = 0;
    while (!isDone() && !this.#stop.aborted) {
      try {
        await step();
        failures = 0;
      } catch (error) {
        if (this.#stop.aborted) return;
        if (!mayPass(error) || this.#options.client.connection.isClosed()) throw error;
        this.#onEvent(troubleOf(error));
        await backOff(betweenTries, failures++, this.#stop).catch(() => {});
      }
    }
  }

  /** Never rejects. */
  async #attempt(taken: TakenTask): Promise<void> {
    const { client, work } = this.#options;
    const { task, recovered, waited_ms } = taken;
    const { task_id, token, attempt } = task;
    this.#onEvent({ type: 'claimed', task_id, token, attempt, recovered, waited_ms });
    const options = { client, taken, work, drain: this.#stop, drainMs: this.#drainMs, onEvent: this.#onEvent };
    try {
      await new Attempt(options).run();
    } catch (error) {
      if (!isPassing(error) || client.connection.isClosed()) return this.#fatal.abort(error);
      // How it ended is not known: the task may still be ours.
      this.#source.doubt();
      this.#onEvent(troubleOf(error));
    }
  }
}
