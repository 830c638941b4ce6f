/** `infrafabric witness receipt|verify-receipt`, run as a user runs them: beside the witness, and far from it. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import type { Receipt, ReceiptReport } from '../../src/witness/proofs/receipt.ts';
import { start } from '../cli/built-program.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessages, actors, never } from './messages.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let dataDir: string;
let elsewhere: string;

beforeAll(async () => {
  folder = await tempDir();
  dataDir = join(folder.path, 'data');
  elsewhere = join(folder.path, 'elsewhere');
  mkdirSync(dataDir);
  mkdirSync(elsewhere);
  const witness = WitnessDatabase.open(join(dataDir, 'witness.db'));
  witness.appendBatch(actors, actorMessages(1, 600), never);
  witness.close();
});
afterAll(async () => await folder.remove());

/** Runs a command in a folder that knows nothing of the witness. */
async function run(...args: string[]) {
  return await start(args, elsewhere).finished;
}
const here = async (...args: string[]) => await run(...args, '--data-dir', dataDir);

describe('receipts on the command line', () => {
  it('are written beside the witness, and verified elsewhere with nothing but the public key', async () => {
    const file = join(elsewhere, 'receipt.json');
    const made = await here('witness', 'receipt', 'task:t-3', '--out', file);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toContain('4 entries of task:t-3');
    const pub = join(elsewhere, 'witness.pub');
    expect((await here('witness', 'key', '--out', pub)).code).toBe(0);
    const verified = await run('witness', 'verify-receipt', file, '--key', pub);
    expect(verified).toMatchObject({ code: 0, stderr: '' });
    expect(verified.stdout).toMatch(
      /task:t-3[\s\S]*COMPLETE[\s\S]*signed by SHA256:.{43}\n.*: verified, all that the witness had/,
    );
    const json = await run('witness', 'verify-receipt', file, '--key', pub, '--json');
    const report = JSON.parse(json.stdout) as ReceiptReport;
    expect(report).toMatchObject({ ok: true, actor: 'task:t-3', complete: true, errors: [] });
    expect(report.entries.map(({ event, state }) => [event, state])).toEqual(
      ['CREATE', 'CLAIM', 'START', 'COMPLETE'].map((event) => [event, 'claimed']),
    );
    expect(verified.stdout).toContain(report.key);
  });

  it('that were changed are exit code 1, and say where', async () => {
    const file = join(elsewhere, 'changed.json');
    const receipt = JSON.parse((await here('witness', 'receipt', 'task:t-4', '--json')).stdout) as Receipt;
    const text = JSON.stringify(receipt);
    for (const changed of [
      text.replace('swarm-1', 'swarm-2'),
      text.replace('"actor":"task:t-4"', '"actor":"task:t-4","actor":"task:t-4"'),
    ]) {
      expect(changed).not.toBe(text);
      writeFileSync(file, changed);
      const { code, stdout } = await here('witness', 'verify-receipt', file, '--json');
      expect(code).toBe(1);
      const { ok, errors } = JSON.parse(stdout) as ReceiptReport;
      expect(ok).toBe(false);
      expect(errors[0]).toMatchObject({ code: expect.any(String), message: expect.any(String) });
    }
    // A reader that is not strict would read a replacement character here.
    const at = text.indexOf('ünï');
    writeFileSync(
      file,
      Buffer.concat([Buffer.from(text.slice(0, at)), Buffer.from([0xff]), Buffer.from(text.slice(at))]),
    );
    expect(await here('witness', 'verify-receipt', file)).toMatchObject({
      code: 3,
      stdout: '',
      stderr: expect.stringContaining('cannot be read as a receipt'),
    });
    writeFileSync(file, text);
    expect((await here('witness', 'verify-receipt', file)).code).toBe(0);
    const stranger = join(folder.path, 'stranger');
    const strange = await run('witness', 'verify-receipt', file, '--data-dir', stranger);
    expect(strange).toMatchObject({ code: 2, stderr: expect.stringContaining('--key FILE') });
    expect(existsSync(stranger)).toBe(false);
    const pub = join(elsewhere, 'stranger.pub');
    await run('witness', 'key', '--data-dir', stranger, '--out', pub);
    const { code, stdout } = await run('witness', 'verify-receipt', file, '--key', pub);
    expect(code).toBe(1);
    expect(stdout).toContain('not trusted');
  });

  it('are of one entry with --seq', async () => {
    for (const seq of ['57', 'IF_actors/1/57']) {
      const { stdout } = await here('witness', 'receipt', '--seq', seq, '--json');
      expect(JSON.parse(stdout)).toMatchObject({ actor: null, entries: [{ chain: actors, seq: 57 }] });
    }
  });

  it('come from a copy under its stored checkpoint, without touching the copy', async () => {
    expect((await here('witness', 'checkpoint')).code).toBe(0);
    const copy = join(elsewhere, 'copy.db');
    copyFileSync(join(dataDir, 'witness.db'), copy);
    const before = readFileSync(copy);
    const file = join(elsewhere, 'from-copy.json');
    expect(await run('witness', 'receipt', 'task:t-5', '--db', copy, '--out', file)).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(readFileSync(copy).equals(before)).toBe(true);
    const { code, stdout } = await here('witness', 'verify-receipt', file);
    expect(code).toBe(0);
    expect(stdout).toContain('does not say that there were no more');
    const bare = join(elsewhere, 'bare.db');
    const witness = WitnessDatabase.open(bare);
    witness.appendBatch(actors, actorMessages(1, 30), never);
    witness.close();
    const refused = await run('witness', 'receipt', 'task:t-5', '--db', bare);
    expect(refused).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('infrafabric witness checkpoint'),
    });
  });

  it('are refused with what to do instead', async () => {
    for (const [args, code, says] of [
      [['receipt', 'task:none'], 1, 'no entry of task:none'],
      [['receipt', 'task:t-1', '--seq', '1'], 2, 'name one thing'],
      [['receipt', '--seq', 'x'], 2, 'CHAIN/SEQ'],
      [['receipt', 'task:t-1', '--db', 'none.db'], 3, 'none.db'],
      [['receipt', 'task:t-1', '--out', join(elsewhere, 'none', '..', '..', 'elsewhere')], 2, 'cannot be written'],
      [['verify-receipt', join(dataDir, 'witness.db')], 3, 'cannot be read as a receipt'],
      [['verify-receipt', 'receipt.json', '--key', 'none.pub'], 3, 'none.pub cannot be read'],
    ] as const) {
      const result = await here('witness', ...args);
      expect(result, args.join(' ')).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(says) });
    }
  });
});
