/**
 * How fast a lost log comes back: a witness database of many entries, an empty three-node cluster in memory, and the
 * restore between them, beside the bare commit of as many records. `node dist/bench/restore.js [ENTRIES]`, by default
 * 1,000,000.
 */

import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Namespace } from '../src/namespace.ts';
import { establishEpoch, openEpoch } from '../src/store/epoch.ts';
import { NatsRecordLog } from '../src/store/nats-record-log.ts';
import type { Write } from '../src/store/record-log.ts';
import { restoreLog } from '../src/store/restore.ts';
import { RestoreSource } from '../src/store/restore-source.ts';
import { ensureStreams } from '../src/store/streams.ts';
import { WitnessDatabase } from '../src/witness/database.ts';
import { witnessPath } from '../src/witness/files.ts';
import { startBenchCluster } from './bench-cluster.ts';
import { rounded } from './measure.ts';
import { chain, messagesFrom } from './witness-messages.ts';

const entries = Number(process.argv[2] ?? 1_000_000);
const perBatch = 1_000;
const maxLogBytes = 3 * 1024 ** 3;
/** Of the bare commits, which are the floor. */
const mostBare = 50_000;

const cluster = await startBenchCluster({ maxLogBytes });
try {
  const { dataDir, namespace } = cluster;
  const path = witnessPath(dataDir);
  const head = fill(path);
  const nc = await cluster.connect();
  const floor = await bareCommits(nc, namespace, path);
  await emptyLog(nc, namespace);
  const past = new Map([[namespace.actorsBucket, { epoch: 1, head }]]);
  const { epoch } = await establishEpoch(nc, namespace, past, Date.now(), { restoring: true });
  const begun = performance.now();
  let peak = 0;
  const restored = await restoreLog({
    nc,
    namespace,
    epoch,
    path,
    // All of them have ended, and come back nevertheless.
    archiveAfterMs: Date.now(),
    now: () => Date.now(),
    onProgress: () => {
      peak = Math.max(peak, process.memoryUsage().rss);
    },
  });
  await openEpoch(nc, namespace, epoch, { origin: 'witness', ...restored }, Date.now());
  const ms = performance.now() - begun;
  const perSecond = (restored.actors / ms) * 1_000;
  const figures = {
    entries,
    actors: restored.actors,
    ms: Math.round(ms),
    actors_per_s: Math.round(perSecond),
    entries_per_s: Math.round((entries / ms) * 1_000),
    bare_commits_per_s: Math.round(floor),
    ratio: rounded(perSecond / floor),
    peak_rss_mb: Math.round(peak / 1024 ** 2),
  };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
  process.stdout.write(
    `restore of ${figures.actors} actors from ${entries} entries: ${figures.ms} ms, ${figures.actors_per_s} actors/s, ${figures.ratio}x of bare commits in batches of 500\n`,
  );
} finally {
  await cluster.stop();
}

function fill(path: string): string {
  const database = WitnessDatabase.open(path);
  let head = '';
  for (let first = 1; first <= entries; first += perBatch) {
    const count = Math.min(perBatch, entries - first + 1);
    head = database.appendBatch(chain, messagesFrom(first, count), () => 'trimmed').head_hash;
  }
  database.close();
  return head;
}

/** Records per second, committed as the restore commits them, that are there already. */
async function bareCommits(nc: NatsConnection, namespace: Namespace, path: string): Promise<number> {
  const source = new RestoreSource({ path, namespace, endedBefore: 0 });
  const writes: Write[] = [];
  for (const { payload } of source.actors()) {
    writes.push({ record: JSON.parse(payload) as Write['record'], expected: 0 });
    if (writes.length >= mostBare) break;
  }
  source.close();
  const log = new NatsRecordLog(nc, namespace);
  const batches = Array.from({ length: Math.ceil(writes.length / 500) }, (_, i) =>
    writes.slice(i * 500, i * 500 + 500),
  );
  const begun = performance.now();
  const lane = async () => {
    for (let batch = batches.pop(); batch; batch = batches.pop()) await log.append(batch, Date.now() + 60_000);
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
  return (writes.length / (performance.now() - begun)) * 1_000;
}

/** As a cluster that has lost its memory. */
async function emptyLog(nc: NatsConnection, namespace: Namespace): Promise<void> {
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  for (const { stream } of namespace.auditedStreams) await jsm.streams.delete(stream);
  await ensureStreams(jsm, namespace, { replicas: 3, storage: 'memory', maxLogBytes });
}
