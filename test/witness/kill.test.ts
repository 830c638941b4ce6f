/** The process of the witness is killed a hundred times while it takes in: its chain is whole, nothing is doubled or lost. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import type { ServiceInstructions } from '../../actors/service-instructions.ts';
import { packBytes } from '../../src/data/codec.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { startFabric, type TestFabric } from '../coordinator/in-process.ts';
import { type TempDir, tempDir, until } from '../support/temp.ts';
import { compileProgram } from './compiled.ts';
import { taskRecord } from './messages.ts';

const kills = 100;
let fabric: TestFabric;
let dir: TempDir;
let nc: NatsConnection;
let jsm: JetStreamManager;
let program: string;
let children: ChildProcess[] = [];

beforeAll(async () => {
  dir = await tempDir();
  program = compileProgram(new URL('../../actors/service-process.ts', import.meta.url), join(dir.path, 'program'));
  fabric = await startFabric();
  nc = await fabric.cluster.connect();
  jsm = await jetstreamManager(nc, { checkAPI: false });
});
afterAll(async () => {
  for (const child of children) if (isRunning(child)) child.kill('SIGKILL');
  await fabric?.stop();
  await dir?.remove();
});

const dataDir = (name: string) => join(dir.path, name);

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}

/** A process of the service; it loads its code while it waits for instructions. */
function launch(): ChildProcess {
  const child = spawn(process.execPath, [program, 'witness', 'witness'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  children = [...children.filter(isRunning), child];
  return child;
}

async function end(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const exited = isRunning(child) ? once(child, 'exit') : undefined;
  child.kill(signal);
  await exited;
}

interface Row {
  chain: string;
  seq: number;
  content_hash: string;
}

/** What the database of a witness says; undefined before there is one. */
function ask<Answer>(name: string, question: (sqlite: Sqlite.Database) => Answer): Answer | undefined {
  const path = join(dataDir(name), 'witness.db');
  if (!existsSync(path)) return undefined;
  const sqlite = new Sqlite(path, { readonly: true });
  try {
    return question(sqlite);
  } catch {
    // Killed before its tables were there.
    return undefined;
  } finally {
    sqlite.close();
  }
}

function count(name: string): number {
  return ask(name, (sqlite) => sqlite.prepare<[], number>('SELECT count(*) FROM entries').pluck().get()) ?? 0;
}

function rows(name: string): Row[] | undefined {
  return ask(name, (sqlite) =>
    sqlite.prepare<[], Row>('SELECT chain, seq, content_hash FROM entries ORDER BY chain, seq').all(),
  );
}

async function lastSeqs(): Promise<number> {
  const infos = fabric.cluster.namespace.auditedStreams.map(async ({ stream }) => await jsm.streams.info(stream));
  return (await Promise.all(infos)).reduce((sum, { state }) => sum + state.last_seq, 0);
}

/** Two streams get some hundreds of messages a second, until it is stopped. */
async function write(signal: AbortSignal): Promise<void> {
  for (let i = 1; !signal.aborted; i++) {
    const record = taskRecord(i);
    nc.publish(fabric.cluster.namespace.actorSubject(record), packBytes(record));
    nc.publish(fabric.cluster.namespace.journalSubject('swarm-1'), packBytes({ id: `e-${i}`, by: 'swarm-1', at: i }));
    if (i % 10 === 0) await delay(20);
  }
  await nc.flush();
}

it(`keeps one whole chain through ${kills} kills`, async () => {
  const { cluster } = fabric;
  const { settings } = await fabric.context('witness', { data_dir: dataDir('killed'), checkpoint_every_ms: 200 });
  const instructions: ServiceInstructions = {
    instance: 'witness',
    namespace: cluster.namespace.name,
    servers: cluster.cluster.servers,
    creds: await cluster.identity.serviceCreds('witness'),
    log_level: 'silent',
    settings,
  };
  const stopping = new AbortController();
  const writing = write(stopping.signal);
  onTestFinished(async () => {
    stopping.abort();
    await writing;
  });
  let next = launch();
  const endedByThemselves: string[] = [];
  let grew = 0;
  let before = 0;
  for (let i = 0; i < kills; i++) {
    const child = next;
    let said: unknown;
    const ready = new Promise<void>((resolve) => {
      child.on('message', (message) => {
        said = message;
        resolve();
      });
    });
    child.send(instructions);
    next = launch();
    // Half of them some time after they have begun, the others at any moment of their start.
    if (i % 2 === 0) await ready;
    await delay(Math.random() * (i % 2 === 0 ? 60 : 250));
    if (!isRunning(child)) {
      // Its supervisor would start it again; on a machine that does nothing else it does not come to this.
      i--;
      endedByThemselves.push(JSON.stringify(said));
      expect(endedByThemselves.length, endedByThemselves.join(', ')).toBeLessThan(kills / 10);
      continue;
    }
    await end(child, 'SIGKILL');
    const after = count('killed');
    if (after > before) grew++;
    before = after;
  }
  stopping.abort();
  await writing;
  // Of those that were killed after they had begun, at least half had stored something.
  expect(grew).toBeGreaterThanOrEqual(kills / 4);
  next.send(instructions);
  const total = await lastSeqs();
  await until('everything is stored', () => count('killed') >= total, 60_000);
  await end(next, 'SIGTERM');

  const { ok, chains } = verifyDatabase(join(dataDir('killed'), 'witness.db'));
  expect(chains.flatMap(({ errors }) => errors)).toEqual([]);
  expect(ok).toBe(true);
  expect(chains.map(({ gaps }) => gaps)).toEqual([0, 0, 0]);
  // A witness that was never disturbed has the very same entries.
  await fabric.witness({ data_dir: dataDir('whole') });
  await until('the other one has everything', () => count('whole') >= total, 60_000);
  expect(rows('killed')).toEqual(rows('whole'));
  process.stdout.write(
    `${kills} kills, ${grew} of them after entries were stored; ${total} entries, each there once\n`,
  );
}, 400_000);
