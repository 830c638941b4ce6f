/** What the demo and its workers tell each other over the IPC channel. */
import type { WorkerEvent } from '../sdk/worker.ts';

/** To a worker. The credentials travel here, never in arguments or the environment. */
export type ToWorker =
  | { readonly join: { readonly servers: readonly string[]; readonly namespace: string; readonly creds: string } }
  /** Claim this task at this time, milliseconds since 1970; who gets it completes it. */
  | { readonly race: { readonly task_id: string; readonly at: number } }
  | { readonly go: true }
  | { readonly stop: true };

/** How a race ended for one worker. */
export interface Raced {
  readonly claimed: boolean;
  /** Who has the task, as the answer says. */
  readonly owner: string | null;
  /** When it asked, milliseconds since 1970, and how long the answer took. */
  readonly asked_at: number;
  readonly ms: number;
}

/** From a worker: it is registered; how the race ended; a step of its loop; why it cannot go on. */
export type FromWorker =
  | { readonly joined: true }
  | { readonly raced: Raced }
  | { readonly event: WorkerEvent }
  | { readonly failed: string };
