/** `infrafabric witness prune`, run as a user runs it. */
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { readCheckpoints } from '../../src/witness/proofs/checkpoint.ts';
import { start } from '../cli/built-program.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessage, actors, never, startedAt, taskRecord } from './messages.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let dataDir: string;
let file: string;

beforeEach(async () => {
  folder = await tempDir();
  dataDir = join(folder.path, 'data');
  file = join(dataDir, 'witness.db');
  mkdirSync(dataDir);
  const witness = WitnessDatabase.open(file);
  witness.appendBatch(
    actors,
    Array.from({ length: 5_000 }, (_, at) => actorMessage(at + 1, ended(at + 1))),
    never,
  );
  witness.close();
});
afterEach(async () => await folder.remove());

const ended = (seq: number) => taskRecord(seq, { snapshot: { status: 'done', value: 'completed', context: {} } });
const run = async (...args: string[]) => await start(['witness', ...args, '--data-dir', dataDir], folder.path).finished;

it('removes old entries, and what is left verifies, also a receipt of it', async () => {
  const size = statSync(file).size;
  const before = String(startedAt + 4_001);
  const pruned = await run('prune', '--before', before, '--compact', '--json');
  expect(pruned).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(pruned.stdout)).toMatchObject({
    db: file,
    key: expect.stringMatching(/^SHA256:/),
    removed: 4_000,
    chains: [{ chain: actors, removed: 4_000, pruned_through: 4_000, stopped_at_loss: false }],
  });
  expect(statSync(file).size).toBeLessThan(size / 2);
  expect(readCheckpoints(readFileSync(join(dataDir, 'checkpoints.jsonl'), 'utf8'))).toHaveLength(1);
  expect((await run('verify')).code).toBe(0);
  const receipt = join(folder.path, 'receipt.json');
  expect(await run('receipt', 'task:t-1100', '--out', receipt)).toMatchObject({ code: 0 });
  expect((await run('verify-receipt', receipt)).code).toBe(0);
  const again = await run('prune', '--before', before);
  expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('no entry was removed') });
});

it('says what is wrong with its input', async () => {
  expect(await run('prune')).toMatchObject({ code: 2 });
  expect(await run('prune', '--before', 'yesterday')).toMatchObject({ code: 2 });
  const elsewhere = join(folder.path, 'elsewhere.db');
  expect(await run('prune', '--before', '1d', '--db', elsewhere)).toMatchObject({ code: 3 });
  renameSync(file, elsewhere);
  const keyless = await run('prune', '--before', '1d', '--db', elsewhere);
  expect(keyless).toMatchObject({ code: 2, stderr: expect.stringContaining('--data-dir') });
  expect(await run('prune', '--before', '1d')).toMatchObject({ code: 3 });
  expect(existsSync(file)).toBe(false);
});

it('removes nothing from a witness that was altered', async () => {
  const witness = WitnessDatabase.open(file);
  witness.sqlite.exec("UPDATE entries SET swarm_id = 'other' WHERE seq = 3");
  witness.close();
  const refused = await run('prune', '--before', '1d', '--json');
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toContain('entry 3 of IF_actors/1 does not verify');
  const left = WitnessDatabase.open(file);
  expect(left.sqlite.prepare('SELECT count(*) FROM entries').pluck().get()).toBe(5_000);
  left.close();
});
