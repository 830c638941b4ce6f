import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { zeroHash } from '../../src/witness/entry.ts';
import { type Checkpoint, issueCheckpoint } from '../../src/witness/proofs/checkpoint.ts';
import { openSigningKey, type SigningKey } from '../../src/witness/proofs/signing-key.ts';
import { openTree } from '../../src/witness/proofs/tree.ts';
import { type TrustedKeys, trustedKeysOf } from '../../src/witness/proofs/trusted-keys.ts';
import { prune } from '../../src/witness/prune/prune.ts';
import { type Verification, verifyDatabase } from '../../src/witness/verify/verify.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessages, actors, epochMessage, never, startedAt } from './messages.ts';

const day = 86_400_000;
let folder: Awaited<ReturnType<typeof tempDir>>;
let strangers: Awaited<ReturnType<typeof tempDir>>;
let whole: string;
let pruned: string;
let key: SigningKey;
let trusted: TrustedKeys;
let stranger: SigningKey;
let checkpoints: Checkpoint[];
/** The last number that was removed. */
let through: number;
let copies = 0;

beforeAll(async () => {
  folder = await tempDir();
  strangers = await tempDir();
  key = await openSigningKey(folder.path);
  stranger = await openSigningKey(strangers.path);
  trusted = trustedKeysOf(folder.path) as TrustedKeys;
  whole = join(folder.path, 'whole.db');
  pruned = join(folder.path, 'pruned.db');
  const witness = WitnessDatabase.open(whole);
  witness.appendBatch(actors, [epochMessage(1, zeroHash), ...actorMessages(2, 30)], never);
  const early = issueCheckpoint(witness.sqlite, key, startedAt + 30);
  const late = actorMessages(31, 60).map((message) => ({ ...message, time_ms: message.time_ms + 10 * day }));
  witness.appendBatch(actors, late, never);
  checkpoints = [early, issueCheckpoint(witness.sqlite, key, startedAt + 10 * day + 60)];
  witness.close();
  copyFileSync(whole, pruned);
  const database = WitnessDatabase.open(pruned);
  const [report] = prune(database.sqlite, {
    before: startedAt + 5 * day,
    now: startedAt + 20 * day,
    key,
    trusted,
    archive_after_ms: 0,
  });
  database.close();
  through = report?.pruned_through ?? 0;
});
afterAll(async () => {
  await folder.remove();
  await strangers.remove();
});

function changed(sql: string, values: readonly unknown[] = []): string {
  const copy = join(folder.path, `copy-${++copies}.db`);
  copyFileSync(pruned, copy);
  const sqlite = new Sqlite(copy);
  expect(sqlite.prepare(sql).run(...values).changes).toBeGreaterThan(0);
  sqlite.close();
  return copy;
}

function faults(result: Verification): string[] {
  expect(result.ok).toBe(result.chains.every((each) => each.errors.length === 0));
  return result.chains.flatMap(({ errors }) => errors.map((error) => `${error.code} ${error.seq}`));
}

describe('a chain whose beginning was removed behind a signed head', () => {
  it('verifies, also against checkpoints of before and after, and has the root of the whole', () => {
    expect(through).toBe(30);
    const result = verifyDatabase(pruned, { trusted, checkpoints });
    expect(result).toMatchObject({
      ok: true,
      chains: [{ entries: 30, first_seq: 31, last_seq: 60, pruned_through: 30 }],
    });
    const sqlite = new Sqlite(whole, { readonly: true });
    expect(result.chains[0]?.root).toBe(openTree(sqlite, actors)?.head()?.root);
    sqlite.close();
    expect(verifyDatabase(pruned, { trusted }).ok).toBe(true);
    expect(verifyDatabase(whole, { trusted, checkpoints }).chains[0]?.pruned_through).toBeNull();
  });

  it('is not believed without the public key, and with another', () => {
    expect(faults(verifyDatabase(pruned))).toContain('SIGNATURE_INVALID 30');
    const other = trustedKeysOf(strangers.path);
    expect(faults(verifyDatabase(pruned, { trusted: other }))).toContain('SIGNATURE_INVALID 30');
    const { chains } = verifyDatabase(pruned);
    expect(chains[0]?.errors[0]?.message).toContain('--key');
  });

  it('is a chain with missing entries once the signed head is gone', () => {
    expect(faults(verifyDatabase(changed('DELETE FROM pruned'), { trusted }))).toContain('SEQ_MISSING 1');
  });

  it.each([
    ['seq', '29'],
    ['seq', '31'],
    ['entries', '29'],
    ['entries', '31'],
    ['head_hash', `'${zeroHash}'`],
    ['root', `'${zeroHash}'`],
    ['issued_at', 'issued_at + 1'],
    ['key', "replace(key, 'SHA256:', 'SHA256;')"],
    ['signature', "CASE substr(signature, 1, 1) WHEN 'A' THEN 'B' ELSE 'A' END || substr(signature, 2)"],
    ['signature', "''"],
    ['peaks', "'[]'"],
    ['peaks', "''"],
    ['peaks', "replace(peaks, '\"]', '0\"]')"],
    ['chain', "'IF_bus/1'"],
    ['chain', "'x'"],
  ])('is not believed with another %s: %s', (column, value) => {
    const result = verifyDatabase(changed(`UPDATE pruned SET ${column} = ${value}`), { trusted });
    expect(result.ok).toBe(false);
    const codes = result.chains.flatMap(({ errors }) => errors.map(({ code }) => code)).join();
    expect(codes).toMatch(/SIGNATURE_INVALID|CHECKPOINT_MISMATCH|FIELD_TYPE|SEQ_MISSING/);
  });

  it('is not believed when more was removed than is signed', () => {
    expect(faults(verifyDatabase(changed('DELETE FROM entries WHERE seq = 31'), { trusted }))).toEqual([
      'SEQ_MISSING 31',
    ]);
    expect(faults(verifyDatabase(changed('DELETE FROM entries WHERE seq < 35'), { trusted }))).toEqual(
      [31, 32, 33, 34].map((seq) => `SEQ_MISSING ${seq}`),
    );
  });

  it("is found out by a stranger's signature, and by a checkpoint of what was removed", () => {
    const copy = changed('UPDATE pruned SET root = root');
    const sqlite = new Sqlite(copy);
    const head = openTree(sqlite, actors)?.head();
    sqlite.close();
    expect(head).toBeDefined();
    const lie = stranger.sign({
      chain: actors,
      entries: 30,
      seq: 30,
      head_hash: zeroHash,
      root: zeroHash,
      issued_at: 1,
    });
    const signed = changed('UPDATE pruned SET head_hash = ?, root = ?, issued_at = ?, key = ?, signature = ?', [
      lie.head_hash,
      lie.root,
      lie.issued_at,
      lie.key,
      lie.signature,
    ]);
    expect(faults(verifyDatabase(signed, { trusted }))).toEqual(
      expect.arrayContaining(['SIGNATURE_INVALID 30', 'CHAIN_BROKEN 31']),
    );
    expect(faults(verifyDatabase(signed, { trusted, checkpoints }))).toContain('CHECKPOINT_MISMATCH 30');
  });

  it('names what was changed in the receipt of an entry that was kept', () => {
    const sqlite = new Sqlite(pruned, { readonly: true });
    const kept = sqlite
      .prepare<[], { actor_id: string; receipt: string }>("SELECT * FROM kept WHERE kind = 'task'")
      .get();
    sqlite.close();
    if (!kept) throw new Error('no entry was kept');
    const change = (receipt: string, actor_id = kept.actor_id) =>
      faults(
        verifyDatabase(
          changed("UPDATE kept SET receipt = ?, actor_id = ? WHERE kind = 'task' AND actor_id = ?", [
            receipt,
            actor_id,
            kept.actor_id,
          ]),
          { trusted },
        ),
      );
    expect(change(kept.receipt)).toEqual([]);
    expect(change(kept.receipt.replace('"component":"IF.coordinator"', '"component":"IF.governor"')).join()).toContain(
      'HASH_MISMATCH',
    );
    expect(change(kept.receipt, 'another').join()).toContain('FIELD_TYPE');
    for (const receipt of ['', '{}', 'null', '[1]', kept.receipt.slice(1)])
      expect(change(receipt).join()).toContain('FIELD_TYPE');
  });
});
