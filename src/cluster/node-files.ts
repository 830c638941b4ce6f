/**
 * Where a node keeps things below the data directory, and the state file by which a later start finds it again. All of
 * it is readable by its owner only.
 */
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FabricError } from '../errors.ts';

export type Storage = 'memory' | 'file';

/** The state file: which process runs a node, and what the nodes beside it must know about it. */
const nodeState = z.object({
  name: z.string(),
  /** Null between the decision to start the node and its start. */
  pid: z.number().int().positive().nullable(),
  /** As {@link ProcessInfo.start_time}. */
  start_time: z.string().nullable(),
  port: z.number().int(),
  route_port: z.number().int(),
  http_port: z.number().int(),
  version: z.string(),
  storage: z.enum(['memory', 'file']),
  /** How many nodes the cluster has. */
  nodes: z.number().int(),
  cluster_name: z.string(),
});
export type NodeState = z.infer<typeof nodeState>;

export class NodeFiles {
  readonly name: string;
  readonly folder: string;
  readonly logs: string;

  constructor(dataDir: string, name: string) {
    this.name = name;
    this.folder = join(dataDir, 'nodes', name);
    this.logs = join(dataDir, 'logs');
  }

  get state(): string {
    return `${this.folder}.json`;
  }
  /** Written by the node itself. Its path is in the node's command line, by which the process is recognized. */
  get pidFile(): string {
    return join(this.folder, 'pid');
  }
  get accounts(): string {
    return join(this.folder, 'jwt');
  }
  /** Written by the node, which keeps it small. */
  get log(): string {
    return join(this.logs, `${this.name}.log`);
  }
  /** Standard output and error: what a node says before it has a log, and its last words. */
  get lastWords(): string {
    return join(this.logs, `${this.name}.err`);
  }

  /** Memory and file storage have separate stores, so that a start in memory never clears a durable store. */
  store(storage: Storage): string {
    return join(this.folder, storage);
  }

  async makeFolders(storage: Storage): Promise<void> {
    for (const folder of [this.store(storage), this.accounts, this.logs]) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    }
  }

  async clearStore(storage: Storage): Promise<void> {
    await rm(this.store(storage), { recursive: true, force: true });
  }

  /** Whether the node has ever had a durable store here. */
  async hasDurableStore(): Promise<boolean> {
    return stat(this.store('file')).then(
      () => true,
      () => false,
    );
  }

  /** Puts the logs of earlier runs aside; one generation of them is kept. */
  async rotateLogs(): Promise<void> {
    for (const file of [this.log, this.lastWords]) {
      const aside = file.replace(/(\.\w+)$/, '.previous$1');
      await rename(file, aside).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    }
  }

  /** Undefined when there is no state file, or none that can be understood: then nothing is known of the node. */
  async readState(): Promise<NodeState | undefined> {
    try {
      return nodeState.parse(JSON.parse(await readFile(this.state, 'utf8')));
    } catch {
      return undefined;
    }
  }

  async writeState(state: NodeState): Promise<void> {
    const next = `${this.state}.next`;
    await writeFile(next, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
    await rename(next, this.state);
  }

  async forget(): Promise<void> {
    await rm(this.state, { force: true });
    await rm(this.pidFile, { force: true });
  }

  /** The process id that the node wrote itself. */
  async readPid(): Promise<number | undefined> {
    const text = await readFile(this.pidFile, 'utf8').catch(() => '');
    return /^\d+\s*$/.test(text) ? Number(text) : undefined;
  }

  /** The last complaints of the node in this run, for messages: at most `lines` lines. */
  async complaints(lines = 3): Promise<string[]> {
    const texts = await Promise.all([this.lastWords, this.log].map((file) => readFile(file, 'utf8').catch(() => '')));
    const [words = '', log = ''] = texts;
    const all = [...words.split('\n'), ...log.split('\n').filter((line) => /\[(FTL|ERR)\]/.test(line))];
    return all.filter((line) => line.trim() !== '').slice(-lines);
  }
}

/** The data directory of a cluster must be absolute, since a node's command line is recognized by it. */
export async function makeDataDir(dataDir: string): Promise<void> {
  try {
    await mkdir(join(dataDir, 'nodes'), { recursive: true, mode: 0o700 });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FabricError('INVALID_REQUEST', `the data directory ${dataDir} cannot be used: ${why}. Choose another.`);
  }
}
