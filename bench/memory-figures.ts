/** What a fabric holds in memory: the heap of this process after a collection, the nodes, and the log of the actors. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JetStreamManager } from '@nats-io/jetstream';
import { rounded } from './measure.ts';

/** Megabytes of 1,000,000 bytes, but for the counts. */
export interface MemoryFigures {
  readonly heap_mb: number;
  /** Of this process: coordinator, witness and the benchmark itself. */
  readonly rss_mb: number;
  /** Of each nats-server. */
  readonly nodes_mb: readonly number[];
  readonly log_messages: number;
  readonly log_mb: number;
}

const mb = (bytes: number) => rounded(bytes / 1e6, 1);

/** Megabytes that are in use after everything that can be collected was. @throws Error without `--expose-gc` */
export async function heapMb(): Promise<number> {
  if (!globalThis.gc) throw new Error('the heap is measured after a collection: run node with --expose-gc');
  globalThis.gc();
  // What finalizers and weak references held is gone with the second one.
  await new Promise((resolve) => setImmediate(resolve));
  globalThis.gc();
  return mb(process.memoryUsage().heapUsed);
}

export async function memoryFigures(
  jsm: JetStreamManager,
  { stream, dataDir }: { stream: string; dataDir: string },
): Promise<MemoryFigures> {
  const { messages, bytes } = (await jsm.streams.info(stream)).state;
  const nodes = await Promise.all(['n1', 'n2', 'n3'].map(async (name) => await nodeMb(join(dataDir, 'nodes', name))));
  const heap_mb = await heapMb();
  return {
    heap_mb,
    rss_mb: mb(process.memoryUsage.rss()),
    nodes_mb: nodes,
    log_messages: messages,
    log_mb: mb(bytes),
  };
}

async function nodeMb(folder: string): Promise<number> {
  const pid = (await readFile(join(folder, 'pid'), 'utf8')).trim();
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const [, kB = Number.NaN] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? [];
  return mb(Number(kB) * 1_024);
}
