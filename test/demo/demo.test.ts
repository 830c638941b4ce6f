import { type ChildProcess, execSync, spawn, spawnSync } from 'node:child_process';
import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { obtainServer } from '../../src/cluster/binary.ts';
import type { Findings } from '../../src/demo/findings.ts';
import { packageRoot } from '../../src/package-root.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { ended } from '../support/child.ts';
import { tempDir, until } from '../support/temp.ts';
import { descendants, runs } from './processes.ts';

// A whole demo takes a quarter of a minute on a machine with nothing else to do.
vi.setConfig({ testTimeout: 120_000 });

let root: Awaited<ReturnType<typeof tempDir>>;
/** What is measured, and where the demo puts its temporary files. */
let tree: string;
let temporary: string;
/** The nats-server, so that the cache may be another. */
let server: string;
const started: ChildProcess[] = [];

beforeAll(async () => {
  server = (await obtainServer()).path;
});
beforeEach(async () => {
  root = await tempDir();
  tree = join(root.path, 'tree');
  temporary = join(root.path, 'tmp');
  await mkdir(temporary);
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const pids = [child.pid!, ...descendants(child.pid!)];
    for (const pid of pids) if (runs(pid)) process.kill(pid, 'SIGKILL');
    await ended(child);
  }
  await root.remove();
});

/** Folders with a file of source, one of text, and in every third a binary one. */
async function plant(folders: number, lines = 20): Promise<void> {
  for (let i = 0; i < folders; i++) {
    const folder = join(tree, `folder-${i % 5}`, `part ${i}`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'code.ts'), `function number${i}() {\n${'  step();\n'.repeat(lines + i)}}\n`);
    await writeFile(join(folder, 'notes.txt'), `${'a line of text\n'.repeat(lines * 2 + i)}no line break at the end`);
    if (i % 3 === 0) await writeFile(join(folder, 'blob.bin'), Buffer.alloc(300 + i));
  }
}

interface Run {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves with the exit code. */
  readonly end: Promise<number | string>;
}

function startDemo(...args: string[]): Run {
  const program = join(packageRoot(), 'dist', 'src', 'cli', 'main.js');
  // The environment tells of another fabric; the demo has its own. In a group of its own, as from a shell.
  const env = {
    ...process.env,
    TMPDIR: temporary,
    IF_SERVERS: 'nats://127.0.0.1:1',
    IF_DATA_DIR: join(root.path, 'other'),
    IF_CACHE_DIR: join(root.path, 'cache'),
    IF_NATS_SERVER: server,
  };
  const child = spawn(process.execPath, [program, 'demo', ...args], {
    env,
    cwd: root.path,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let [stdout, stderr] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const end = new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => resolve(code ?? signal ?? -1)),
  );
  return { child, stdout: () => stdout, stderr: () => stderr, end };
}

async function runJson(...args: string[]): Promise<Findings> {
  const run = startDemo('--dir', tree, '--json', ...args);
  const code = await run.end;
  expect(code, run.stderr()).toBe(0);
  return JSON.parse(run.stdout()) as Findings;
}

interface Count {
  folders: number;
  files: number;
  binary: number;
  lines: number;
  bytes: number;
  longest: { path: string; lines: number };
}

/** Counted here in another way than the demo does. */
async function countTree(): Promise<Count> {
  const count: Count = { folders: 1, files: 0, binary: 0, lines: 0, bytes: 0, longest: { path: '', lines: 0 } };
  for (const entry of await readdir(tree, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) {
      const children = await readdir(path, { withFileTypes: true });
      count.folders += children.some((child) => child.isFile()) ? 1 : 0;
      continue;
    }
    const content = await readFile(path);
    const text = content.toString('latin1');
    const lines = text.includes('\0') ? 0 : text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
    count.files += 1;
    count.binary += text.includes('\0') ? 1 : 0;
    count.bytes += content.length;
    count.lines += lines;
    if (lines > count.longest.lines) count.longest = { path: path.slice(tree.length + 1), lines };
  }
  return count;
}

async function expectNothingLeft(pids: readonly number[]): Promise<void> {
  await until('every process of the demo is gone', () => !pids.some(runs));
  expect(await readdir(temporary)).toEqual([]);
}

/** What the demo is for: a race, a leader that is killed, a worker that is killed, dependencies. */
function expectEverythingShown(findings: Findings): void {
  const { race, leader_kill, worker_kill, dependencies, swarms, tasks } = findings;
  const winner = race.winners[0]!;
  const losers = swarms.map(({ swarm_id }) => swarm_id).filter((swarm_id) => swarm_id !== winner);
  expect(race).toMatchObject({ winners: [winner], recorded_claims: 1 });
  expect(race.told.map(({ swarm_id }) => swarm_id)).toEqual(losers);
  expect(race.told.map(({ owner }) => owner)).toEqual(losers.map(() => winner));

  expect(leader_kill.open_tasks).toBeGreaterThan(0);
  expect(leader_kill.recovered_after_ms).toBeGreaterThan(0);
  expect(leader_kill.node_back_after_ms).toBeGreaterThan(0);

  const { swarm_id, new_owner } = worker_kill;
  expect(new_owner).not.toBe(swarm_id);
  expect(swarms.filter(({ killed }) => killed)).toMatchObject([{ swarm_id, pid: worker_kill.pid }]);
  expect(worker_kill.recorded.filter((event) => event !== 'DEPENDENCY_DONE').slice(0, 5)).toEqual([
    'CREATE',
    'CLAIM',
    'START',
    'LEASE_EXPIRED',
    'CLAIM',
  ]);
  expect(tasks.find(({ task_id }) => task_id === worker_kill.task_id)).toMatchObject({ owner: new_owner });

  expect(dependencies).toMatchObject({ waited_for: findings.report.folders, results: findings.report.folders });
  expect(dependencies.claimed_after_ms).toBeGreaterThanOrEqual(0);
  expect(findings).toMatchObject({ ok: true, not_shown: [] });
  expect(findings.times_ms.total).toBeLessThan(60_000);
}

/** Help for a stuck swarm, a budget that refuses, a circuit that opens and is reset. */
function expectGoverned({ governance: { stuck, spending, circuit }, tasks }: Findings): void {
  expect(stuck.helpers).toMatchObject([
    { swarm_id: 'raven', answer: 'declined', reason: 'busy elsewhere', cost_per_hour: 0.5, at_once: true },
    { swarm_id: 'sable', answer: 'joined', cost_per_hour: 1, at_once: true },
    { swarm_id: 'tulip', answer: 'joined', cost_per_hour: 2, at_once: false },
  ]);
  expect(stuck.not_asked).toEqual([{ swarm_id: 'umber', cost_per_hour: 0.25, capabilities: 2 }]);
  expect(['sable', 'tulip']).toContain(stuck.resolved_by);
  expect([...stuck.recorded].sort()).toEqual(['DECLINE', 'INVITE', 'INVITE', 'JOIN', 'JOIN', 'REPORT', 'RESOLVE']);
  expect(tasks.find(({ task_id }) => task_id === stuck.task_id)).toMatchObject({ owner: 'quill', state: 'completed' });

  const figures = spending.steps.map(({ answers, allocated_usd, reserved_usd, spent_usd, remaining_usd }) => [
    answers,
    [allocated_usd, reserved_usd, spent_usd, remaining_usd],
  ]);
  expect(figures).toEqual([
    [{ granted: 2, BUDGET_EXHAUSTED: 2 }, [1, 0.8, 0, 0.2]],
    [{}, [1, 0, 0.6, 0.4]],
    [{ granted: 1 }, [1, 0.4, 0.6, 0]],
    [{ BUDGET_EXHAUSTED: 1 }, [1, 0.4, 0.6, 0]],
    [{ granted: 1 }, [2, 0.8, 0.6, 0.6]],
    [{}, [2, 0, 1.2, 0.8]],
  ]);
  expect(spending).toMatchObject({ cost_usd: 1.2, witness_usd: 1.2 });

  expect(circuit).toMatchObject({
    swarm_id: 'willow',
    failures: 3,
    circuit: 'open',
    refused_with: 'CIRCUIT_OPEN',
    notice: { type: 'circuit_open', swarm_id: 'willow', reasons: ['failures'], consecutive_failures: 3 },
    told: 1,
    circuit_after_reset: 'closed',
    answered_after_reset: 'granted',
  });
  expect(circuit.recorded.filter((event) => /^(FAILURE|RESET|SUCCESS)$/.test(event))).toEqual([
    ...['FAILURE', 'FAILURE', 'FAILURE'],
    'RESET',
    ...['SUCCESS', 'SUCCESS', 'SUCCESS'],
  ]);
}

describe('the demo', () => {
  it('reports what is in the files, from work that several swarms did exactly once, on a chain that verifies', async () => {
    await plant(40);
    const findings = await runJson();
    const count = await countTree();
    const { report, recheck, tasks, swarms, witness } = findings;
    expect(report).toMatchObject({
      folders: count.folders,
      files: count.files,
      binary_files: count.binary,
      lines: count.lines,
      bytes: count.bytes,
    });
    expect(report.longest_files[0]).toEqual(count.longest);
    expect(report.longest_functions[0]).toMatchObject({ name: 'number39', line: 1, lines_estimate: 61 });
    expect(recheck.same).toBe(true);

    // One task per folder, the summary, the check, that of the race, and eight for the governor.
    expect(tasks).toHaveLength(count.folders + 3 + 8);
    expect(new Set(tasks.map(({ task_id }) => task_id)).size).toBe(tasks.length);
    expect(tasks.filter(({ state }) => state === 'completed')).toHaveLength(tasks.length);
    expect(swarms).toHaveLength(8);
    expect(new Set(swarms.map(({ pid }) => pid)).size).toBe(8);
    expect(swarms.filter(({ completed }) => completed > 0).length).toBeGreaterThan(1);
    expect(swarms.map(({ completed, audited }) => completed - audited)).toEqual(swarms.map(() => 0));

    const each = tasks.length;
    expect(witness.transitions).toMatchObject({ CREATE: each, COMPLETE: each });
    expect(witness).toMatchObject({ ok: true, not_completed_once: [] });
    expect(witness.chains.map(({ chain, errors, gaps }) => [chain, errors.length, gaps])).toContainEqual([
      'IF_actors/1',
      0,
      0,
    ]);
    expectEverythingShown(findings);
    expectGoverned(findings);
    expect(await readdir(temporary)).toEqual([]);
  });

  it('ends with a receipt that the command it prints verifies, when nothing of the fabric is left', async () => {
    await plant(3);
    const run = startDemo('--dir', tree);
    expect(await run.end, run.stderr()).toBe(0);
    expect(run.stdout()).toMatch(
      /^Receipt of recheck: \d+ entries with proofs, .* signed by SHA256:\S+; verified by a process/m,
    );
    const command = /^ {2}(node .* witness verify-receipt .*)$/m.exec(run.stdout())![1]!;
    expect(await readdir(temporary)).toEqual([]);
    const bare = { cwd: root.path, env: { PATH: process.env['PATH'] ?? '' } };
    expect(execSync(command, { ...bare, encoding: 'utf8' })).toMatch(/recheck[\s\S]*verified/);

    const [, receipt = '', key = ''] = /verify-receipt (\S+) --key (\S+)/.exec(command)!;
    const altered = join(root.path, 'altered.json');
    await writeFile(altered, (await readFile(receipt, 'utf8')).replace('LEASE_EXPIRED', 'LEASE_RENEWED'));
    const check = spawnSync('sh', ['-c', command.replace(receipt, altered)], bare);
    expect(key).toMatch(/witness\.pub$/);
    expect(check.status).toBe(1);
  });

  it('reports another number when a file has changed, and keeps its folder when asked to', async () => {
    await plant(3);
    const before = await countTree();
    await appendFile(join(tree, 'folder-1', 'part 1', 'notes.txt'), '\nmore\nand more\n');
    const { report, data_dir, witness } = await runJson('--keep', '--workers', '2');
    expect(report.lines).toBe(before.lines + 2);
    expect(report.bytes).toBe(before.bytes + '\nmore\nand more\n'.length);
    const kept = verifyDatabase(join(data_dir!, 'witness.db'));
    expect(kept.ok).toBe(true);
    expect(kept.chains.map(({ head_hash }) => head_hash)).toEqual(witness.chains.map(({ head_hash }) => head_hash));
  });

  it('tells people who did what, and shows progress on stderr', async () => {
    await plant(3);
    const run = startDemo('--dir', tree);
    expect(await run.end, run.stderr()).toBe(0);
    expect(run.stdout()).toMatch(/^SWARM +PROCESS +RACE +TASKS DONE/m);
    expect(run.stdout()).toMatch(/^amber +\d+/m);
    expect(run.stdout()).toMatch(
      /^race: 8 processes claimed one task within [\d.]+ ms; \w+ has it, and 7 others were told so/m,
    );
    expect(run.stdout()).toMatch(/^node \S+ \(process \d+\), which led the log, was killed .* the node was back/m);
    expect(run.stdout()).toMatch(/^\w+ \(process \d+\) was killed while it owned recheck/m);
    expect(run.stdout()).toMatch(/^longest file: folder-2\/part 2\/notes.txt, 43 lines$/m);
    expect(run.stdout()).toMatch(/^ {2}IF_actors\/1: \d+ entries, 0 errors, head [0-9a-f]{64}$/m);
    expect(run.stdout()).toMatch(/^7 more swarms, in the process of the demo/m);
    expect(run.stdout()).toMatch(
      /^quill was stuck with publish-docs, for want of [^:]+:[^:]+:[^:]+:[^:]+: (sable|tulip) resolved it after /m,
    );
    expect(run.stdout()).toMatch(/^ {2}raven, \$0\.50 an hour, was asked after .*: declined \(busy elsewhere\)$/m);
    expect(run.stdout()).toMatch(/^ {2}tulip, \$2\.00 an hour, the next best, was asked instead after .*: joined$/m);
    expect(run.stdout()).toMatch(/^BUDGET OF VIXEN +ANSWER +ALLOCATED +RESERVED +SPENT +LEFT$/m);
    expect(run.stdout()).toMatch(/^the next claim of \$0\.40 +BUDGET_EXHAUSTED +\$1\.00 +\$0\.40 +\$0\.60 +\$0\.00$/m);
    expect(run.stdout()).toMatch(
      /^willow failed 3 tasks in a row: .* CIRCUIT_OPEN; people were told once, .* granted$/m,
    );
    expect(run.stderr()).toContain('3 nodes, coordinator, governor, witness;');
    expect(run.stderr()).toContain('the fabric is ready');
    expect(run.stderr()).toContain('15 of 15 tasks completed');
  });

  it.each([
    { when: 'while the fabric starts', line: 'starting a fabric' },
    { when: 'once the fabric is ready', line: 'the fabric is ready' },
    { when: 'while a swarm is stuck', line: 'those who can help are asked' },
    { when: 'while a budget is short', line: 'its budget covers' },
    { when: 'while a circuit is open', line: 'resetting it' },
    { when: 'while tasks are done', line: 'tasks completed' },
    { when: 'while the log has no leader', line: 'waiting for a leader' },
    { when: 'while the task of a killed worker waits', line: 'waiting for the end of its lease' },
    { when: 'while it stops', line: 'stopping' },
  ])('leaves no process and no file when it is interrupted $when', async ({ line }) => {
    await plant(60, 400);
    const run = startDemo('--dir', tree);
    await until(`it says: ${line}`, () => run.stderr().includes(line), 60_000);
    const pids = descendants(run.child.pid!);
    process.kill(-run.child.pid!, 'SIGINT');
    expect(await run.end, run.stderr()).toBe(130);
    expect(run.stdout()).toBe('');
    expect(run.stderr()).toContain('interrupted');
    await expectNothingLeft(pids);
  });

  it('leaves no process and no file when it is interrupted twice, as by npm, which passes a Ctrl-C on', async () => {
    await plant(60, 400);
    const run = startDemo('--dir', tree);
    await until('the fabric is ready', () => run.stderr().includes('the fabric is ready'));
    const pids = descendants(run.child.pid!);
    process.kill(run.child.pid!, 'SIGINT');
    process.kill(run.child.pid!, 'SIGTERM');
    expect(await run.end, run.stderr()).toBe(130);
    await expectNothingLeft(pids);
  });

  it('says which worker died when one does, and leaves nothing', async () => {
    await plant(60, 400);
    const run = startDemo('--dir', tree, '--json');
    await until('it names the workers', () => /birch \(process \d+\)/.test(run.stderr()));
    const pids = descendants(run.child.pid!);
    process.kill(Number(/birch \(process (\d+)\)/.exec(run.stderr())![1]), 'SIGKILL');
    expect(await run.end, run.stderr()).toBe(3);
    expect(run.stdout()).toBe('');
    const last = run.stderr().trim().split('\n').at(-1)!;
    expect((JSON.parse(last) as { error: { message: string } }).error.message).toMatch(
      /^the worker birch \(process \d+\) ended before its work was done: ended by SIGKILL/,
    );
    await expectNothingLeft(pids);
  });

  it.each([
    {
      what: 'an empty directory',
      make: async () => {
        await mkdir(tree);
      },
      args: () => ['--dir', tree],
      says: /holds no file/,
    },
    {
      what: 'a directory that does not exist',
      make: async () => {},
      args: () => ['--dir', tree],
      says: /cannot be measured: .*ENOENT/,
    },
    {
      what: 'a file',
      make: async () => {
        await writeFile(tree, 'text');
      },
      args: () => ['--dir', tree],
      says: /cannot be measured: .*ENOTDIR/,
    },
    {
      what: 'a single worker',
      make: async () => {},
      args: () => ['--workers', '1'],
      says: /--workers is "1"; allowed: a whole number from 2 to 16/,
    },
    {
      what: 'the data directory of another fabric',
      make: async () => {},
      args: () => ['--data-dir', tree],
      says: /--data-dir: .*fabric of its own/,
    },
  ])('refuses $what before it starts anything', async ({ make, args, says }) => {
    await make();
    const run = startDemo(...args());
    expect(await run.end, run.stderr()).toBe(2);
    expect(run.stderr()).toMatch(says);
    expect(run.stderr()).not.toContain('starting');
    expect(await readdir(temporary)).toEqual([]);
  });
});
