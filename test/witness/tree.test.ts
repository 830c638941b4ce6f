/** The tree of a chain's rows: with stored tiles, without them, grown in any steps, and behind a pruned part. */
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chainsOf } from '../../src/witness/contents.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { leafHash, verifyConsistency, verifyInclusion } from '../../src/witness/proofs/merkle.ts';
import { extendTree, openTree, requireTree } from '../../src/witness/proofs/tree.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessage, actorMessages, actors, epochMessage, never } from './messages.ts';
import { hex, mth, path, proof } from './rfc6962.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let witness: WitnessDatabase;

beforeEach(async () => {
  folder = await tempDir();
  witness = WitnessDatabase.open(join(folder.path, 'witness.db'));
});
afterEach(async () => {
  witness.close();
  await folder.remove();
});

interface Row {
  seq: number;
  content_hash: string;
}

function rows(): Row[] {
  return witness.sqlite
    .prepare<[string], Row>('SELECT seq, content_hash FROM entries WHERE chain = ? ORDER BY seq')
    .all(actors);
}

/** Messages 1 to `last`, of which some are missing and become gap rows. */
function append(last: number, first = 1): void {
  const messages = actorMessages(first, last).filter(({ seq }) => seq % 100 !== 7 && seq % 300 < 295);
  witness.appendBatch(actors, messages, () => 'trimmed');
}

function dataOf(found: readonly Row[]): Buffer[] {
  return found.map((row) => Buffer.from(row.content_hash, 'hex'));
}

describe('the tree of a chain', () => {
  it('begins with what was signed of it, and with nothing else', () => {
    append(700);
    extendTree(witness.sqlite, actors);
    const head = openTree(witness.sqlite, actors)?.head();
    if (!head) throw new Error('there is no head');
    append(900, 701);
    const tree = () => requireTree(witness.sqlite, actors);
    expect(tree().beginsWith(head)).toBe(true);
    for (const change of [
      { entries: head.entries + 1 },
      { entries: head.entries - 1 },
      { entries: 9_999 },
      { root: '0'.repeat(64) },
      { head_hash: '0'.repeat(64) },
      { seq: head.seq - 1 },
    ])
      expect(tree().beginsWith({ ...head, ...change }), JSON.stringify(change)).toBe(false);
    // The stored tiles still have the old hash.
    witness.sqlite.exec(
      `UPDATE entries SET content_hash = printf('%064d', 1) WHERE content_hash = '${head.head_hash}'`,
    );
    expect(tree().beginsWith(head)).toBe(false);
  });

  it('is that of RFC 6962 over the rows, gap rows too, with tiles and without', () => {
    append(1400);
    const data = dataOf(rows());
    const seqs = rows().map(({ seq }) => seq);
    expect(seqs).toContain(7);
    expect(data.length).toBeGreaterThan(1280);
    const expected = { entries: data.length, seq: 1400, head_hash: hex(data.at(-1) as Buffer), root: hex(mth(data)) };
    for (const stored of [false, true]) {
      if (stored) extendTree(witness.sqlite, actors);
      expect(openTree(witness.sqlite, actors)?.head()).toMatchObject(expected);
      for (const index of [0, 1, 6, 255, 256, 511, 767, 1023, 1024, 1200, data.length - 1]) {
        for (const size of [index + 1, 1280, data.length]) {
          if (size <= index) continue;
          expect(requireTree(witness.sqlite, actors).inclusion(seqs[index] as number, size)).toEqual({
            index,
            path: path(index, data.slice(0, size)).map(hex),
          });
        }
      }
      for (const from of [1, 255, 256, 257, 512, 700, 1024, 1279, data.length])
        expect(requireTree(witness.sqlite, actors).consistency(from, data.length)).toEqual(proof(from, data).map(hex));
    }
    expect(witness.sqlite.prepare('SELECT count(*) FROM tree_tiles').pluck().get()).toBe(Math.floor(data.length / 256));
  });

  it('ends where a gap ends', () => {
    witness.appendBatch(actors, [actorMessage(1), actorMessage(9)], () => 'lost');
    witness.sqlite.prepare('DELETE FROM entries WHERE seq = 9').run();
    expect(openTree(witness.sqlite, actors)?.head()).toMatchObject({ entries: 2, seq: 8 });
  });

  it('has the same tiles in whatever steps it grows', () => {
    for (const last of [100, 255, 256, 257, 700, 1300]) {
      append(last, Math.max(1, last - 700));
      extendTree(witness.sqlite, actors);
    }
    const tiles = () => witness.sqlite.prepare('SELECT * FROM tree_tiles ORDER BY tile').all();
    const grown = tiles();
    witness.sqlite.exec('DELETE FROM tree_tiles');
    extendTree(witness.sqlite, actors);
    expect(tiles()).toEqual(grown);
    expect(grown).toHaveLength(Math.floor(rows().length / 256));
    extendTree(witness.sqlite, actors);
    expect(tiles()).toEqual(grown);
    witness.sqlite.exec('DELETE FROM tree_tiles WHERE tile = 1');
    expect(openTree(witness.sqlite, actors)?.head()?.root).toBe(hex(mth(dataOf(rows()))));
    extendTree(witness.sqlite, actors);
    expect(tiles()).toEqual(grown);
  });

  it('is one per chain, and none for a chain without entries', () => {
    append(300);
    const head = witness.head(actors)?.head_hash ?? '';
    witness.appendBatch('IF_actors/2', [epochMessage(2, head)], never);
    expect(chainsOf(witness.sqlite)).toEqual(['IF_actors/1', 'IF_actors/2']);
    expect(openTree(witness.sqlite, 'IF_actors/2')?.head()).toMatchObject({ entries: 1, seq: 1 });
    expect(openTree(witness.sqlite, 'IF_bus/1')).toBeUndefined();
    expect(() => requireTree(witness.sqlite, 'IF_bus/1')).toThrow('no entries of IF_bus/1');
  });

  it('refuses proofs of what is not there', () => {
    append(300);
    const { length } = rows();
    const tree = requireTree(witness.sqlite, actors);
    expect(() => tree.inclusion(8)).not.toThrow();
    for (const seq of [0, -1, 299, 301, 1000]) expect(() => tree.inclusion(seq)).toThrow(`no entry ${seq}`);
    expect(() => tree.inclusion(200, 100)).toThrow('not among the first 100');
    for (const size of [0, -1, 1.5, length + 1]) {
      expect(() => tree.inclusion(1, size)).toThrow('none of');
      expect(() => tree.rootAt(size)).toThrow('none of');
    }
    expect(() => tree.consistency(200, 100)).toThrow('do not come before');
  });
});

describe('the tree behind a pruned part', () => {
  it('has the same roots and proofs, and refuses those that need what is gone', () => {
    append(800);
    const all = rows();
    const data = dataOf(all);
    witness.sqlite.exec(
      'CREATE TABLE pruned (chain TEXT PRIMARY KEY, seq INTEGER, entries INTEGER, head_hash TEXT, peaks TEXT) STRICT',
    );
    for (const withTiles of [true, false]) {
      for (const entries of [1, 255, 256, 300, 511, 700, data.length]) {
        witness.sqlite.exec('BEGIN');
        if (withTiles) extendTree(witness.sqlite, actors);
        prune(entries);
        checkAgainst(entries);
        extendTree(witness.sqlite, actors);
        checkAgainst(entries);
        witness.sqlite.exec('ROLLBACK');
      }
    }

    function prune(entries: number): void {
      const peaks = requireTree(witness.sqlite, actors).peaksAt(entries);
      const last = all[entries - 1] as Row;
      witness.sqlite
        .prepare('INSERT INTO pruned VALUES (?, ?, ?, ?, ?)')
        .run(actors, last.seq, entries, last.content_hash, JSON.stringify(peaks));
      witness.sqlite.prepare('DELETE FROM entries WHERE seq <= ?').run(last.seq);
    }

    function checkAgainst(entries: number): void {
      const tree = requireTree(witness.sqlite, actors);
      expect(tree.head()).toMatchObject({
        entries: data.length,
        root: hex(mth(data)),
        head_hash: hex(data.at(-1) as Buffer),
      });
      expect(tree.rootAt(entries)).toBe(hex(mth(data.slice(0, entries))));
      for (const index of [entries, entries + 1, 600, 768, data.length - 1].filter(
        (at) => at >= entries && at < data.length,
      )) {
        const seq = all[index]?.seq as number;
        expect(tree.inclusion(seq)).toEqual({ index, path: path(index, data).map(hex) });
        expect(tree.inclusion(seq, index + 1)).toEqual({ index, path: path(index, data.slice(0, index + 1)).map(hex) });
      }
      for (const from of [entries, entries + 1, 768, data.length].filter((at) => at >= entries && at <= data.length))
        expect(tree.consistency(from)).toEqual(proof(from, data).map(hex));
      expect(() => tree.inclusion(all[0]?.seq as number)).toThrow('pruned');
      expect(() => tree.inclusion(all[entries - 1]?.seq as number)).toThrow('pruned');
      if (entries > 300) expect(() => tree.rootAt(300)).toThrow('pruned');
    }
  });
});

describe('proofs of the tree', () => {
  it('verify, for entries and sizes of any place', () => {
    append(900);
    const all = rows();
    const tree = requireTree(witness.sqlite, actors);
    fc.assert(
      fc.property(fc.nat(all.length - 1), fc.nat(), (index, more) => {
        const size = index + 1 + (more % (all.length - index));
        const row = all[index] as Row;
        const root = tree.rootAt(size);
        const leaf = leafHash(row.content_hash);
        expect(verifyInclusion({ ...tree.inclusion(row.seq, size), leaf, size, root })).toBe(true);
        const from = { from_size: index + 1, from_root: tree.rootAt(index + 1) };
        const to = { to_size: size, to_root: root };
        expect(verifyConsistency({ ...from, ...to, proof: tree.consistency(index + 1, size) })).toBe(true);
      }),
    );
  });
});
