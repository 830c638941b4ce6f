/** What is done with a pruned witness: it is replayed, and a fabric is restored from it, as from a whole one. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MachineEvent } from '../../machines/machine.ts';
import { Namespace } from '../../src/namespace.ts';
import { RestoreSource } from '../../src/store/restore-source.ts';
import { issueCheckpoint } from '../../src/witness/proofs/checkpoint.ts';
import { openSigningKey, trustedKeysOf } from '../../src/witness/proofs/signing-key.ts';
import { prune } from '../../src/witness/prune/prune.ts';
import { replayActor, replayAll } from '../../src/witness/replay/replay.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { claim, create, t0 } from '../machines/task-events.ts';
import { tempDir } from '../support/temp.ts';
import { actors, startedAt } from './messages.ts';
import { longAfter, PrunedWitness, timeOf } from './prune-parts.ts';
import { HistoryWriter, wholeLife } from './replay-history.ts';

describe('replaying', () => {
  let folder: Awaited<ReturnType<typeof tempDir>>;
  beforeEach(async () => {
    folder = await tempDir();
  });
  afterEach(async () => await folder.remove());

  it('goes on from what was kept, and from the first record that is there', async () => {
    const path = join(folder.path, 'witness.db');
    const writer = new HistoryWriter(path);
    const act = (actor: string, events: readonly MachineEvent[]) => {
      for (const event of events) writer.act(actor, event);
    };
    act('task:ended', wholeLife);
    act('task:kept', [create()]);
    act('task:cut', [create(), claim({ at: t0 + 1 })]);
    const cut = startedAt + 1 + 3 + 1 + 1;
    act('task:whole', wholeLife);
    act('task:cut', wholeLife.slice(2));
    writer.store();
    const key = await openSigningKey(folder.path);
    const trusted = trustedKeysOf(folder.path)!;
    issueCheckpoint(writer.sqlite, key, longAfter);
    expect(prune(writer.sqlite, { before: cut + 1, now: longAfter, key, trusted, archive_after_ms: 0 })).toMatchObject([
      { chain: actors, removed: 6 },
    ]);
    expect(verifyDatabase(path, { trusted })).toMatchObject({ ok: true });
    expect(replayAll(writer.sqlite)).toMatchObject({ ok: true, divergences: [] });
    expect(replayActor(writer.sqlite, { kind: 'task', id: 'kept' })).toMatchObject({ ok: true, state: 'available' });
    expect(replayActor(writer.sqlite, { kind: 'task', id: 'cut' })).toMatchObject({ ok: true, state: 'completed' });
    expect(() => replayActor(writer.sqlite, { kind: 'task', id: 'ended' })).toThrow();
    writer.close();
  });
});

describe('restoring', () => {
  let witness: PrunedWitness;
  beforeEach(async () => {
    witness = await PrunedWitness.open();
  });
  afterEach(async () => await witness.close());

  /** What would come back, by kind, id and hash. */
  function restored(): { actors: string[]; keys: string[] } {
    const options = { path: witness.path, namespace: new Namespace(), epoch: 9, endedBefore: longAfter - 1_000_000 };
    const source = new RestoreSource(options);
    const named = ({ payload, content_hash }: { payload: string; content_hash: string }) => {
      const { kind = 'key', id, key } = JSON.parse(payload) as Record<string, string>;
      return `${kind}:${id ?? key} ${content_hash}`;
    };
    try {
      return { actors: Array.from(source.actors(), named).sort(), keys: Array.from(source.keys(), named).sort() };
    } finally {
      source.close();
    }
  }

  it('finds the same actors and keys, wherever it was pruned', () => {
    const waiting = { depends_on: ['needed'] };
    const ended = { status: 'done', value: 'completed' } as const;
    witness.add([
      { kind: 'task', id: 'needed', ...ended },
      { kind: 'task', id: 'open' },
      { kind: 'task', id: 'waiting', context: waiting },
      { kind: 'swarm', id: 'alpha' },
      { kind: 'task', id: 'over', ...ended },
      { kind: 'task', id: 'open' },
      { kind: 'task', id: 'over-later', ...ended },
      { kind: 'task', id: 'waiting-later', context: { depends_on: ['over-later'] } },
      { kind: 'swarm', id: 'beta' },
    ]);
    witness.addKeys([
      { key: 'a' },
      { key: 'b' },
      { key: 'c' },
      { key: 'b', deleted: true },
      { key: 'a' },
      { key: 'd' },
    ]);
    witness.addSaid(3);
    witness.checkpoint();
    const before = restored();
    expect([before.actors.length, before.keys.length]).toEqual([7, 3]);
    for (let cut = 2; cut <= 10; cut++) {
      witness.prune(timeOf(cut));
      expect(restored()).toEqual(before);
    }
  });

  it('does not bring back a key that was deleted after it was kept', () => {
    witness.addKeys([{ key: 'a' }, { key: 'b' }, { key: 'x' }]);
    witness.checkpoint();
    witness.prune(longAfter);
    witness.addKeys([{ key: 'a', deleted: true }]);
    expect(restored().keys.map((key) => key.split(' ')[0])).toEqual(['key:b', 'key:x']);
  });

  it('does not bring back what an epoch that began empty left behind', () => {
    witness.add([{ kind: 'task', id: 'old' }]);
    const empty = { type: 'OPENED', origin: 'empty' };
    witness.openEpoch(2, empty);
    witness.add(
      [
        { kind: 'task', id: 'new' },
        { kind: 'task', id: 'last' },
      ],
      'IF_actors/2',
    );
    const before = restored();
    expect(before.actors.map((actor) => actor.split(' ')[0])).toEqual(['task:last', 'task:new']);
    witness.checkpoint();
    witness.prune(longAfter);
    expect(witness.kept()).toContain('epoch:2@2');
    expect(restored()).toEqual(before);
  });

  it('refuses what was altered in what was kept', () => {
    witness.add([
      { kind: 'task', id: 'a' },
      { kind: 'task', id: 'last' },
    ]);
    witness.checkpoint();
    witness.prune(longAfter);
    witness.sqlite.exec("UPDATE kept SET receipt = replace(receipt, 'available', 'completed')");
    expect(() => restored()).toThrow(/altered/);
  });
});
