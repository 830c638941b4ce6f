/**
 * Notices when the cluster has lost everything while this process went on: the streams are then empty and number their
 * messages anew, and nothing else tells their writers. Until a new epoch is opened nobody may write.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/nats-core';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import type { Epoch } from '../witness/epoch.ts';
import { readStartedEpoch, type StartedEpoch } from './epoch.ts';

export interface EpochWatch {
  /** Rejects when the log is not of this epoch any more. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

/** Asks the log's leader every `everyMs` milliseconds; while nobody answers, nothing is lost. */
export function watchEpoch(nc: NatsConnection, namespace: Namespace, expected: Epoch, everyMs = 2_000): EpochWatch {
  const stopping = new AbortController();
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      await delay(everyMs, undefined, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted) return;
      try {
        await requireEpoch(nc, namespace, expected);
      } catch (error) {
        if (error instanceof FabricError && error.details?.['lost'] === true) return fail(error);
      }
    }
  })();
  return {
    failed,
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}

/** @throws FabricError UNAVAILABLE, with `details.lost` when the log can be read and is of another epoch, or of none */
export async function requireEpoch(nc: NatsConnection, namespace: Namespace, expected: Epoch): Promise<void> {
  const present = await readStartedEpoch(nc, namespace);
  if (present.epoch_id === expected.epoch_id) return;
  throw new FabricError(
    'UNAVAILABLE',
    `the log ${namespace.actorsStream} is in epoch ${present.epoch} now; what knows only epoch ${expected.epoch} has to start again`,
    { lost: true },
  );
}

export interface AwaitOptions {
  /** An epoch that is being restored will do. */
  readonly restoring?: boolean;
  readonly signal?: AbortSignal;
  /** Milliseconds between two looks. Default 250. */
  readonly everyMs?: number;
}

/**
 * Resolves when the log has an open epoch, however long that takes: whoever starts while everything is lost, or is being
 * restored, waits for it instead of failing. @throws what `signal` was aborted with; FabricError UNAVAILABLE when the
 * connection is closed
 */
export async function awaitEpoch(
  nc: NatsConnection,
  namespace: Namespace,
  { restoring = false, signal, everyMs = 250 }: AwaitOptions = {},
): Promise<StartedEpoch> {
  for (;;) {
    signal?.throwIfAborted();
    try {
      const epoch = await readStartedEpoch(nc, namespace);
      if (restoring || !epoch.restoring) return epoch;
    } catch (error) {
      if (!(error instanceof FabricError && error.code === 'UNAVAILABLE') || nc.isClosed()) throw error;
    }
    await delay(everyMs, undefined, signal ? { signal } : {}).catch(() => {});
  }
}
