import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { issueCheckpoint } from '../../src/witness/proofs/checkpoint.ts';
import { openSigningKey } from '../../src/witness/proofs/signing-key.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { actorMessages, actors, never, startedAt } from '../witness/messages.ts';
import { start } from './built-program.ts';

const entries = 2_000;
let dir: TempDir;
let db: string;
beforeAll(async () => {
  dir = await tempDir();
  await mkdir(join(dir.path, '.infrafabric'));
  db = join(dir.path, '.infrafabric', 'witness.db');
  const witness = WitnessDatabase.open(db);
  witness.appendBatch(actors, actorMessages(1, entries), never);
  const key = await openSigningKey(join(dir.path, '.infrafabric'));
  const checkpoint = issueCheckpoint(witness.sqlite, key, startedAt + entries);
  await writeFile(join(dir.path, '.infrafabric', 'checkpoints.jsonl'), `${JSON.stringify(checkpoint)}\n`);
  witness.close();
});
afterAll(async () => await dir.remove());

const run = async (...args: string[]) => await start(['witness', ...args], dir.path).finished;
const json = async (...args: string[]) => {
  const { code, stdout } = await run(...args, '--json');
  return { code, result: JSON.parse(stdout) as Record<string, unknown> };
};
const files = async () => (await readdir(dir.path)).filter((name) => name !== '.infrafabric');

describe('witness trace', () => {
  it('shows the timeline of a trace out of the data directory, without a fabric', async () => {
    const { code, stdout, stderr } = await run('trace', 'trace-3', '--limit', '2');
    expect(code).toBe(0);
    expect(stdout.split('\n')[0]).toMatch(/^TIME +SINCE +ACTOR +EVENT +STATE +SWARM +COST$/);
    expect(stdout.split('\n')[1]).toMatch(/^2025-11-21 04:40:00Z +\+0 ms +task:t-0 +START +claimed +swarm-0 +-$/);
    expect(stderr).toMatch(/^there are more: --cursor /);
  });

  it('goes on with the cursor as JSON', async () => {
    const { result } = await json('trace', 'trace-3', '--limit', '200', '--db', db);
    expect(result).toMatchObject({ trace_id: 'trace-3', cursor: expect.any(String) });
    const rest = await json('trace', 'trace-3', '--limit', '200', '--cursor', String(result['cursor']));
    expect((result['entries'] as unknown[]).length + (rest.result['entries'] as unknown[]).length).toBe(286);
    expect(rest.result).toMatchObject({ cursor: null, started_at: startedAt + 3 });
  });

  it('of an unknown trace is empty', async () => {
    expect(await run('trace', 'nobody')).toMatchObject({
      code: 0,
      stdout: 'the witness has no entries of trace "nobody"\n',
    });
  });
});

describe('witness cost', () => {
  it('adds up by swarm, with a total', async () => {
    const { code, stdout } = await run('cost');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^SWARM +COST +TOKENS IN +TOKENS OUT +ENTRIES\n/);
    expect(stdout).toMatch(/\ntotal +\$125\.00 +600000 +40000 +500\n$/);
  });

  it('takes a grouping and a span of time', async () => {
    const { result } = await json('cost', '--by', 'day', '--until', String(startedAt + 4));
    const sums = { cost_usd: 0.25, tokens_in: 1_200, tokens_out: 80, entries: 1 };
    expect(result).toEqual({ by: 'day', groups: [{ day: '2025-11-21', ...sums }], total: sums });
  });

  it('refuses another grouping with exit code 2', async () => {
    expect(await run('cost', '--by', 'mood')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('swarm, model'),
    });
  });
});

describe('witness export', () => {
  it.each(['json', 'csv'])('writes every entry to a new file as %s', async (format) => {
    const out = join(dir.path, `all.${format}`);
    const { code, result } = await json('export', '--format', format, '--out', out);
    expect({ code, result }).toEqual({ code: 0, result: { format, out, entries, damaged: 0 } });
    const text = await readFile(out, 'utf8');
    expect(text.match(/\n/g)).toHaveLength(format === 'csv' ? entries + 1 : entries);
  });

  it('writes nothing but the export to stdout with --out -', async () => {
    const { code, stdout } = await run('export', '--format', 'json', '--out', '-', '--event', 'COMPLETE', '--json');
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(entries / 4);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ event: 'COMPLETE', seq: 4 });
  });

  it('ends without a word when the reader of its output goes away', async () => {
    const program = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
    const child = spawn(process.execPath, [program, 'witness', 'export', '--format', 'csv', '--out', '-', '--db', db], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said: string[] = [];
    child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
    child.stdout.once('data', () => child.stdout.destroy());
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(said.join('')).toBe('');
  });

  it('never overwrites a file', async () => {
    const out = join(dir.path, 'taken');
    await writeFile(out, 'mine');
    expect(await run('export', '--format', 'csv', '--out', out)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is not overwritten'),
    });
    expect(await readFile(out, 'utf8')).toBe('mine');
    expect(await files()).toContain('taken');
  });

  it.each([
    [['--format', 'pdf', '--out', 'x'], 2, 'json, csv or html'],
    [['--format', 'csv', '--out', 'x', '--key', 'k'], 2, '--key is for --format html'],
    [['--format', 'csv', '--out', 'x', '--db', 'nothing.db'], 3, 'there is no file'],
    [['--format', 'csv', '--out', 'no/such/folder/x'], 2, 'cannot be created'],
    [['--format', 'html', '--out', 'x', '--key', 'nothing.pub'], 3, 'nothing.pub'],
    [['--format', 'html', '--out', 'x', '--checkpoint', 'nothing.jsonl'], 3, 'nothing.jsonl'],
  ])('refuses %j with exit code %i', async (args, code, message) => {
    expect(await run('export', ...args)).toMatchObject({ code, stderr: expect.stringContaining(message) });
    expect(await files()).not.toContain('x');
  });

  it('makes a report that was verified against the checkpoints of the data directory, and names the key', async () => {
    const out = join(dir.path, 'audit.html');
    const { code, stdout, stderr } = await run('export', '--format', 'html', '--out', out);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${out}: ${entries} entries\n` });
    const [fingerprint = ''] = /SHA256:[A-Za-z0-9+/]{43}/.exec(stderr) ?? [];
    const page = await readFile(out, 'utf8');
    expect(page).toContain('Verified: the history is whole and unaltered.');
    expect(page).toContain('Held against a signed checkpoint');
    expect(fingerprint).not.toBe('');
    expect(page).toContain(fingerprint);
  });

  it('writes a report of a history that was cut off too, which says so, with exit code 1', async () => {
    const cut = join(dir.path, 'cut.db');
    await writeFile(cut, await readFile(db));
    const witness = WitnessDatabase.open(cut);
    witness.sqlite.exec(`DELETE FROM entries WHERE seq > ${entries - 10}`);
    witness.close();
    const out = join(dir.path, 'cut.html');
    const kept = ['--checkpoint', join(dir.path, '.infrafabric', 'checkpoints.jsonl')];
    const { code, result } = await json('export', '--format', 'html', '--out', out, '--db', cut, ...kept);
    expect({ code, verified: result['verified'] }).toEqual({ code: 1, verified: false });
    expect(await readFile(out, 'utf8')).toMatch(/Verification failed.*TRUNCATED/s);
  });
});
