/** `infrafabric witness replay`, as people and programs call it; needs no cluster. */
import { chmod, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claim, complete, create, t0 } from '../machines/task-events.ts';
import { tempDir } from '../support/temp.ts';
import { alter, HistoryWriter, inPayload } from '../witness/replay-history.ts';
import { type Finished, start } from './built-program.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let dataDir: string;
let bad: string;
beforeAll(async () => {
  folder = await tempDir();
  dataDir = folder.path;
  bad = join(folder.path, 'bad.db');
  for (const path of [join(dataDir, 'witness.db'), bad]) {
    const history = new HistoryWriter(path);
    history.act('task:t', create({ at: t0 }));
    history.act('task:t', claim({ at: t0 + 1_000 }));
    history.act('task:t', complete({ at: t0 + 2_000, result: `long ${'x'.repeat(200)} \u001b[31m` }));
    history.act('task:other', create());
    history.close();
  }
  const owner = (record: { snapshot: { context: unknown } }) => ({
    ...record,
    snapshot: { ...record.snapshot, context: { ...(record.snapshot.context as object), owner: 'gamma' } },
  });
  alter(bad, { seq: 3, alter: inPayload(owner) });
});
afterAll(() => folder.remove());

const run = async (...args: string[]): Promise<Finished> =>
  await start(['witness', 'replay', ...args, '--data-dir', dataDir], dataDir).finished;

async function json(...args: string[]): Promise<{ code: number | null; answer: Record<string, unknown> }> {
  const { code, stdout } = await run(...args, '--json');
  return { code, answer: JSON.parse(stdout) as Record<string, unknown> };
}

describe('witness replay KIND:ID', () => {
  it('gives the transitions, the state and the context as one JSON document', async () => {
    const { code, answer } = await json('task:t');
    expect(code).toBe(0);
    expect(answer).toMatchObject({ actor: 'task:t', ok: true, state: 'completed', context: { owner: 'beta' } });
    expect(answer['transitions']).toMatchObject([
      { n: 1, at: t0, event: 'CREATE', state: 'available', ok: true },
      { n: 2, at: t0 + 1_000, event: 'CLAIM', state: 'claimed', ok: true },
      { n: 3, at: t0 + 2_000, event: 'COMPLETE', state: 'completed', ok: true },
    ]);
  });

  it('shows people step by step what changed, on lines that obey no terminal', async () => {
    const { code, stdout } = await run('task:t');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^2 {2}2023-11-14 22:13:21Z {2}CLAIM -> claimed {2}ok {2}IF_actors\/1\/3$/m);
    expect(stdout).toMatch(/^ {5}owner: null -> "beta"$/m);
    expect(stdout).toMatch(/^ {5}result: null -> "long x{50,60}…$/m);
    expect(stdout).toContain('task:t: replayed 3 transitions, every snapshot is as recorded');
    expect(stdout).not.toContain('\u001b');
  });

  it('goes back to a transition, or to a time, that included', async () => {
    expect((await json('task:t', '--n', '2')).answer).toMatchObject({ state: 'claimed', context: { result: null } });
    expect((await json('task:t', '--at', String(t0 + 1_000))).answer).toMatchObject({ state: 'claimed' });
    expect((await json('task:t', '--at', String(t0 + 999))).answer).toMatchObject({ state: 'available' });
    expect((await json('task:t', '--at', new Date(t0 + 1_000).toISOString())).answer).toMatchObject({
      state: 'claimed',
    });
    const before = await run('task:t', '--at', '2001-01-01T00:00:00Z');
    expect({ code: before.code, says: before.stdout.trim().split('\n').at(-1) }).toEqual({
      code: 0,
      says: 'task:t: no transition up to then',
    });
  });

  it('names the first divergence, with exit code 1', async () => {
    const { code, stdout, stderr } = await run('task:t', '--db', bad);
    expect(code).toBe(1);
    expect(stdout).toContain('CLAIM -> claimed  DIVERGES');
    expect(stderr).toMatch(
      /^task:t: 1 of 3 transitions diverge, first at n 2: record altered: .*context\.owner is "gamma"/m,
    );
    expect((await json('task:t', '--db', bad)).answer).toMatchObject({
      ok: false,
      transitions: [{ ok: true }, { n: 2, ok: false, fault: 'RECORD_ALTERED' }, { ok: true }],
    });
    expect((await run('task:t', '--db', bad, '--n', '1')).code).toBe(0);
  });

  it.each([
    [1, ['task:nobody'], 'TASK_NOT_FOUND'],
    [1, ['task:t', '--n', '4'], 'it has no transition 4; it has 1 to 3'],
    [2, ['nobody'], 'write <kind>:<id>'],
    [2, [], 'no actor is named'],
    [2, ['epoch:1'], 'has no machine to replay'],
    [2, ['task:t', '--all'], '--all is every actor'],
    [2, ['task:t', '--n', '0'], '--n must be the number of a transition'],
    [2, ['task:t', '--n', '1', '--at', '1'], 'exclude each other'],
    [2, ['task:t', '--at', 'yesterday'], '--at must be a time'],
    [2, ['--all', '--n', '1'], '--at and --n are of one actor'],
    [3, ['task:t', '--db', 'nowhere.db'], 'there is no file'],
  ])('exits with %i for %j and says what to do', async (code, args, message) => {
    const finished = await run(...args);
    expect({ code: finished.code, stdout: finished.stdout }).toEqual({ code, stdout: '' });
    expect(finished.stderr).toContain(message);
  });

  it('exits with 3 for a file that is no witness database', async () => {
    const file = join(folder.path, 'garbage.db');
    await writeFile(file, 'no database '.repeat(2_000));
    for (const args of [['task:t'], ['--all']]) {
      const { code, stderr } = await run(...args, '--db', file);
      expect(code).toBe(3);
      expect(stderr).toContain('witness verify');
    }
  });
});

describe('witness replay --all', () => {
  it('replays every actor', async () => {
    const { code, answer } = await json('--all');
    expect(code).toBe(0);
    expect(answer).toMatchObject({ ok: true, actors: 2, transitions: 4, divergences: [] });
    const { stdout } = await run('--all');
    expect(stdout).toContain('replayed 4 transitions of 2 actors');
    expect(stdout).toContain('entries without a machine, which `witness verify` looks at: epoch (1)');
  });

  it('lists what diverges, with exit code 1', async () => {
    const { code, answer } = await json('--all', '--db', bad);
    expect(code).toBe(1);
    expect(answer).toMatchObject({ ok: false, actors: 2, divergences: [{ actor: 'task:t', n: 2 }] });
    const { stderr } = await run('--all', '--db', bad);
    expect(stderr).toMatch(/1 transition diverges, first task:t at n 2: record altered/);
  });

  it('leaves the file and its folder as they are, also where it may not write', async () => {
    const before = await readdir(folder.path);
    await chmod(bad, 0o400);
    expect((await run('--all', '--db', bad)).code).toBe(1);
    expect(await readdir(folder.path)).toEqual(before);
  });
});
