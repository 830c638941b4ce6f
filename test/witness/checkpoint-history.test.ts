/** The key of a data directory signs one history: that of the file of checkpoints that is kept with it. */
import { existsSync, linkSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Checkpoints } from '../../actors/witness/checkpoints.ts';
import { storedValues } from '../../src/witness/columns.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import type { Entry } from '../../src/witness/entry.ts';
import { checkpointsFile } from '../../src/witness/files.ts';
import { RowHasher } from '../../src/witness/hash.ts';
import { issueCheckpoint, readCheckpoints, signHeads } from '../../src/witness/proofs/checkpoint.ts';
import { verifyCheckpoints } from '../../src/witness/proofs/checkpoint-check.ts';
import { keepCheckpoint } from '../../src/witness/proofs/checkpoint-file.ts';
import { rotateSigningKey } from '../../src/witness/proofs/signing-key.ts';
import { prune } from '../../src/witness/prune/prune.ts';
import { startTestCluster } from '../support/cluster.ts';
import { actorMessages, actors, busMessage, epochMessage, never, startedAt } from './messages.ts';
import { type SignedWitness, signedWitness } from './signed-witness.ts';

let signed: SignedWitness;
let witness: WitnessDatabase;
let file: string;

beforeEach(async () => {
  signed = await signedWitness();
  ({ witness } = signed);
  file = checkpointsFile(signed.dir);
});
afterEach(async () => await signed.remove());

const append = (first: number, last: number) => witness.appendBatch(actors, actorMessages(first, last), never);
const issue = (now = startedAt, { sqlite } = witness) => issueCheckpoint(sqlite, signed.key, now, file);
const read = (path = file) => readCheckpoints(readFileSync(path));
const conflict = (message: string) =>
  expect.objectContaining({ code: 'CONFLICT', message: expect.stringContaining(message) });
const storedHeads = () => witness.sqlite.prepare('SELECT count(*) FROM checkpoints').pluck().get();

/** Changes an entry, and the hashes from there on, as someone does who knows the rule. */
function rewrite(from: number): void {
  const { sqlite } = witness;
  const hasher = new RowHasher();
  let prev: string | undefined;
  for (const entry of sqlite.prepare<[number], Entry>('SELECT * FROM entries WHERE seq >= ? ORDER BY seq').all(from)) {
    const changed = { ...entry, ...(prev === undefined ? { timestamp: entry.timestamp + 1 } : { prev_hash: prev }) };
    prev = hasher.hash(storedValues(changed));
    sqlite
      .prepare('UPDATE entries SET timestamp = ?, prev_hash = ?, content_hash = ? WHERE chain = ? AND seq = ?')
      .run(changed.timestamp, changed.prev_hash, prev, entry.chain, entry.seq);
  }
}

describe('a history that was rewritten', () => {
  beforeEach(() => {
    append(1, 700);
    issue();
  });

  it('is not signed, whatever was forgotten in the database along with it', () => {
    const before = readFileSync(file, 'utf8');
    for (const forgotten of ['DELETE FROM checkpoints; DELETE FROM tree_tiles', 'DELETE FROM checkpoints', 'SELECT 1'])
      for (const from of [3, 300, 690, 700]) {
        witness.sqlite.exec(`SAVEPOINT before; ${forgotten}`);
        rewrite(from);
        const heads = storedHeads();
        expect(() => issue(startedAt + 1), `${forgotten}, from ${from}`).toThrow(conflict('nothing is signed'));
        expect(storedHeads()).toBe(heads);
        witness.sqlite.exec('ROLLBACK TO before; RELEASE before');
      }
    expect(readFileSync(file, 'utf8')).toBe(before);
    expect(issue(startedAt + 1).chains).toHaveLength(1);
  });

  it('is not signed when it is shorter, and is once it has caught up', () => {
    const other = WitnessDatabase.open(join(signed.dir, 'other.db'));
    try {
      expect(() => issue(startedAt + 1, other)).toThrow(conflict('0 entries here, but 700 were signed'));
      other.appendBatch(actors, actorMessages(1, 699), never);
      expect(() => issue(startedAt + 1, other)).toThrow(conflict('699 entries here, but 700 were signed'));
      other.appendBatch(actors, actorMessages(700, 701), never);
      expect(issue(startedAt + 1, other).chains).toMatchObject([{ entries: 701 }]);
      expect(verifyCheckpoints(read(), signed.trusted)).toMatchObject({ ok: true, checkpoints: 2 });
    } finally {
      other.close();
    }
  });

  it('is not signed in a copy either', () => {
    const { sqlite } = witness;
    sqlite.exec('DELETE FROM checkpoints');
    expect(signHeads(sqlite, signed.key, startedAt + 1, file).chains).toHaveLength(1);
    rewrite(5);
    expect(() => signHeads(sqlite, signed.key, startedAt + 1, file)).toThrow(conflict('another history'));
  });

  it('is told by the witness that runs, which publishes nothing of it', async () => {
    const cluster = await startTestCluster();
    const nc = await cluster.connect();
    try {
      const told: string[] = [];
      nc.subscribe('>', { callback: (_, { subject }) => void told.push(subject) });
      await nc.flush();
      const lines: string[] = [];
      const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
      const { namespace } = cluster;
      const [dataDir, database, onSigned] = [signed.dir, witness, () => lines.push('signed')];
      const options = { nc, namespace, database, dataDir, everyMs: 0, file: undefined, onSigned, log };
      witness.sqlite.exec('DELETE FROM checkpoints');
      rewrite(5);
      await new Checkpoints(options).stop();
      await nc.flush();
      expect(told).toEqual([]);
      expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
        { level: 50, err: { code: 'CONFLICT', message: expect.stringContaining('nothing is signed') } },
      ]);
      expect(storedHeads()).toBe(0);
    } finally {
      await nc.close();
      await cluster.stop();
    }
  });
});

describe('the rounds of the witness', () => {
  it('sign nothing while nothing is new, also when the chain of an earlier epoch was pruned whole', async () => {
    append(1, 10);
    const second = 'IF_actors/2';
    witness.appendBatch(second, [epochMessage(2, witness.head(actors)?.head_hash ?? '')], never);
    issue();
    const { key, trusted } = signed;
    const pruned = prune(witness.sqlite, {
      before: startedAt + 20,
      now: startedAt + 20,
      key,
      trusted,
      archive_after_ms: 0,
    });
    expect(pruned).toMatchObject([{ chain: actors, removed: 10 }, { chain: second }]);
    const cluster = await startTestCluster({ nodes: 1 });
    const nc = await cluster.connect();
    try {
      const { namespace } = cluster;
      const [dataDir, database, onSigned, log] = [signed.dir, witness, () => {}, pino({ level: 'silent' })];
      const rounds = new Checkpoints({ nc, namespace, database, dataDir, everyMs: 0, file: undefined, onSigned, log });
      expect(await rounds.sign()).toBeUndefined();
      witness.appendBatch(second, [actorMessages(2, 2)[0]!], never);
      expect((await rounds.sign())?.chains.map(({ chain, seq }) => [chain, seq])).toEqual([
        [actors, 10],
        [second, 2],
      ]);
      expect(await rounds.sign()).toBeUndefined();
    } finally {
      await nc.close();
      await cluster.stop();
    }
  });
});

describe('the file of a data directory', () => {
  it('gets each checkpoint before the database does, so that a crash in between heals', () => {
    append(1, 10);
    issue();
    append(11, 20);
    witness.sqlite.exec("CREATE TRIGGER crash BEFORE INSERT ON checkpoints BEGIN SELECT RAISE(ABORT, 'no space'); END");
    expect(() => issue(startedAt + 1)).toThrow('no space');
    expect([read().length, storedHeads()]).toEqual([2, 1]);
    witness.sqlite.exec('DROP TRIGGER crash');
    issue(startedAt + 2);
    append(21, 30);
    issue(startedAt + 3);
    expect([read().length, storedHeads()]).toEqual([3, 3]);
    expect(verifyCheckpoints(read(), signed.trusted)).toMatchObject({ ok: true, errors: [], notes: [] });
  });

  it('gets nothing that it says already, but the same heads by a new key', async () => {
    expect(issue().chains).toEqual([]);
    expect(existsSync(file)).toBe(false);
    append(1, 10);
    for (let at = 0; at < 5; at++) issue(startedAt + at);
    expect(read()).toHaveLength(1);
    const next = await rotateSigningKey(signed.dir);
    issueCheckpoint(witness.sqlite, next, startedAt + 9, file);
    witness.appendBatch('IF_bus/1', [busMessage(1, 'a', Buffer.from('1'))], never);
    issueCheckpoint(witness.sqlite, next, startedAt + 9, file);
    expect(read()).toHaveLength(3);
  });

  it('that cannot be read lets nothing be signed', () => {
    append(1, 10);
    writeFileSync(file, 'hello\n');
    expect(() => issue()).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
    expect([readFileSync(file, 'utf8'), storedHeads()]).toEqual(['hello\n', 0]);
    expect(() => issueCheckpoint(witness.sqlite, signed.key, startedAt, signed.dir)).toThrow(
      expect.objectContaining({ code: 'UNAVAILABLE' }),
    );
  });

  const maxBytes = 6_000;
  /** Files in the order of their checkpoints. */
  const files = () =>
    readdirSync(signed.dir)
      .filter((name) => name.endsWith('.jsonl'))
      .sort();
  const keep = (at: number, most = maxBytes) => {
    append(at * 3 + 1, at * 3 + 3);
    const checkpoint = issueCheckpoint(witness.sqlite, signed.key, startedAt + at);
    witness.sqlite.transaction(() => keepCheckpoint(file, witness.sqlite, checkpoint, most))();
  };

  it('is put aside when it is full, and the next one goes on from it', () => {
    for (let at = 0; at < 40; at++) keep(at);
    const names = files();
    expect(names.length).toBeGreaterThan(3);
    expect(names.at(-1)).toBe('checkpoints.jsonl');
    for (const [at, name] of names.entries()) {
      const path = join(signed.dir, name);
      expect(statSync(path).size).toBeLessThanOrEqual(maxBytes);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      const checkpoints = read(path);
      expect(checkpoints[0]?.follows).toBe(names[at - 1]);
      if (at < names.length - 1) expect(name).toBe(`checkpoints-${checkpoints.at(-1)?.issued_at}.jsonl`);
      const report = verifyCheckpoints(checkpoints, signed.trusted);
      expect(report).toMatchObject({ ok: true, errors: [] });
      expect(report.notes).toEqual(at === 0 ? [] : [expect.stringContaining(String(names[at - 1]))]);
    }
    const texts = names.map((name) => readFileSync(join(signed.dir, name), 'utf8'));
    const all = readCheckpoints(texts.join(''));
    expect(verifyCheckpoints(all, signed.trusted)).toMatchObject({ ok: true, checkpoints: 40, notes: [] });
    const without = readCheckpoints(texts.toSpliced(1, 1).join(''));
    expect(verifyCheckpoints(without, signed.trusted).ok).toBe(false);
    expect(readdirSync(signed.dir).filter((name) => name.endsWith('.new'))).toEqual([]);
  });

  it('is put aside all the same when a crash came in the middle of it, or its name is taken', () => {
    keep(0);
    keep(1);
    const name = (at: number) => `checkpoints-${startedAt + at}.jsonl`;
    // What a crash leaves: the second name, and a part of the new file.
    linkSync(file, join(signed.dir, name(1)));
    writeFileSync(join(signed.dir, '.checkpoints.jsonl.new'), '{"format":"infra');
    keep(2, 100);
    expect(files()).toEqual([name(1), 'checkpoints.jsonl']);
    expect(read(join(signed.dir, name(1)))).toHaveLength(2);
    expect(read()).toMatchObject([{ follows: name(1), issued_at: startedAt + 2 }]);
    writeFileSync(join(signed.dir, name(2)), 'of someone else');
    keep(3, 100);
    expect(files()).toEqual([name(1), name(2), name(3), 'checkpoints.jsonl']);
    expect(readFileSync(join(signed.dir, name(2)), 'utf8')).toBe('of someone else');
    expect(read()).toMatchObject([{ follows: name(3), issued_at: startedAt + 3 }]);
  });

  it('stays below 32 MiB', () => {
    append(1, 10);
    issue();
    const line = readFileSync(file, 'utf8');
    const limit = 32 * 1024 * 1024;
    writeFileSync(file, line.repeat(Math.floor(limit / line.length)));
    append(11, 12);
    issue(startedAt + 1);
    expect(statSync(file).size).toBeLessThan(2_000);
    expect(read()).toMatchObject([{ follows: `checkpoints-${startedAt}.jsonl`, chains: [{ entries: 12 }] }]);
    expect(statSync(join(signed.dir, `checkpoints-${startedAt}.jsonl`)).size).toBeLessThanOrEqual(limit);
  });

  it('has to be gone on from by a new epoch, too', () => {
    append(1, 10);
    issue();
    witness.appendBatch('IF_actors/2', [epochMessage(2, witness.head(actors)?.head_hash ?? '')], never);
    issue(startedAt + 1);
    witness.sqlite.exec("DELETE FROM checkpoints; DELETE FROM entries WHERE chain = 'IF_actors/1'");
    expect(() => issue(startedAt + 2)).toThrow(conflict('0 entries here, but 10 were signed'));
  });
});
