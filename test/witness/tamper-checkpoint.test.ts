import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { columnNames, storedValues } from '../../src/witness/columns.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { type Entry, zeroHash } from '../../src/witness/entry.ts';
import { RowHasher } from '../../src/witness/hash.ts';
import { type Checkpoint, issueCheckpoint } from '../../src/witness/proofs/checkpoint.ts';
import { openSigningKey, type SigningKey } from '../../src/witness/proofs/signing-key.ts';
import { openTree } from '../../src/witness/proofs/tree.ts';
import { type TrustedKeys, trustedKeysOf } from '../../src/witness/proofs/trusted-keys.ts';
import { type Verification, verifyDatabase } from '../../src/witness/verify/verify.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessage, actorMessages, actors, epochMessage, never, startedAt, taskRecord } from './messages.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
/** A witness' file at 60 and at 100 entries of its first epoch, and its checkpoints at those and one between. */
let old: string;
let present: string;
let checkpoints: Checkpoint[];
let key: SigningKey;
let trusted: TrustedKeys;
let strangerKey: SigningKey;
let stranger: TrustedKeys;
let copies = 0;

const journal = 'IF_journal/1';

function place(name: string): string {
  const path = join(folder.path, name);
  mkdirSync(path);
  return path;
}

async function keysAt(dir: string): Promise<[SigningKey, TrustedKeys]> {
  const made = await openSigningKey(dir);
  const keys = trustedKeysOf(dir);
  if (!keys) throw new Error('no public key was written');
  return [made, keys];
}

beforeAll(async () => {
  folder = await tempDir();
  [key, trusted] = await keysAt(place('own'));
  [strangerKey, stranger] = await keysAt(place('stranger'));
  old = join(folder.path, 'old.db');
  present = join(folder.path, 'present.db');
  const first = WitnessDatabase.open(old);
  first.appendBatch(actors, [epochMessage(1, zeroHash), ...actorMessages(2, 60)], never);
  const at60 = issueCheckpoint(first.sqlite, key, startedAt + 60);
  first.close();
  copyFileSync(old, present);
  const next = WitnessDatabase.open(present);
  next.appendBatch(actors, [...actorMessages(61, 79), actorMessage(85)], () => 'trimmed');
  const at85 = issueCheckpoint(next.sqlite, key, startedAt + 85);
  next.appendBatch(actors, actorMessages(86, 100), never);
  next.appendBatch(journal, [epochMessage(1, zeroHash)], never);
  const at100 = issueCheckpoint(next.sqlite, key, startedAt + 100);
  next.close();
  checkpoints = [at60, at85, at100];
});
afterAll(() => folder.remove());

function copyOf(path: string, change: (sqlite: Sqlite.Database) => void = () => {}): string {
  const copy = join(folder.path, `copy-${++copies}.db`);
  copyFileSync(path, copy);
  const sqlite = new Sqlite(copy);
  change(sqlite);
  sqlite.close();
  return copy;
}

function faults(result: Verification, chain = actors): string[] {
  expect(result.ok).toBe(result.chains.every((each) => each.errors.length === 0));
  const errors = result.chains.find((each) => each.chain === chain)?.errors ?? [];
  return errors.map((error) => `${error.code} ${error.seq}`);
}

const verify = (path: string, given: readonly Checkpoint[] = checkpoints, keys: TrustedKeys | undefined = trusted) =>
  verifyDatabase(path, { checkpoints: given, trusted: keys });

/** The same chain from another history, valid in itself. */
function rewritten(from: number): string {
  return copyOf(present, (sqlite) => {
    const hasher = new RowHasher();
    const rows = sqlite.prepare<[string], Entry>('SELECT * FROM entries WHERE chain = ? ORDER BY seq').all(actors);
    sqlite.prepare('DELETE FROM entries WHERE chain = ?').run(actors);
    const insert = sqlite.prepare(
      `INSERT INTO entries (${columnNames}) VALUES (${columnNames.replaceAll(/\w+/g, '?')})`,
    );
    let previous = zeroHash;
    for (const row of rows) {
      const timestamp = row.seq >= from ? row.timestamp + 1 : row.timestamp;
      const values = storedValues({ ...row, timestamp, prev_hash: previous });
      previous = hasher.hash(values);
      insert.run(...values, previous);
    }
  });
}

describe('verification against checkpoints', () => {
  it('passes the file that they are of, and later versions of it, and gives its root', () => {
    for (const given of [
      checkpoints,
      checkpoints.slice(0, 1),
      [...checkpoints].reverse(),
      [...checkpoints, ...checkpoints],
    ]) {
      const result = verify(present, given);
      expect(result).toMatchObject({ ok: true, chains: [{ chain: actors, last_seq: 100 }, { chain: journal }] });
      const sqlite = new Sqlite(present, { readonly: true });
      expect(result.chains[0]?.root).toBe(openTree(sqlite, actors)?.head()?.root);
      sqlite.close();
    }
    expect(verify(old, checkpoints.slice(0, 1)).ok).toBe(true);
  });

  it('gives the same answers by the careful pass', () => {
    const loose = (sqlite: Sqlite.Database) =>
      sqlite.exec(
        'DROP INDEX entries_by_time; CREATE TABLE t AS SELECT * FROM entries; DROP TABLE entries; ALTER TABLE t RENAME TO entries',
      );
    expect(verify(copyOf(present, loose))).toEqual(verify(present));
  });

  it('finds that an old copy was put back', () => {
    expect(faults(verify(old))).toEqual(['TRUNCATED 61']);
    expect(faults(verify(old), journal)).toEqual(['TRUNCATED 1']);
  });

  it.each([
    ['seq = 100', 100],
    ['seq > 90', 91],
    ['seq >= 80', 80],
    ['seq > 1', 2],
  ])('finds an end that was cut off: %s', (where, first) => {
    const cut = copyOf(present, (sqlite) => sqlite.exec(`DELETE FROM entries WHERE chain = '${actors}' AND ${where}`));
    expect(verifyDatabase(cut).ok).toBe(true);
    expect(faults(verify(cut))).toEqual([`TRUNCATED ${first}`]);
  });

  it('finds a chain that is missing altogether', () => {
    const cut = copyOf(present, (sqlite) => sqlite.exec(`DELETE FROM entries WHERE chain = '${actors}'`));
    expect(verifyDatabase(cut).ok).toBe(true);
    const result = verify(cut);
    expect(faults(result)).toEqual(['TRUNCATED 1']);
    expect(result.chains[0]).toMatchObject({ chain: actors, entries: 0, first_seq: null, last_seq: null });
  });

  it.each([
    [1, 60],
    [60, 60],
    [61, 85],
    [85, 85],
    [100, 100],
  ])('finds a chain that was replaced from entry %i on, by another that is valid', (from, checkpoint) => {
    const replaced = rewritten(from);
    expect(verifyDatabase(replaced).ok).toBe(true);
    expect(faults(verify(replaced))).toEqual([`CHECKPOINT_MISMATCH ${checkpoint}`]);
  });

  it('finds a chain that was replaced and cut off', () => {
    const replaced = copyOf(rewritten(50), (sqlite) =>
      sqlite.exec(`DELETE FROM entries WHERE chain = '${actors}' AND seq > 70`),
    );
    expect(faults(verify(replaced))).toEqual(['CHECKPOINT_MISMATCH 60', 'TRUNCATED 71']);
  });

  it('finds a head with another root, number of entries, hash or place, though its signature is valid', () => {
    const [, , newest] = checkpoints;
    const head = newest?.chains.find((each) => each.chain === actors);
    if (!newest || !head) throw new Error('no checkpoint');
    const { key: _, signature: __, ...unsigned } = head;
    const forged = [{ root: zeroHash }, { entries: head.entries + 1 }, { head_hash: zeroHash }, { seq: 99 }];
    for (const change of forged) {
      const lie = key.sign({ ...unsigned, ...change });
      const result = verify(present, [{ ...newest, chains: [lie] }]);
      expect(faults(result), JSON.stringify(change)).toEqual([`CHECKPOINT_MISMATCH ${lie.seq}`]);
    }
    // A number inside a gap is no place where a chain can have ended.
    const inGap = key.sign({ ...unsigned, seq: 82 });
    expect(faults(verify(present, [{ ...newest, chains: [inGap] }]))).toEqual(['CHECKPOINT_MISMATCH 82']);
  });

  it('does not believe what no trusted key signed', () => {
    const [newest] = checkpoints;
    const head = newest?.chains[0];
    if (!newest || !head) throw new Error('no checkpoint');
    expect(faults(verify(present, [newest], stranger))).toEqual(['SIGNATURE_INVALID 60']);
    expect(faults(verifyDatabase(present, { checkpoints: [newest] }))).toEqual(['SIGNATURE_INVALID 60']);
    const changes = [
      { seq: 61 },
      { entries: 59 },
      { head_hash: zeroHash },
      { root: zeroHash },
      { issued_at: 1 },
      { key: strangerKey.fingerprint },
      { signature: strangerKey.sign(head).signature },
    ];
    for (const change of changes) {
      const changed = { ...head, ...change };
      expect(faults(verify(present, [{ ...newest, chains: [changed] }])), JSON.stringify(change)).toEqual([
        `SIGNATURE_INVALID ${changed.seq}`,
      ]);
    }
    const renamed = verify(present, [{ ...newest, chains: [{ ...head, chain: 'IF_bus/1' }] }]);
    expect(faults(renamed, 'IF_bus/1')).toEqual(['SIGNATURE_INVALID 60']);
  });

  it('names every fault of the rows beside that of the checkpoint', () => {
    const changed = copyOf(present, (sqlite) => {
      sqlite.exec(`UPDATE entries SET timestamp = 0 WHERE chain = '${actors}' AND seq IN (3, 70);
        DELETE FROM entries WHERE chain = '${actors}' AND seq IN (40, 100)`);
    });
    const found = faults(verify(changed));
    expect(found).toEqual(
      expect.arrayContaining(['HASH_MISMATCH 3', 'SEQ_MISSING 40', 'HASH_MISMATCH 70', 'TRUNCATED 100']),
    );
  });

  it('says that a file is unreadable rather than that its chains are missing', () => {
    const result = verify(join(folder.path, 'absent.db'));
    expect(result).toMatchObject({ ok: false, chains: [{ chain: '*', errors: [{ code: 'UNREADABLE' }] }] });
    expect(existsSync(join(folder.path, 'absent.db'))).toBe(false);
    rmSync(join(folder.path, 'absent.db'), { force: true });
  });

  it('verifies records that a witness of another key signed in between with both keys', () => {
    const copy = copyOf(present);
    const witness = WitnessDatabase.open(copy);
    witness.appendBatch(actors, [actorMessage(101, taskRecord(101))], never);
    const other = issueCheckpoint(witness.sqlite, strangerKey, startedAt + 101);
    witness.close();
    expect(faults(verify(copy, [...checkpoints, other]))).toEqual(['SIGNATURE_INVALID 101']);
  });
});
