/** Pruning beside a witness that stores, and the files that are left. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { appendCheckpoint, issueCheckpoint, readCheckpoints } from '../../src/witness/proofs/checkpoint.ts';
import { PruneRounds } from '../../src/witness/prune/rounds.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { until } from '../support/temp.ts';
import { actorMessage, actors } from './messages.ts';
import { PrunedWitness } from './prune-parts.ts';

let witness: PrunedWitness;
beforeEach(async () => {
  witness = await PrunedWitness.open();
});
afterEach(async () => await witness.close());

const log = pino({ level: 'silent' });

function roundsOf(retainMs: number, everyMs?: number): PruneRounds {
  const { database, folder, key } = witness;
  return new PruneRounds({
    database,
    dataDir: folder.path,
    retainMs,
    archiveAfterMs: 0,
    checkpoint: async () => {
      const checkpoint = issueCheckpoint(database.sqlite, key, Date.now());
      await appendCheckpoint(join(folder.path, 'checkpoints.jsonl'), database.sqlite, checkpoint);
    },
    log,
    ...(everyMs === undefined ? {} : { everyMs }),
  });
}

const oldOnes = (count: number) => Array.from({ length: count }, (_, at) => ({ kind: 'task', id: `t-${at % 50}` }));

it('removes what is older than the retention, and a chain that grows meanwhile stays one', async () => {
  witness.add(oldOnes(10_000));
  const rounds = roundsOf(60_000);
  const pruning = rounds.round();
  let pruned = false;
  const ended = pruning.then(() => {
    pruned = true;
  });
  const now = Date.now();
  let last = 10_000;
  while (!pruned) {
    const message = actorMessage(last + 1, undefined, now);
    last = witness.database.appendBatch(actors, [message], () => 'lost').last_seq;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await ended;
  await rounds.stop();
  expect(await pruning).toMatchObject([{ chain: actors, removed: 10_000, pruned_through: 10_000 }]);
  expect(last).toBeGreaterThan(10_001);
  expect(witness.kept()).toHaveLength(50);
  const checkpoints = readCheckpoints(readFileSync(join(witness.folder.path, 'checkpoints.jsonl'), 'utf8'));
  expect(verifyDatabase(witness.path, { trusted: witness.trusted, checkpoints })).toMatchObject({
    ok: true,
    chains: [{ chain: actors, last_seq: last, pruned_through: 10_000 }],
  });
});

it('comes round again by itself, and signs and appends a checkpoint each time', async () => {
  witness.add(oldOnes(100));
  const rounds = roundsOf(60_000, 10);
  await until('the first round', () => witness.rows().length === 1);
  witness.add(oldOnes(100));
  await until('a further round', () => witness.rows().length === 1);
  await rounds.stop();
  expect(witness.rows()).toMatchObject([{ seq: 200 }]);
  expect(verifyDatabase(witness.path, { trusted: witness.trusted })).toMatchObject({ ok: true });
});

it('does nothing when entries are to be kept for good', async () => {
  witness.add(oldOnes(10));
  const rounds = roundsOf(0, 1);
  await rounds.stop();
  expect(witness.rows()).toHaveLength(10);
});
