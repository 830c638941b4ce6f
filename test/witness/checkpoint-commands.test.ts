/** `infrafabric witness checkpoint|verify-checkpoint|key`, run as a user runs them. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { type Checkpoint, readCheckpoints } from '../../src/witness/proofs/checkpoint.ts';
import type { CheckpointsReport } from '../../src/witness/proofs/checkpoint-check.ts';
import { start } from '../cli/built-program.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessages, actors, never } from './messages.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let dataDir: string;

beforeEach(async () => {
  folder = await tempDir();
  dataDir = join(folder.path, 'data');
  mkdirSync(dataDir);
  append(1, 300);
});
afterEach(async () => await folder.remove());

function append(first: number, last: number): void {
  const witness = WitnessDatabase.open(join(dataDir, 'witness.db'));
  witness.appendBatch(actors, actorMessages(first, last), never);
  witness.close();
}

const inFolder = (...names: string[]) => join(folder.path, ...names);
const run = async (...args: string[]) => await start(['witness', ...args, '--data-dir', dataDir], folder.path).finished;

describe('checkpoints on the command line', () => {
  it('are kept in the data directory and in the file that is named, and verified by themselves', async () => {
    const file = inFolder('kept.jsonl');
    const first = await run('checkpoint', '--out', file);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(/IF_actors\/1 +300 +300[\s\S]*signed by SHA256:.{43}, added to/);
    append(301, 400);
    const second = await run('checkpoint', '--out', file, '--json');
    const checkpoint = JSON.parse(second.stdout) as Checkpoint;
    expect(checkpoint).toMatchObject({ format: 'infrafabric-checkpoint/1', chains: [{ chain: actors, entries: 400 }] });
    for (const each of [file, join(dataDir, 'checkpoints.jsonl')])
      expect(readCheckpoints(readFileSync(each, 'utf8'))).toHaveLength(2);
    const verified = await run('verify-checkpoint', file, '--json');
    expect(verified.code).toBe(0);
    expect(JSON.parse(verified.stdout)).toMatchObject({
      ok: true,
      checkpoints: 2,
      errors: [],
    } satisfies Partial<CheckpointsReport>);
    // What is printed is a file of checkpoints, too.
    writeFileSync(inFolder('printed.json'), second.stdout);
    expect((await run('verify-checkpoint', inFolder('printed.json'))).stdout).toContain('verified, 1 checkpoints');
  });

  it('that were changed are exit code 1, and need a key that is trusted', async () => {
    const file = inFolder('kept.jsonl');
    await run('checkpoint', '--out', file);
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace('"entries":300', '"entries":299'));
    const { code, stdout } = await run('verify-checkpoint', file);
    expect(code).toBe(1);
    expect(stdout).toContain('SIGNATURE_INVALID');
    const far = await start(['witness', 'verify-checkpoint', file], folder.path).finished;
    expect(far).toMatchObject({ code: 2, stderr: expect.stringContaining('--key FILE') });
    writeFileSync(file, 'hello\n');
    expect(await run('verify-checkpoint', file)).toMatchObject({ code: 2, stderr: expect.stringContaining('line 1') });
    expect((await run('verify-checkpoint', inFolder('none'))).code).toBe(3);
  });

  it('of another database are signed without touching it', async () => {
    const copy = inFolder('copy.db');
    copyFileSync(join(dataDir, 'witness.db'), copy);
    const refused = await run('checkpoint', '--db', copy);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('no key of a witness') });
    await run('key');
    const before = readFileSync(copy);
    expect((await run('checkpoint', '--db', copy, '--out', inFolder('copy.jsonl'))).code).toBe(0);
    expect(readFileSync(copy).equals(before)).toBe(true);
    expect(existsSync(join(dataDir, 'checkpoints.jsonl'))).toBe(false);
    expect((await run('verify-checkpoint', inFolder('copy.jsonl'))).code).toBe(0);
    expect((await run('checkpoint', '--db', inFolder('none.db'))).code).toBe(3);
  });
});

it('processes that sign at once leave one file of one history', async () => {
  const file = inFolder('kept.jsonl');
  const runs = [1, 2, 3].map(async (at) => {
    append(291 + at * 10, 300 + at * 10);
    return await run('checkpoint', '--out', file);
  });
  for (const result of await Promise.all(runs)) expect(result).toMatchObject({ code: 0 });
  expect((await run('checkpoint', '--out', file)).code).toBe(0);
  const verified = await run('verify-checkpoint', file, '--json');
  expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, chains: [{ seq: 330 }], errors: [] });
});

it('a file that breaks off, or goes on from another one, is told as a note', async () => {
  const file = inFolder('kept.jsonl');
  for (const last of [300, 310, 320]) {
    if (last > 300) append(last - 9, last);
    await run('checkpoint', '--out', file);
  }
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.slice(0, -100));
  const cut = await run('verify-checkpoint', file, '--json');
  expect(cut).toMatchObject({ code: 0 });
  expect(JSON.parse(cut.stdout)).toMatchObject({
    ok: true,
    checkpoints: 2,
    notes: [expect.stringContaining('line 3')],
  });
  expect(await run('verify-checkpoint', file)).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('line 3 breaks off'),
  });
  writeFileSync(file, text.slice(text.indexOf('\n') + 1));
  const missing = await run('verify-checkpoint', file);
  expect(missing).toMatchObject({ code: 1, stdout: expect.stringContaining('lines before it are missing') });
  writeFileSync(file, Buffer.concat([Buffer.from(text), Buffer.from([0xff])]));
  expect(await run('verify-checkpoint', file)).toMatchObject({ code: 2, stderr: expect.stringContaining('UTF-8') });
});

it('a history that was replaced gets no signature: no checkpoint, no receipt, and none for a copy of it', async () => {
  await run('checkpoint');
  const kept = readFileSync(join(dataDir, 'checkpoints.jsonl'), 'utf8');
  rmSync(join(dataDir, 'witness.db'));
  const other = WitnessDatabase.open(join(dataDir, 'witness.db'));
  const messages = actorMessages(1, 400).map((message) => ({ ...message, time_ms: message.time_ms + 1 }));
  other.appendBatch(actors, messages, never);
  other.close();
  copyFileSync(join(dataDir, 'witness.db'), inFolder('copy.db'));
  for (const args of [
    ['checkpoint', '--out', inFolder('new.jsonl')],
    ['receipt', 'task:t-3', '--out', inFolder('receipt.json')],
    ['checkpoint', '--db', inFolder('copy.db'), '--out', inFolder('new.jsonl')],
  ])
    expect(await run(...args), args.join(' ')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('another history'),
    });
  expect(existsSync(inFolder('new.jsonl')) || existsSync(inFolder('receipt.json'))).toBe(false);
  expect(readFileSync(join(dataDir, 'checkpoints.jsonl'), 'utf8')).toBe(kept);
});

describe('the key on the command line', () => {
  it('is made once, shown with its fingerprint, and replaced without losing what the old one signed', async () => {
    await run('checkpoint');
    const shown = JSON.parse((await run('key', '--json')).stdout) as { fingerprint: string; retired: string[] };
    expect(shown.retired).toEqual([]);
    const pub = inFolder('witness.pub');
    const rotated = await run('key', '--rotate', '--out', pub);
    expect(rotated.code).toBe(0);
    expect(rotated.stdout).toContain(`retired      ${shown.fingerprint}`);
    expect(statSync(join(dataDir, 'keys', 'witness.key')).mode & 0o777).toBe(0o600);
    // A checkpoint is signed with the new key at once.
    const [old, fresh] = readCheckpoints(readFileSync(join(dataDir, 'checkpoints.jsonl'), 'utf8'));
    expect(old?.chains[0]?.key).toBe(shown.fingerprint);
    expect(rotated.stdout).toContain(`fingerprint  ${fresh?.chains[0]?.key}`);
    const verified = await run('verify-checkpoint', join(dataDir, 'checkpoints.jsonl'), '--key', pub, '--json');
    expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, keys: [shown.fingerprint, fresh?.chains[0]?.key] });
    expect(readFileSync(pub, 'utf8')).not.toContain('PRIVATE');
  });
});
