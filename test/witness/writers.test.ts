import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { ended } from '../support/child.ts';
import { tempDir } from '../support/temp.ts';
import { compileProgram } from './compiled.ts';
import { actorMessages, actors, never } from './messages.ts';

let build: Awaited<ReturnType<typeof tempDir>>;
let program: string;
let folder: Awaited<ReturnType<typeof tempDir>>;
let path: string;

beforeAll(async () => {
  build = await tempDir();
  program = compileProgram(new URL('./writer-program.ts', import.meta.url), build.path);
});
afterAll(() => build.remove());
beforeEach(async () => {
  folder = await tempDir();
  path = join(folder.path, 'witness.db');
});
afterEach(() => folder.remove());

function startWriter(last: number, size: number, onStored: (seq: number) => void = () => {}) {
  const child = spawn(process.execPath, [program, path, String(last), String(size)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onStored(Number(line));
  });
  return child;
}

it('two processes that write to one new file make one valid chain, each message once (R28)', async () => {
  const exits = await Promise.all([startWriter(400, 7), startWriter(400, 3), startWriter(400, 50)].map(ended));
  expect(exits).toEqual([0, 0, 0]);
  const result = verifyDatabase(path);
  expect(result).toMatchObject({ ok: true, chains: [{ entries: 400, first_seq: 1, last_seq: 400, gaps: 0 }] });
  const alone = WitnessDatabase.open(join(folder.path, 'alone.db'));
  expect(alone.appendBatch(actors, actorMessages(1, 400), never).head_hash).toBe(result.chains[0]?.head_hash);
  alone.close();
});

it('a writer killed at any moment leaves a valid chain with all that it had stored (R28)', async () => {
  const total = 100_000;
  let stored = 0;
  for (let round = 1; round <= 20; round++) {
    let batches = 0;
    const child = startWriter(total, 5 + round, (seq) => {
      stored = Math.max(stored, seq);
      batches += 1;
      // In the middle of some later batch, a different one in each round.
      if (batches === 3 * round) setTimeout(() => child.kill('SIGKILL'), round % 4);
    });
    expect(await ended(child)).toBe('SIGKILL');
    const result = verifyDatabase(path);
    expect(result.chains.flatMap((chain) => chain.errors)).toEqual([]);
    expect(result.chains[0]?.last_seq).toBeGreaterThanOrEqual(stored);
    expect(result.chains[0]?.entries).toBe(result.chains[0]?.last_seq);
  }
  expect(stored).toBeGreaterThan(0);
});
