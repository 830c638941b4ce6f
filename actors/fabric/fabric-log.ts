/**
 * Brings the log of a fabric to the point where its services may write: streams, an epoch, and, where a cluster without
 * memory meets a witness that remembers, what it remembers.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Config } from '../../src/config/settings.ts';
import { FabricError } from '../../src/errors.ts';
import type { Namespace } from '../../src/namespace.ts';
import { type BegunEpoch, establishEpoch, type KnownPast, openEpoch, strayStreams } from '../../src/store/epoch.ts';
import { holdsActors, type Restoration, restoreLog } from '../../src/store/restore.ts';
import { ensureStreams } from '../../src/store/streams.ts';
import type { Epoch } from '../../src/witness/epoch.ts';
import { witnessPath } from '../../src/witness/files.ts';
import { TrustedKeys, trustedKeysOf } from '../../src/witness/proofs/trusted-keys.ts';
import { hasStored, knownPast } from './known-past.ts';

export interface FabricLogOptions {
  readonly config: Config;
  readonly namespace: Namespace;
  readonly nc: NatsConnection;
  /** Lets the witness of the data directory begin; without it nothing waits for one. */
  readonly beginWitness?: () => void;
  /** What is being done, for people. */
  readonly onProgress: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** How long the witness may take to store the record of a new epoch, milliseconds. */
const witnessMs = 60_000;
const mostBeginnings = 10;

export interface OpenedLog {
  readonly epoch: Epoch;
  /** What came back; undefined when the log had its epoch, or there was nothing to restore, or it was not to be. */
  readonly restored?: Restoration;
}

/** Resolves when the epoch is open. @throws FabricError UNAVAILABLE, CONFLICT; or what `signal` was aborted with */
export async function openLog(options: FabricLogOptions): Promise<OpenedLog> {
  const { config, namespace, nc, onProgress } = options;
  const path = witnessPath(config.data_dir);
  const past = knownPast(path, namespace);
  const { epoch, opened } = await begun(options, past);
  if (!epoch.restoring) return { epoch };

  const before = `epoch ${epoch.epoch - 1}`;
  const lost = opened ? 'the log is empty' : 'the log was being restored';
  if (config.restore === 'never') {
    await refuseHalf(options, epoch);
    await openEpoch(nc, namespace, epoch, { origin: 'empty', actors: 0, keys: 0 }, Date.now());
    onProgress(
      `${lost}: epoch ${epoch.epoch} begins empty, since --restore never was given; the history up to ${before} stays in ${path}`,
    );
    return { epoch };
  }
  const begunAt = performance.now();
  onProgress(`${lost}: epoch ${epoch.epoch} begins, what ${path} holds up to ${before} is restored`);
  // An epoch of which the witness knew nothing could be numbered again after the next loss, and its tokens given out twice.
  if (options.beginWitness) {
    options.beginWitness();
    await storedBy(options, epoch.epoch);
  }
  const restored = await restoreLog({
    nc,
    namespace,
    epoch,
    path,
    trusted: trustedKeysOf(config.data_dir) ?? new TrustedKeys([]),
    archiveAfterMs: config.archive_after_ms,
    now: () => Date.now(),
    ...(options.signal ? { signal: options.signal } : {}),
  });
  await openEpoch(nc, namespace, epoch, { origin: 'witness', ...restored }, Date.now());
  const seconds = ((performance.now() - begunAt) / 1_000).toFixed(1);
  onProgress(`restored ${restored.actors} actors and ${restored.keys} keys in ${seconds} s; mailboxes begin empty`);
  return { epoch, restored };
}

/** The streams, and an epoch that has at least begun. */
async function begun(options: FabricLogOptions, past: ReadonlyMap<string, KnownPast>): Promise<BegunEpoch> {
  const { config, namespace, nc, onProgress } = options;
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  for (let attempt = 1; ; attempt++) {
    await ensureStreams(jsm, namespace, {
      replicas: config.nodes,
      storage: config.storage,
      maxLogBytes: config.max_log_bytes,
    });
    try {
      return await establishEpoch(nc, namespace, past, Date.now(), { restoring: past.size > 0 });
    } catch (error) {
      const isOurs = config.servers.length === 0 && config.storage === 'memory';
      const strays = isOurs && attempt < mostBeginnings ? await strayStreams(nc, namespace) : [];
      if (strays.length === 0) throw error;
      // Of nodes of our own without memory: all of it was lost, and someone who had not noticed wrote first.
      onProgress(`what was written to ${strays.join(', ')} before the epoch began is dropped`);
      for (const stream of strays) await jsm.streams.delete(stream);
    }
  }
}

/** What was restored in part would be neither the past nor empty. */
async function refuseHalf({ nc, namespace }: FabricLogOptions, { epoch }: Epoch): Promise<void> {
  if (!(await holdsActors(nc, namespace))) return;
  throw new FabricError(
    'CONFLICT',
    `a restore into epoch ${epoch} was interrupted and part of it is in the log; start without --restore never to finish it, or stop the nodes to begin empty`,
  );
}

/** Resolves when the witness has stored the beginning of the epoch. */
async function storedBy({ config, namespace, signal }: FabricLogOptions, epoch: number): Promise<void> {
  const path = witnessPath(config.data_dir);
  const until = Date.now() + witnessMs;
  while (!hasStored(path, namespace, epoch)) {
    if (Date.now() > until)
      throw new FabricError(
        'UNAVAILABLE',
        `the witness did not store the beginning of epoch ${epoch} within ${witnessMs / 1_000} s, so that nothing was restored; ${config.data_dir}/logs/witness.log says more`,
      );
    await delay(25, undefined, signal ? { signal } : {});
  }
}
