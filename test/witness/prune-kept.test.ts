/** What stands in place of removed entries is what was signed for it: no other signature, no other set, none older. */
import { createHash, createPrivateKey, sign } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/data/canonical.ts';
import { Namespace } from '../../src/namespace.ts';
import { RestoreSource } from '../../src/store/restore-source.ts';
import type { Entry } from '../../src/witness/entry.ts';
import { leafHash, TreeHasher } from '../../src/witness/proofs/merkle.ts';
import { makeReceipt } from '../../src/witness/proofs/receipt.ts';
import { TrustedKeys } from '../../src/witness/proofs/trusted-keys.ts';
import { pruningStatement } from '../../src/witness/prune/statement.ts';
import { replayAll } from '../../src/witness/replay/replay.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { actors } from './messages.ts';
import { longAfter, PrunedWitness, type Step, timeOf } from './prune-parts.ts';

let witness: PrunedWitness;

beforeEach(async () => {
  witness = await PrunedWitness.open();
});
afterEach(async () => await witness.close());

const task = (id: string, more: Partial<Step> = {}): Step => ({ kind: 'task', id, ...more });
const columns = ['chain', 'seq', 'entries', 'head_hash', 'root', 'issued_at', 'key', 'signature', 'peaks', 'kept'];

function faults(trusted: TrustedKeys | undefined = witness.trusted): string[] {
  const { ok, chains } = verifyDatabase(witness.path, { trusted });
  const found = chains.flatMap(({ chain, errors }) => errors.map(({ code, message }) => `${chain} ${code} ${message}`));
  expect(ok).toBe(found.length === 0);
  return found;
}

function restored(trusted?: TrustedKeys): string[] {
  const source = new RestoreSource({
    path: witness.path,
    namespace: new Namespace(),
    endedBefore: longAfter,
    trusted,
  });
  try {
    return Array.from(source.actors(), ({ payload }) => (JSON.parse(payload) as { id: string }).id).sort();
  } finally {
    source.close();
  }
}

/** Kept: a@2 and b@1; there: the last record. */
function pruned(): void {
  witness.add([task('a'), task('b'), task('a'), task('last')]);
  witness.checkpoint();
  witness.prune(longAfter);
  expect(witness.kept()).toEqual(['task:a@2', 'task:b@1']);
  expect(faults()).toEqual([]);
  expect(restored(witness.trusted)).toEqual(['a', 'b', 'last']);
}

describe('the signed end of what was removed', () => {
  it('is signed as what it is, so that no checkpoint stands for it', () => {
    witness.add([task('a'), task('b'), task('c')]);
    const [head] = witness.checkpoint(longAfter - 1);
    witness.add([task('d')]);
    const later = witness.checkpoint();
    const tree = new TreeHasher();
    for (const { content_hash } of witness.rows().slice(0, 3)) tree.add(leafHash(content_hash));
    const kept = createHash('sha256').update('[]').digest('hex');
    witness.prune(timeOf(2));
    witness.sqlite.exec('DELETE FROM pruned; DELETE FROM kept; DELETE FROM entries WHERE seq <= 3');
    const row = { ...head, peaks: JSON.stringify(tree.peaks()), kept };
    const values = columns.map((name) => `@${name}`).join();
    witness.sqlite.prepare(`INSERT INTO pruned (${columns.join()}) VALUES (${values})`).run(row);
    expect(faults()).toEqual([expect.stringContaining('SIGNATURE_INVALID')]);
    const checkpoints = [{ format: 'infrafabric-checkpoint/1', issued_at: longAfter, public_key: '', chains: later }];
    expect(verifyDatabase(witness.path, { trusted: witness.trusted, checkpoints: checkpoints as never }).ok).toBe(
      false,
    );
    expect(() => restored(witness.trusted)).toThrow(/signature/);
  });

  it.each(columns)('counts no more when its %s is changed', (column) => {
    pruned();
    const value = { chain: "'IF_actors/2'", seq: 'seq + 1', entries: 'entries + 1', issued_at: 'issued_at + 1' }[
      column
    ];
    const other = `replace(${column}, substr(${column}, -10), substr(${column}, -20, 10))`;
    expect(witness.sqlite.prepare(`UPDATE pruned SET ${column} = ${value ?? other}`).run().changes).toBe(1);
    expect(faults().join()).toMatch(/SIGNATURE_INVALID|FIELD_TYPE/);
    expect(() => restored(witness.trusted)).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
    expect(() => witness.prune(longAfter + 1)).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
  });

  it('is the statement of the documented text', () => {
    const secret = Buffer.from(Array.from({ length: 32 }, (_, at) => at));
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), secret]);
    const hash = (text: string) => createHash('sha256').update(text).digest('hex');
    const end = {
      chain: actors,
      entries: 3,
      seq: 4,
      head_hash: 'e8689b39ee98df82208ed3d6d643b6cd71898eab3dddc45c0f1a7f1834bfd088',
      root: 'df768cc836bdd4bd679a744615c93824cc6b62c24d211ef966d3119100db3c64',
      issued_at: 1763700000005,
      key: 'SHA256:oFCDfYUHBYLM9zlLCYiEfMMSy4glm4lImfbyOc8XkaU',
      peaks: [
        'f3218d943b07b7195c1bcc84e6843a90450225af4a0d674a5f7aebe711b2c8fc',
        'db7eff71ef665033f0613397546570ad65b619c42a19db1d28e08bb18a2d155c',
      ],
      kept: hash('[["task","t-0","IF_actors/1",4,"e8689b39ee98df82208ed3d6d643b6cd71898eab3dddc45c0f1a7f1834bfd088"]]'),
    };
    const statement = pruningStatement(end);
    expect(statement).toBe(`InfraFabric witness pruning\n${canonicalJson(end)}`);
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    expect(sign(null, Buffer.from(statement), key).toString('base64')).toBe(
      'BvtRyclXSptym0BDGLTm6xB7UdHvxUnHyFiObOw/LUd7EG9tj/+fzHzUu5JVlw6Tpxn6d4fAD+uO2V46XrTBAg==',
    );
    expect(end.kept).toBe('648c580fe417a3645a6338cff6a350d2ce7eb0c6af287a0ab901de436adc9012');
  });
});

describe('what was kept', () => {
  /** The receipt of the first record of `a` instead of its second, as whoever has an old copy could make it. */
  function older(): void {
    const { root, entries } = witness.sqlite.prepare('SELECT * FROM pruned').get() as { root: string; entries: number };
    expect([root, entries]).toEqual([expect.any(String), 3]);
    const [first] = copied as readonly [Entry];
    const { chain, seq, content_hash } = first;
    witness.sqlite
      .prepare("UPDATE kept SET seq = ?, content_hash = ?, receipt = ? WHERE actor_id = 'a'")
      .run(seq, content_hash, receiptOfFirst);
    expect(chain).toBe(actors);
  }
  let copied: readonly Entry[];
  let receiptOfFirst: string;
  beforeEach(() => {
    witness.add([task('a'), task('b'), task('a'), task('last')]);
    const heads = witness.checkpoint();
    copied = witness.rows();
    receiptOfFirst = JSON.stringify(makeReceipt(witness.sqlite, { chain: actors, seq: 1 }, heads));
    witness.prune(longAfter);
    expect(faults()).toEqual([]);
  });

  const sql = (text: string) => () => expect(witness.sqlite.prepare(text).run().changes).toBeGreaterThan(0);
  const copyOfB = "SELECT 'c', kind, chain, seq, content_hash, receipt FROM kept WHERE actor_id = 'b'";
  const changes: Array<[string, () => void]> = [
    ['an older entry in place of the last', older],
    ['one that was removed', sql("DELETE FROM kept WHERE actor_id = 'b'")],
    ['all that were removed', sql('DELETE FROM kept')],
    ['one that was added', sql(`INSERT INTO kept (actor_id, kind, chain, seq, content_hash, receipt) ${copyOfB}`)],
    ['one of another chain', sql("UPDATE kept SET chain = 'IF_actors/2' WHERE actor_id = 'b'")],
    ['one of another number', sql("UPDATE kept SET seq = 9 WHERE actor_id = 'b'")],
    ['one of another kind', sql("UPDATE kept SET kind = 'swarm' WHERE actor_id = 'b'")],
    ['one that is not of a chain', sql("UPDATE kept SET chain = 'x' WHERE actor_id = 'b'")],
  ];

  it.each(changes)('is found out when it is not what was signed: %s', (_, change) => {
    change();
    expect(faults().join('\n')).toContain('CHECKPOINT_MISMATCH');
    expect(() => restored()).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
    expect(() => replayAll(witness.sqlite)).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
  });

  it.each(changes)('is never signed anew when it is not what was signed: %s', (_, change) => {
    change();
    const tables = () =>
      ['pruned', 'kept', 'entries'].map((name) => witness.sqlite.prepare(`SELECT * FROM ${name}`).all());
    witness.add([task('b'), task('last'), task('last')]);
    const before = tables();
    witness.checkpoint();
    expect(() => witness.prune(longAfter + 1)).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
    expect(tables()).toEqual(before);
  });

  it('is named by its actor where an entry is not that of its row', () => {
    witness.sqlite.prepare("UPDATE kept SET receipt = ? WHERE actor_id = 'a'").run(receiptOfFirst);
    expect(faults()).toEqual([expect.stringMatching(/FIELD_TYPE the kept entry of task:a /)]);
    expect(() => restored().length).toThrow(/task:a/);
    expect(() => replayAll(witness.sqlite)).toThrow(/task:a/);
    witness.sqlite.exec("UPDATE kept SET receipt = '{}' WHERE actor_id = 'a'");
    expect(() => restored()).toThrow(/task:a/);
  });

  it('cannot be what was kept earlier, with the statement of then', () => {
    const then = ['pruned', 'kept'].map((name) => witness.sqlite.prepare(`SELECT * FROM ${name}`).all());
    witness.add([task('a', { status: 'done', value: 'completed' }), task('last'), task('last')]);
    witness.checkpoint();
    witness.prune(longAfter + 1);
    expect(witness.kept()).toEqual(['task:b@1']);
    expect(faults()).toEqual([]);
    const putBack = (table: string, rows: unknown[]) => {
      witness.sqlite.exec(`DELETE FROM ${table}`);
      for (const row of rows as Array<Record<string, unknown>>) {
        const names = Object.keys(row);
        const marks = names.map((name) => `@${name}`);
        witness.sqlite.prepare(`INSERT INTO ${table} (${names.join()}) VALUES (${marks.join()})`).run(row);
      }
    };
    putBack('kept', then[1] ?? []);
    expect(faults().join()).toContain('CHECKPOINT_MISMATCH');
    putBack('pruned', then[0] ?? []);
    expect(faults().join()).toContain('SEQ_MISSING');
  });

  it('is signed for all epochs of a stream when it changes in one', () => {
    witness.openEpoch(2);
    witness.add([task('a'), task('b'), task('last')], 'IF_actors/2');
    witness.checkpoint();
    witness.prune(longAfter + 1, { per_step: 1 });
    const ends = () =>
      witness.sqlite.prepare<[], { chain: string; kept: string }>('SELECT * FROM pruned ORDER BY chain').all();
    expect(ends().map(({ chain }) => chain)).toEqual([actors, 'IF_actors/2']);
    expect(new Set(ends().map(({ kept }) => kept)).size).toBe(1);
    const first = ends();
    witness.add([task('a', { status: 'done', value: 'completed' }), task('last'), task('last')], 'IF_actors/2');
    witness.checkpoint();
    witness.prune(longAfter + 1);
    expect(witness.kept().some((name) => name.startsWith('task:a'))).toBe(false);
    expect(faults()).toEqual([]);
    // The end of the closed epoch did not move, but what it says was kept is not true any more.
    witness.sqlite.prepare('UPDATE pruned SET kept = ? WHERE chain = ?').run(first[0]?.kept, actors);
    expect(faults().join()).toContain('CHECKPOINT_MISMATCH');
  });

  it('cannot be verified without a key, and with one that others signed with', () => {
    expect(faults(new TrustedKeys([])).join()).toContain('SIGNATURE_INVALID');
    expect(verifyDatabase(witness.path).ok).toBe(false);
    expect(() => restored(new TrustedKeys([]))).toThrow(/unknown key/);
  });
});
