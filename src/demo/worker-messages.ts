/** What the demo and its workers tell each other over the IPC channel. */
import type { WorkerEvent } from '../sdk/worker.ts';

/** To a worker. The credentials travel here, never in arguments or the environment. */
export type ToWorker =
  | { readonly join: { readonly servers: readonly string[]; readonly namespace: string; readonly creds: string } }
  | { readonly go: true }
  | { readonly stop: true };

/** From a worker: it is registered and waits for `go`; a step of its loop; why it cannot go on. */
export type FromWorker = { readonly joined: true } | { readonly event: WorkerEvent } | { readonly failed: string };
