/**
 * The loop of a worker: look for a task, claim it, start it, do the work, complete or fail it, again until told to stop.
 * One task at a time. What the fabric refuses or cannot answer now does not end the worker; wrong credentials, a swarm
 * that was unregistered, or a closed connection do.
 */
import type { Json } from '../../machines/record.ts';
import { type Backoff, backOff } from '../backoff.ts';
import type { FabricClient } from '../bus/client.ts';
import { Attempt, type AttemptOutcome, type Work } from './attempt.ts';
import { type ClaimOutcome, TaskSource } from './task-source.ts';
import { isPassing, type Trouble, troubleOf } from './trouble.ts';

export interface WorkerOptions {
  /** Of `join`. One worker per swarm id: two under one id would both be told that they own a task. */
  readonly client: FabricClient;
  /** How the swarm describes itself; without it the swarm must be registered already. */
  readonly registration?: Registration;
  /** Only tasks of these types; without it, all. */
  readonly taskTypes?: readonly string[];
  /** Abort it to stop: no further task is claimed, and the one in hand may still finish. */
  readonly signal: AbortSignal;
  /** How long the task in hand may take after `signal`, milliseconds; then it is released. Default 5,000. */
  readonly drainMs?: number;
  /**
   * Does a task; what it returns is the task's result. A thrown error fails the attempt; a FabricError that is not
   * retryable fails the task for good. `signal` aborts when the task is no longer ours, or time is up.
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

export type WorkerEvent = ClaimOutcome | AttemptOutcome | Trouble;

const betweenTries: Backoff = { first: 100, max: 5_000 };

/**
 * Works until `signal` aborts, then resolves: the task in hand is completed, or released when it took too long.
 * @throws FabricError what cannot pass by itself: UNAUTHORIZED, SWARM_NOT_FOUND, CAPABILITY_MISSING, a closed connection
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  const { client, signal, registration, taskTypes, work, drainMs = 5_000, onEvent = () => {} } = options;
  const { namespace } = client;
  const source = new TaskSource({ client, namespace, taskTypes, onClaim: onEvent });
  try {
    let registered = registration === undefined;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (!registered) await client.request('swarm', 'register', { ...registration });
        registered = true;
        const task = await source.next(signal);
        failures = 0;
        if (task) await new Attempt({ client, namespace, task, work, drain: signal, drainMs, onEvent }).run();
      } catch (error) {
        if (!isPassing(error) || client.connection.isClosed()) throw error;
        onEvent(troubleOf(error));
        await backOff(betweenTries, failures++, signal).catch(() => {});
      }
    }
  } finally {
    source.close();
  }
}
