/** Checkpoints: what is signed, the files that they are kept in, and what verifying them alone finds. */
import { appendFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import {
  appendCheckpoint,
  issueCheckpoint,
  readCheckpointFile,
  readCheckpoints,
} from '../../src/witness/proofs/checkpoint.ts';
import { type CheckpointsReport, verifyCheckpoints } from '../../src/witness/proofs/checkpoint-check.ts';
import {
  openSigningKey,
  rotateSigningKey,
  type SigningKey,
  type TrustedKeys,
  trustedKeysOf,
} from '../../src/witness/proofs/signing-key.ts';
import { openTree } from '../../src/witness/proofs/tree.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessages, actors, busMessage, epochMessage, never, startedAt } from './messages.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let dir: string;
let file: string;
let witness: WitnessDatabase;
let key: SigningKey;
let trusted: TrustedKeys;

beforeEach(async () => {
  folder = await tempDir();
  dir = folder.path;
  file = join(dir, 'checkpoints.jsonl');
  witness = WitnessDatabase.open(join(dir, 'witness.db'));
  key = await openSigningKey(dir);
  trusted = trustedKeysOf(dir) as TrustedKeys;
});
afterEach(async () => {
  witness.close();
  await folder.remove();
});

const append = (first: number, last: number) => witness.appendBatch(actors, actorMessages(first, last), never);
const issue = (now = startedAt) => issueCheckpoint(witness.sqlite, key, now);
const keep = async (checkpoint = issue()) => await appendCheckpoint(file, witness.sqlite, checkpoint);
const read = () => readCheckpoints(readFileSync(file, 'utf8'));
const check = (checkpoints = read()): CheckpointsReport => verifyCheckpoints(checkpoints, trusted);

describe('issuing a checkpoint', () => {
  it('signs the head of every chain, also of old epochs', () => {
    append(1, 5);
    witness.appendBatch('IF_bus/1', [busMessage(1, 'a', Buffer.from('1'))], never);
    witness.appendBatch('IF_actors/2', [epochMessage(2, witness.head(actors)?.head_hash ?? '')], never);
    const checkpoint = issue();
    expect(checkpoint).toMatchObject({
      format: 'infrafabric-checkpoint/1',
      issued_at: startedAt,
      public_key: key.publicKey,
    });
    expect(checkpoint.chains.map((head) => [head.chain, head.entries, head.seq])).toEqual([
      ['IF_actors/1', 5, 5],
      ['IF_actors/2', 1, 1],
      ['IF_bus/1', 1, 1],
    ]);
    for (const head of checkpoint.chains) {
      const { peaks: _, ...expected } = { ...openTree(witness.sqlite, head.chain)?.head(), peaks: [] };
      expect(head).toMatchObject({ ...expected, key: key.fingerprint });
      expect(trusted.verify(head)).toBe('ok');
    }
    expect(check([checkpoint])).toMatchObject({ ok: true, keys: [key.fingerprint] });
  });

  it('signs nothing when there is nothing', () => {
    expect(issue().chains).toEqual([]);
  });

  it('keeps what it signed in the database, once per place and key', async () => {
    append(1, 5);
    issue();
    issue(startedAt + 1);
    append(6, 7);
    issue(startedAt + 2);
    key = await rotateSigningKey(dir);
    issue(startedAt + 3);
    expect(witness.sqlite.prepare('SELECT seq, issued_at FROM checkpoints ORDER BY rowid').all()).toEqual([
      { seq: 5, issued_at: startedAt },
      { seq: 7, issued_at: startedAt + 2 },
      { seq: 7, issued_at: startedAt + 3 },
    ]);
    expect(witness.sqlite.prepare('SELECT count(*) FROM checkpoint_keys').pluck().get()).toBe(2);
  });

  it('refuses to sign a history that what it signed is no part of', () => {
    append(1, 300);
    issue();
    for (const damage of [
      'DELETE FROM entries WHERE seq > 290',
      "UPDATE entries SET content_hash = printf('%064d', 1) WHERE seq = 299",
    ]) {
      witness.sqlite.exec('SAVEPOINT before');
      witness.sqlite.exec(damage);
      expect(() => issue(startedAt + 1), damage).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
      witness.sqlite.exec('ROLLBACK TO before');
      witness.sqlite.exec('RELEASE before');
    }
    expect(issue(startedAt + 1).chains).toHaveLength(1);
  });
});

describe('a file of checkpoints', () => {
  it('holds one per line with proofs that each goes on from the one before, private to its owner', async () => {
    for (const [first, last] of [
      [1, 5],
      [6, 300],
      [301, 700],
    ] as const) {
      append(first, last);
      await keep(issue(startedAt + last));
    }
    await keep(issue(startedAt + 800));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const checkpoints = read();
    expect(checkpoints.map(({ consistency }) => consistency?.[0]?.from_entries)).toEqual([undefined, 5, 300, 700]);
    expect(check()).toMatchObject({ ok: true, checkpoints: 4, chains: [{ seq: 700 }], errors: [] });
  });

  it('takes a new epoch and a new key', async () => {
    append(1, 5);
    await keep();
    key = await rotateSigningKey(dir);
    trusted = trustedKeysOf(dir) as TrustedKeys;
    witness.appendBatch('IF_actors/2', [epochMessage(2, witness.head(actors)?.head_hash ?? '')], never);
    await keep(issue(startedAt + 1));
    expect(check()).toMatchObject({
      ok: true,
      checkpoints: 2,
      chains: [{ chain: 'IF_actors/1' }, { chain: 'IF_actors/2' }],
    });
    expect(check().keys).toHaveLength(2);
  });

  it('is not extended by a history that does not go on from its last checkpoint', async () => {
    append(1, 300);
    await keep();
    const before = readFileSync(file, 'utf8');
    const other = WitnessDatabase.open(join(dir, 'other.db'));
    try {
      other.appendBatch(
        actors,
        actorMessages(1, 400).map((message) => ({ ...message, time_ms: message.time_ms + 1 })),
        never,
      );
      const forked = issueCheckpoint(other.sqlite, key, startedAt + 1);
      await expect(appendCheckpoint(file, other.sqlite, forked)).rejects.toMatchObject({ code: 'CONFLICT' });
      const shorter = WitnessDatabase.open(join(dir, 'shorter.db'));
      shorter.appendBatch(actors, actorMessages(1, 200), never);
      const rolledBack = issueCheckpoint(shorter.sqlite, key, startedAt + 1);
      await expect(appendCheckpoint(file, shorter.sqlite, rolledBack)).rejects.toMatchObject({ code: 'CONFLICT' });
      shorter.close();
    } finally {
      other.close();
    }
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  it('stays as it is when it has a later checkpoint of the same history already', async () => {
    append(1, 10);
    const early = issue();
    append(11, 20);
    await keep(issue(startedAt + 1));
    const before = readFileSync(file, 'utf8');
    await keep(early);
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  it('goes on when a crash cut off its last line', async () => {
    append(1, 10);
    await keep();
    await keep(issue(startedAt + 1));
    const whole = readFileSync(file, 'utf8');
    const first = whole.indexOf('\n') + 1;
    for (const length of [whole.length - 1, whole.length - 200, first + 1]) {
      writeFileSync(file, whole);
      truncateSync(file, length);
      if (length < whole.length - 1)
        expect(readCheckpointFile(readFileSync(file))).toMatchObject({ checkpoints: [{}], cut_line: 2 });
      await keep(issue(startedAt + 2));
      expect(check()).toMatchObject({ ok: true, checkpoints: length < whole.length - 1 ? 2 : 3 });
    }
    expect(readCheckpointFile(whole).cut_line).toBeUndefined();
    truncateSync(file, first - 40);
    expect(() => read()).toThrow('not a checkpoint');
    await keep(issue(startedAt + 3));
    expect(check()).toMatchObject({ ok: true, checkpoints: 1 });
  });

  it('may be one checkpoint that spans lines, and be extended', async () => {
    append(1, 10);
    writeFileSync(file, JSON.stringify(issue(), null, 2));
    expect(read()).toHaveLength(1);
    append(11, 12);
    await keep(issue(startedAt + 1));
    append(13, 14);
    await keep(issue(startedAt + 2));
    expect(check()).toMatchObject({ ok: true, checkpoints: 3 });
  });

  it('is extended from its end, whatever its size', async () => {
    append(1, 10);
    await keep();
    const line = readFileSync(file, 'utf8');
    for (let at = 0; at < 200; at++) appendFileSync(file, line);
    append(11, 20);
    await keep(issue(startedAt + 1));
    expect(check()).toMatchObject({ ok: true, checkpoints: 202 });
  });

  it('is told when it cannot be written', async () => {
    append(1, 2);
    const checkpoint = issue();
    for (const bad of [dir, join(dir, 'none', 'file')])
      await expect(appendCheckpoint(bad, witness.sqlite, checkpoint)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    writeFileSync(file, 'hello\n');
    await expect(keep(checkpoint)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    expect(readFileSync(file, 'utf8')).toBe('hello\n');
  });
});

describe('reading checkpoints', () => {
  it('refuses whatever is not exactly one', () => {
    append(1, 5);
    const checkpoint = issue();
    const [head] = checkpoint.chains;
    for (const [text, why] of [
      ['', 'it holds none'],
      ['\n\n', 'it holds none'],
      ['{}', 'format'],
      ['null', ''],
      ['[]', ''],
      [`{"format":"infrafabric-checkpoint/2"`, 'not JSON'],
      [JSON.stringify({ ...checkpoint, more: 1 }), 'more'],
      [JSON.stringify({ ...checkpoint, chains: [{ ...head, entries: '5' }] }), 'chains.0.entries'],
      [JSON.stringify({ ...checkpoint, chains: [{ ...head, entries: 5.5 }] }), 'chains.0.entries'],
      [JSON.stringify({ ...checkpoint, chains: [{ ...head, root: head?.root.toUpperCase() }] }), 'chains.0.root'],
      [JSON.stringify({ ...checkpoint, chains: [{ ...head, note: 'x' }] }), 'note'],
      [JSON.stringify({ ...checkpoint, chains: [head, head] }), 'several heads'],
      [JSON.stringify({ ...checkpoint, chains: [] }), 'chains'],
      [JSON.stringify({ ...checkpoint, follows: '../checkpoints-1.jsonl' }), 'follows'],
      [JSON.stringify(checkpoint).replace('"entries":5', '"entries":4,"entries":5'), 'twice'],
      [`${JSON.stringify(checkpoint)}\nhello\n`, 'line 2'],
    ] as const)
      expect(() => readCheckpoints(text), text).toThrow(
        expect.objectContaining({ code: 'INVALID_REQUEST', message: expect.stringContaining(why) }),
      );
  });

  it('refuses bytes that are not UTF-8', () => {
    append(1, 5);
    const bytes = Buffer.from(JSON.stringify(issue()));
    expect(readCheckpoints(bytes)).toHaveLength(1);
    const wrong = Buffer.concat([bytes, Buffer.from([0x0a, 0xff, 0x0a])]);
    expect(() => readCheckpoints(wrong)).toThrow(
      expect.objectContaining({ code: 'INVALID_REQUEST', message: expect.stringContaining('UTF-8') }),
    );
    expect(() => readCheckpoints(Buffer.concat([Buffer.from('\ufeff'), bytes]))).toThrow('not JSON');
  });
});
