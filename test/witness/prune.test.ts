/** Pruning: what goes, what stays, and that what is left is as good as before. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/data/canonical.ts';
import { hasTable } from '../../src/witness/contents.ts';
import { leafHash, rootOfPeaks, verifyConsistency, verifyInclusion } from '../../src/witness/proofs/merkle.ts';
import { makeReceipt, verifyReceipt } from '../../src/witness/proofs/receipt.ts';
import type { SignedHead } from '../../src/witness/proofs/signed-head.ts';
import { rotateSigningKey, type TrustedKeys, trustedKeysOf } from '../../src/witness/proofs/signing-key.ts';
import { openTree, requireTree } from '../../src/witness/proofs/tree.ts';
import { pruneSteps } from '../../src/witness/prune/prune.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { actorMessage, actors, startedAt } from './messages.ts';
import { longAfter, PrunedWitness, type Step, timeOf } from './prune-parts.ts';

let witness: PrunedWitness;

beforeEach(async () => {
  witness = await PrunedWitness.open();
});
afterEach(async () => await witness.close());

const task = (id: string, more: Partial<Step> = {}): Step => ({ kind: 'task', id, ...more });
const done = (id: string): Step => task(id, { status: 'done', value: 'completed' });
const fillers = (count: number) => Array.from({ length: count }, (_, at) => done(`filler-${at}`));

/** Of a table that is made when it is needed. */
function rowsOf<Row>(table: string): Row[] {
  return hasTable(witness.sqlite, table) ? witness.sqlite.prepare<[], Row>(`SELECT * FROM ${table}`).all() : [];
}

/** The rule for a beginning that is gone, and for what was kept of it. */
function expectSound(trusted: TrustedKeys = witness.trusted): void {
  const kept = rowsOf<{ [column: string]: string }>('kept').map(({ receipt = '', ...item }) => {
    const report = verifyReceipt(JSON.parse(receipt), trusted);
    expect(report).toMatchObject({ ok: true, errors: [] });
    expect((JSON.parse(receipt) as { entries: unknown[] }).entries).toMatchObject([item]);
    return item;
  });
  const heads = rowsOf<SignedHead & { peaks: string; kept: string }>('pruned');
  for (const { signature, ...head } of heads) {
    const peaks = JSON.parse(head.peaks) as string[];
    const label = head.chain.replace(/[0-9]+$/, '');
    const ofLabel = kept
      .filter(({ chain }) => chain?.startsWith(label))
      .map(({ kind, actor_id, chain, seq, content_hash }) => [kind, actor_id, chain, seq, content_hash] as string[])
      .sort(([a, b], [c, d]) => Buffer.compare(Buffer.from(`${b}\0${a}`), Buffer.from(`${d}\0${c}`)));
    expect(head.kept).toBe(createHash('sha256').update(canonicalJson(ofLabel)).digest('hex'));
    const statement = `InfraFabric witness pruning\n${canonicalJson({ ...head, peaks })}`;
    expect(trusted.verifyText(head.key, statement, signature)).toBe('ok');
    expect(rootOfPeaks(head.entries, peaks)).toBe(head.root);
    const [first] = witness.rows(head.chain);
    if (first) expect(first).toMatchObject({ seq: head.seq + 1, prev_hash: head.head_hash });
  }
  expect(verifyDatabase(witness.path, { trusted })).toMatchObject({ ok: true });
}

describe('what goes', () => {
  it('is every entry older than the time, of each chain, but the last of a chain', () => {
    witness.add(fillers(20));
    witness.addKeys([{ key: 'a' }, { key: 'a' }, { key: 'b' }]);
    witness.addSaid(5);
    witness.checkpoint();
    expect(witness.prune(timeOf(4))).toEqual([
      { chain: 'IF_actors/1', removed: 3, pruned_through: 3, stopped_at_loss: false },
      { chain: 'IF_bus/1', removed: 2, pruned_through: 2, stopped_at_loss: false },
      { chain: 'IF_journal/1', removed: 3, pruned_through: 3, stopped_at_loss: false },
    ]);
    expect(witness.rows().map(({ seq }) => seq)).toEqual(Array.from({ length: 17 }, (_, at) => at + 4));
    expectSound();
    expect(witness.prune(longAfter).map(({ pruned_through }) => pruned_through)).toEqual([19, 2, 4]);
    expect(witness.rows()).toHaveLength(1);
    expectSound();
  });

  it('is nothing when all is young enough, and nothing is signed for it', () => {
    witness.add(fillers(3));
    expect(witness.prune(timeOf(1))).toEqual([]);
    expect(witness.rows()).toHaveLength(3);
  });

  it('ends before the first entry that is young enough, whatever the clock said of later ones', () => {
    const times = [1, 2, 9, 3, 4].map((second) => startedAt + second * 1_000);
    const makers = times.map((time) => (seq: number) => actorMessage(seq, undefined, time));
    witness.append(actors, makers);
    witness.checkpoint();
    expect(witness.prune(timeOf(5))).toMatchObject([{ removed: 2, pruned_through: 2 }]);
    expectSound();
  });

  it('ends where the newest trusted checkpoint does', () => {
    witness.add(fillers(6));
    witness.checkpoint();
    witness.add(fillers(6));
    expect(witness.prune(longAfter)).toMatchObject([{ removed: 6, pruned_through: 6 }]);
    expectSound();
  });

  it('includes gaps of what was trimmed, with the numbers that they stand for', () => {
    witness.add(fillers(3));
    witness.append(actors, []);
    witness.database.appendBatch(
      actors,
      [actorMessage(9, undefined, timeOf(4)), actorMessage(10, undefined, timeOf(5))],
      () => 'trimmed',
    );
    witness.checkpoint();
    expect(witness.prune(timeOf(4) + 1)).toMatchObject([{ removed: 5, pruned_through: 9 }]);
    expectSound();
  });

  it('does not include a loss: that stays on record', () => {
    witness.add(fillers(3));
    witness.database.appendBatch(actors, [actorMessage(9), actorMessage(10)], () => 'lost');
    witness.checkpoint();
    expect(witness.prune(longAfter)).toMatchObject([{ removed: 3, pruned_through: 3, stopped_at_loss: true }]);
    expect(witness.rows()[0]).toMatchObject({ event: 'gap' });
  });
});

describe('what is kept', () => {
  it('is the last entry of every actor that lives on and has no later one', () => {
    witness.add([
      task('open'),
      task('open'),
      task('busy'),
      { kind: 'swarm', id: 'alpha', value: 'registered' },
      { kind: 'semaphore', id: 'held', value: 'held' },
      { kind: 'semaphore', id: 'free', value: 'free' },
      { kind: 'blocker', id: 'open', value: 'reported' },
      done('ended'),
      ...fillers(5),
      task('busy'),
      done('last'),
    ]);
    witness.addKeys([{ key: 'set' }, { key: 'gone' }, { key: 'gone', deleted: true }, { key: 'set' }, { key: 'x' }]);
    witness.addSaid(3);
    witness.checkpoint();
    witness.prune(timeOf(10), { per_step: 3 });
    expect(witness.kept()).toEqual([
      'blocker:open@1',
      'key:set@null',
      'semaphore:held@1',
      'swarm:alpha@1',
      'task:open@2',
    ]);
    expectSound();
  });

  it('is the end of a task that an open one still depends on, as long as that is open', () => {
    const waiting = { depends_on: ['needed', 'other'], title: 'x' };
    witness.add([done('needed'), done('other'), done('not-needed'), task('waiting', { context: waiting })]);
    witness.add([...fillers(4), done('last')]);
    witness.checkpoint();
    witness.prune(timeOf(4));
    expect(witness.kept()).toEqual(['task:needed@1', 'task:other@1']);
    witness.prune(timeOf(7), { per_step: 1 });
    expect(witness.kept()).toEqual(['task:needed@1', 'task:other@1', 'task:waiting@1']);
    expectSound();
    witness.add([task('waiting', { status: 'done', value: 'completed', context: waiting }), ...fillers(3)]);
    witness.checkpoint();
    witness.prune(timeOf(8));
    expect(witness.kept()).toEqual([]);
    expectSound();
  });

  it('is the end of an actor that ended so recently that it could be restored', () => {
    witness.add([done('young'), { kind: 'blocker', id: 'b', status: 'done', value: 'resolved' }, ...fillers(3)]);
    witness.checkpoint();
    witness.prune(timeOf(3), { now: timeOf(600), archive_after_ms: 600_000 });
    expect(witness.kept()).toEqual(['blocker:b@1', 'task:young@1']);
    witness.prune(timeOf(4), { now: timeOf(2_000), archive_after_ms: 600_000 });
    expect(witness.kept()).toEqual([]);
  });

  it('is replaced when the actor went on and that is removed too', () => {
    witness.add([task('a'), ...fillers(2), task('b')]);
    witness.checkpoint();
    witness.prune(timeOf(3));
    expect(witness.kept()).toEqual(['task:a@1']);
    witness.add([task('a'), task('b'), done('last')]);
    witness.checkpoint();
    witness.prune(timeOf(4));
    expect(witness.kept()).toEqual([]);
    witness.prune(timeOf(7));
    expect(witness.kept()).toEqual(['task:a@2', 'task:b@2']);
    expectSound();
  });

  it('outlives the change of an epoch; of a closed epoch nothing stays, of the newest its last entry', () => {
    witness.add([task('a'), task('b'), task('last')]);
    witness.openEpoch(2);
    witness.add([task('a'), task('last'), ...fillers(3)], 'IF_actors/2');
    witness.checkpoint();
    witness.prune(timeOf(3));
    expect(witness.kept()).toEqual(['task:b@1']);
    expectSound();
    witness.prune(longAfter);
    expect(witness.rows(actors)).toEqual([]);
    expect(witness.rows('IF_actors/2')).toHaveLength(1);
    expect(witness.kept()).toEqual(['epoch:2@1', 'task:a@2', 'task:b@1', 'task:last@2']);
    expectSound();
    witness.add([task('a'), ...fillers(2)], 'IF_actors/2');
    witness.openEpoch(3);
    witness.checkpoint(longAfter + 1);
    witness.prune(longAfter);
    expect(witness.kept()).toEqual(['epoch:2@1', 'task:a@3', 'task:b@1', 'task:last@2']);
    expect(openTree(witness.sqlite, actors)?.head()).toMatchObject({ entries: 3, seq: 3 });
    expectSound();
  });

  it('is never later than what is left: a later epoch is not touched before the earlier one is gone', () => {
    witness.add([task('a'), task('b')]);
    witness.database.appendBatch(actors, [actorMessage(5)], () => 'lost');
    witness.openEpoch(2);
    witness.add([task('a'), ...fillers(3)], 'IF_actors/2');
    witness.checkpoint();
    expect(witness.prune(longAfter)).toMatchObject([{ chain: actors, removed: 2, stopped_at_loss: true }]);
    expect(witness.rows('IF_actors/2')).toHaveLength(5);
  });
});

describe('what is left', () => {
  const sizes = [1, 2, 3, 255, 256, 257, 300, 511, 512, 700, 1_023];

  it.each(sizes)('has the same tree after %i entries are gone, and gives proofs from it', (gone) => {
    witness.add(fillers(1_030));
    const [signed] = witness.checkpoint() as [SignedHead];
    const before = openTree(witness.sqlite, actors)?.head();
    const receipt = makeReceipt(witness.sqlite, { chain: actors, seq: 1_025 }, [signed]);
    expect(witness.prune(timeOf(gone + 1), { per_step: 100 })).toMatchObject([{ removed: gone, pruned_through: gone }]);
    expect(openTree(witness.sqlite, actors)?.head()).toEqual(before);
    expect(makeReceipt(witness.sqlite, { chain: actors, seq: 1_025 }, [signed])).toEqual(receipt);
    witness.add(fillers(300));
    const [later] = witness.checkpoint(longAfter + 1) as [SignedHead];
    for (const { seq, content_hash } of [witness.rows()[0]!, witness.rows().at(-1)!]) {
      const proof = requireTree(witness.sqlite, actors).inclusion(seq, later.entries);
      const leaf = leafHash(content_hash);
      expect(verifyInclusion({ ...proof, leaf, size: later.entries, root: later.root })).toBe(true);
    }
    const proof = requireTree(witness.sqlite, actors).consistency(signed.entries, later.entries);
    const [from, to] = [signed, later];
    expect(
      verifyConsistency({
        from_size: from.entries,
        from_root: from.root,
        to_size: to.entries,
        to_root: to.root,
        proof,
      }),
    ).toBe(true);
    expectSound();
  });

  it('goes on after the key was replaced', async () => {
    witness.add([task('a'), ...fillers(9)]);
    witness.checkpoint();
    witness.prune(timeOf(4));
    const key = await rotateSigningKey(witness.folder.path);
    const trusted = trustedKeysOf(witness.folder.path) as TrustedKeys;
    witness.prune(timeOf(7), { key });
    expect(witness.sqlite.prepare('SELECT key FROM pruned').pluck().get()).toBe(key.fingerprint);
    expectSound(trusted);
  });
});

describe('what does not verify is not removed', () => {
  const unchained = (sql: string) => witness.sqlite.exec(sql);
  const cases: Array<[string, string]> = [
    ['a changed payload', "UPDATE entries SET payload = replace(payload, 'alpha', 'omega') WHERE seq = 5"],
    ['a changed hash', `UPDATE entries SET content_hash = '${'0'.repeat(64)}' WHERE seq = 5`],
    ['a removed entry', 'DELETE FROM entries WHERE seq = 5'],
    ['a removed beginning', 'DELETE FROM entries WHERE seq < 3'],
    ['a changed number', 'UPDATE entries SET seq = 99 WHERE seq = 5'],
    ['a column that its payload does not say', "UPDATE entries SET swarm_id = 'omega' WHERE seq = 5"],
    ['a forged checkpoint', 'UPDATE checkpoints SET seq = 11, entries = 11'],
    ['a checkpoint that is gone', 'DELETE FROM checkpoints'],
  ];

  it.each(cases)('%s', (_, sql) => {
    witness.add([task('a'), ...fillers(11)]);
    witness.checkpoint();
    unchained(sql);
    const rows = witness.rows();
    expect(() => witness.prune(timeOf(9))).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
    expect(witness.rows()).toEqual(rows);
    expect(witness.kept()).toEqual([]);
  });

  it('a whole history that was written anew', async () => {
    witness.add([task('a'), ...fillers(11)]);
    witness.checkpoint();
    const other = await PrunedWitness.open();
    try {
      other.add([task('b'), ...fillers(11)]);
      witness.sqlite.exec(
        `DELETE FROM entries; ATTACH '${other.path}' AS other; INSERT INTO entries SELECT * FROM other.entries`,
      );
      expect(() => witness.prune(timeOf(9))).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
      expect(witness.rows()).toHaveLength(12);
    } finally {
      witness.sqlite.exec('DETACH other');
      await other.close();
    }
  });
});

it('any history stays whole, however often and wherever it is pruned', () => {
  const ids = ['a', 'b', 'c', 'd'];
  const step = fc.record({
    kind: fc.constantFrom('task', 'swarm', 'blocker'),
    id: fc.constantFrom(...ids),
    end: fc.integer({ min: 0, max: 4 }).map((chance) => chance === 0),
    depends_on: fc.subarray(ids),
  });
  const run = fc.record({
    steps: fc.array(step, { maxLength: 40 }),
    cut: fc.double({ min: 0, max: 1, noNaN: true }),
    perStep: fc.integer({ min: 1, max: 9 }),
    crashAfter: fc.integer({ min: 0, max: 30 }),
  });
  return fc.assert(
    fc.asyncProperty(fc.array(run, { minLength: 1, maxLength: 4 }), async (runs) => {
      const own = await PrunedWitness.open();
      const outer = witness;
      witness = own;
      try {
        const last = new Map<string, { n: number; status: string; depends_on: readonly string[] }>();
        for (const { steps, cut, perStep, crashAfter } of runs) {
          // Final states are final.
          const added: Step[] = [];
          for (const { kind, id, end, depends_on } of steps) {
            const known = last.get(`${kind}:${id}`);
            if (known?.status === 'done') continue;
            const status = end ? 'done' : 'active';
            last.set(`${kind}:${id}`, { n: (known?.n ?? 0) + 1, status, depends_on });
            added.push({ kind, id, status, context: { depends_on } });
          }
          own.add([...added, { kind: 'service', id: 'x' }]);
          last.set('service:x', { n: (last.get('service:x')?.n ?? 0) + 1, status: 'active', depends_on: [] });
          own.checkpoint();
          const before = openTree(own.sqlite, actors)?.head();
          const { key, trusted } = own;
          const options = {
            before: timeOf(1 + Math.floor(cut * (before?.seq ?? 0))),
            now: longAfter,
            key,
            trusted,
            archive_after_ms: 0,
            per_step: perStep,
          };
          // Ended at any step, as by a crash.
          const pruning = pruneSteps(own.sqlite, options);
          for (let at = 0; at < crashAfter && !pruning.next().done; at++);
          expect(openTree(own.sqlite, actors)?.head()).toEqual(before);
          expectSound();
          expectAllThere(own, last);
        }
      } finally {
        witness = outer;
        await own.close();
      }
    }),
    { numRuns: 20 },
  );
}, 60_000);

function expectAllThere(
  own: PrunedWitness,
  last: ReadonlyMap<string, { n: number; status: string; depends_on: readonly string[] }>,
): void {
  const there = new Set([...own.kept(), ...own.rows().map(({ kind, actor_id, n }) => `${kind}:${actor_id}@${n}`)]);
  const needed = new Set<string>();
  for (const [ref, { status, depends_on }] of last)
    if (ref.startsWith('task:') && status === 'active') for (const id of depends_on) needed.add(`task:${id}`);
  for (const [ref, { n, status }] of last)
    if (status === 'active' || needed.has(ref)) expect(there).toContain(`${ref}@${n}`);
}
