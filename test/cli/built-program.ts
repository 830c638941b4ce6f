/** The built command line as a user runs it: real processes, and a fabric of a test's own started by `infrafabric up`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readProcess } from '../../src/cluster/process-table.ts';
import { join as joinFabric } from '../../src/sdk/join.ts';
import { tempDir, until } from '../support/temp.ts';

const program = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly written: { stdout: string; stderr: string };
  readonly finished: Promise<Finished>;
}

/** Starts it in `cwd`, without the settings of the environment that the tests run in. */
export function start(args: readonly string[], cwd: string): Running {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !name.startsWith('IF_') || /^IF_(NATS_SERVER|CACHE_DIR)$/.test(name),
    ),
  );
  const child = spawn(process.execPath, [program, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const written = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    written.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    written.stderr += text;
  });
  const finished = once(child, 'close').then(([code]) => ({ code: code as number | null, ...written }));
  return { child, written, finished };
}

export interface Fabric {
  readonly dir: string;
  readonly dataDir: string;
  readonly up: Running;
  /** Runs a command on this fabric to its end. */
  run(...args: string[]): Promise<Finished>;
  /** The same with `--json`; gives what it printed. */
  json<Result>(...args: string[]): Promise<Result>;
  /** Starts a command that does not end by itself. */
  begin(...args: string[]): Running;
  stop(): Promise<void>;
}

/** Starts `up` in a new folder and resolves when it is ready. */
export async function startFabric(...options: string[]): Promise<Fabric> {
  const dir = await tempDir();
  const dataDir = join(dir.path, 'data');
  const on = (args: string[]) => [...args, '--data-dir', dataDir];
  const begun: Running[] = [];
  const begin = (...args: string[]) => {
    const running = start(on(args), dir.path);
    begun.push(running);
    return running;
  };
  const run = async (...args: string[]) => await start(on(args), dir.path).finished;
  const up = start(on(['up', ...options]), dir.path);
  try {
    await until('up is ready', () => isReady(up), 50_000);
  } catch (error) {
    up.child.kill('SIGTERM');
    await up.finished;
    await dir.remove();
    throw error;
  }
  return {
    dir: dir.path,
    dataDir,
    up,
    run,
    begin,
    async json<Result>(...args: string[]) {
      const { stdout, stderr } = await run(...args, '--json');
      if (stdout === '') throw new Error(`no JSON; stderr: ${stderr}`);
      return JSON.parse(stdout) as Result;
    },
    async stop() {
      for (const { child, finished } of begun) {
        if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
        await finished;
      }
      up.child.kill('SIGTERM');
      await up.finished;
      await dir.remove();
    },
  };
}

/** @throws Error when it has ended instead */
export function isReady({ child, written }: Running): boolean {
  if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it ended: ${written.stderr}`);
  return written.stdout.includes('ready');
}

/** The process ids of the nodes of a data directory, as their state files tell. */
export async function nodePids(dataDir: string): Promise<number[]> {
  const pids = await Promise.all(
    ['n1', 'n2', 'n3'].map(async (name) => {
      const text = await readFile(join(dataDir, 'nodes', name, 'pid'), 'utf8').catch(() => '');
      return Number(text);
    }),
  );
  return pids.filter((pid) => pid > 0);
}

/** Those of the processes that still run. */
export async function alive(pids: readonly number[]): Promise<number[]> {
  const found = await Promise.all(pids.map(async (pid) => await readProcess(pid)));
  return pids.filter((_, index) => found[index] !== undefined);
}

/** Joins as a swarm, as its own program would. */
export async function joinAs(fabric: Fabric, swarmId: string): ReturnType<typeof joinFabric> {
  const { stdout: creds } = await fabric.run('swarm', 'creds', swarmId);
  const { servers } = JSON.parse(await readFile(join(fabric.dataDir, 'fabric.json'), 'utf8')) as { servers: string[] };
  return await joinFabric({ servers, creds });
}

export async function register(fabric: Fabric, swarmId: string, capabilities: string[] = []): Promise<void> {
  const { client, close } = await joinAs(fabric, swarmId);
  await client.request('swarm', 'register', { capabilities, cost_per_hour: 0 });
  await close();
}
