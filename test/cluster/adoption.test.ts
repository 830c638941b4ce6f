import type { ChildProcess } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { obtainServer } from '../../src/cluster/binary.ts';
import { type Cluster, type ClusterOptions, type NodeView, startCluster } from '../../src/cluster/cluster.ts';
import type { ClusterEvent } from '../../src/cluster/events.ts';
import { isHealthy } from '../../src/cluster/health.ts';
import { readProcess } from '../../src/cluster/process-table.ts';
import { awaitJetStream } from '../../src/cluster/requirements.ts';
import { runningNodes } from '../../src/cluster/survivors.ts';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { type Identity, openIdentity } from '../../src/identity/identity.ts';
import { Namespace } from '../../src/namespace.ts';
import { ended, firstLine, spawnTypeScript } from '../support/child.ts';
import { tempDir, until } from '../support/temp.ts';

let binary: string;
let dir: Awaited<ReturnType<typeof tempDir>>;
let identity: Identity;
let events: ClusterEvent[];
const pids = new Set<number>();
const cleanUps: Array<() => unknown> = [];

beforeAll(async () => {
  binary = (await obtainServer()).path;
});
beforeEach(async () => {
  events = [];
  dir = await tempDir();
  cleanUps.push(dir.remove);
  identity = await openIdentity(dir.path, new Namespace());
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  for (const pid of pids) await kill(pid);
  pids.clear();
});

const isGone = async (pid: number): Promise<boolean> => (await readProcess(pid)) === undefined;

/** Kills a node of this test's data directory. */
async function kill(pid: number): Promise<void> {
  if (!(await readProcess(pid))?.command.includes(dir.path)) return;
  process.kill(pid, 'SIGKILL');
  await until(`process ${pid} is gone`, () => isGone(pid));
}

/** A cluster whose starter is killed with its whole process group, as a terminal would, right after it was ready. */
async function abandonedCluster(nodes: 1 | 3): Promise<NodeView[]> {
  const child = starter(nodes);
  const views = JSON.parse(await firstLine(child)) as NodeView[];
  for (const view of views) pids.add(view.pid ?? 0);
  process.kill(-(child.pid ?? 0), 'SIGKILL');
  expect(await ended(child)).toBe('SIGKILL');
  return views;
}

function starter(nodes: 1 | 3, then = 'stay'): ChildProcess {
  const child = spawnTypeScript(new URL('./starter.ts', import.meta.url), [binary, dir.path, String(nodes), then]);
  cleanUps.push(() => child.kill('SIGKILL'));
  return child;
}

async function start(options: Partial<ClusterOptions> = {}): Promise<Cluster> {
  const cluster = await startCluster({
    binary,
    dataDir: dir.path,
    nodes: 3,
    storage: 'memory',
    basePort: 0,
    clusterName: 'if-next',
    auth: identity,
    onEvent: (event) => events.push(event),
    ...options,
  });
  cleanUps.push(() => cluster.stop());
  return cluster;
}

async function operator(servers: readonly string[]): Promise<NatsConnection> {
  const { authenticator, inboxPrefix } = authFromCreds(await identity.operatorCreds());
  const nc = await connect({ servers: [...servers], authenticator, inboxPrefix });
  cleanUps.push(() => nc.close());
  return nc;
}

async function remember(nodes: readonly NodeView[]): Promise<void> {
  const nc = await operator(nodes.map((node) => `127.0.0.1:${node.port}`));
  const { jsm } = await awaitJetStream(nc);
  await jsm.streams.add({ name: 'S', subjects: ['s.>'], storage: 'memory', num_replicas: nodes.length });
  await jetstream(nc).publish('s.a', 'kept');
  await nc.close();
}

async function remembered(cluster: Cluster): Promise<string | undefined> {
  const jsm = await jetstreamManager(await operator(cluster.servers), { checkAPI: false, timeout: 1_000 });
  let text: string | undefined;
  await until('the stream answers', async () => {
    text = (await jsm.streams.getMessage('S', { last_by_subj: 's.a' }).catch(() => null))?.string();
    return text !== undefined;
  });
  return text;
}

describe('nodes whose starter was killed', () => {
  it('are adopted with their memory, watched, and stopped like any others', async () => {
    const before = await abandonedCluster(3);
    await remember(before);
    expect(await runningNodes(dir.path)).toEqual(before.map((node) => node.pid));

    const cluster = await start();
    expect(cluster.adopted).toBe(3);
    expect(cluster.name).toBe('if-starter');
    expect(cluster.nodes).toEqual(before);
    expect(await remembered(cluster)).toBe('kept');

    await kill(before[0]?.pid ?? 0);
    await until('n1 is back', () => events.some((event) => event.type === 'node_restarted'));
    expect(events).toMatchObject([
      { type: 'node_exit', node: 'n1', pid: before[0]?.pid, code: null, signal: null },
      { type: 'node_restarted', node: 'n1' },
    ]);
    expect(await remembered(cluster)).toBe('kept');

    await cluster.stop();
    for (const pid of pids) expect(await isGone(pid)).toBe(true);
    expect(await runningNodes(dir.path)).toEqual([]);
  });

  it('are completed by those that are missing, on their former ports', async () => {
    const before = await abandonedCluster(3);
    await remember(before);
    await kill(before[2]?.pid ?? 0);
    const cluster = await start();
    expect(cluster.adopted).toBe(2);
    expect(cluster.nodes.map((node) => node.port)).toEqual(before.map((node) => node.port));
    expect(cluster.nodes[2]?.pid).not.toBe(before[2]?.pid);
    for (const node of cluster.nodes) expect(await isHealthy(node.http_port)).toBe(true);
    expect(await remembered(cluster)).toBe('kept');
  });

  it('are found by their pid file when the starter died before it could record their process', async () => {
    const before = await abandonedCluster(1);
    const file = join(dir.path, 'nodes/n1.json');
    const state = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...state, pid: null, start_time: null }));
    const cluster = await start({ nodes: 1 });
    expect(cluster.nodes).toEqual(before);
  });

  it('are neither adopted as something else nor killed', async () => {
    const before = await abandonedCluster(1);
    const port = before[0]?.port ?? 0;
    for (const [options, message] of [
      [{ nodes: 3 }, 'in a cluster of 1, and 3 was asked for'],
      [{ nodes: 1, storage: 'file' }, 'with storage memory, and file was asked for'],
      [{ nodes: 1, basePort: port + 1 }, `on port ${port}, and ports from ${port + 1} on were asked for`],
    ] as const) {
      await expect(start(options)).rejects.toMatchObject({
        code: 'INVALID_REQUEST',
        message: expect.stringContaining(message),
      });
    }
    expect(await isGone(before[0]?.pid ?? 0)).toBe(false);
    expect((await start({ nodes: 1, basePort: port })).adopted).toBe(1);
  });

  it('are not overwritten when their state file is lost, but named', async () => {
    const [node] = await abandonedCluster(1);
    await writeFile(join(dir.path, 'nodes/n1.json'), '{"pid":');
    await expect(start({ nodes: 1 })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining(`runs as process ${node?.pid}`),
    });
    expect(await isGone(node?.pid ?? 0)).toBe(false);
  });

  it('stay as they are when the start that would adopt them is aborted', async () => {
    const before = await abandonedCluster(3);
    await kill(before[1]?.pid ?? 0);
    const abort = new AbortController();
    const auth = {
      environment: identity.environment,
      writeResolver: async (folder: string) => {
        await identity.writeResolver(folder);
        abort.abort();
      },
    };
    await expect(start({ auth, signal: abort.signal })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await runningNodes(dir.path)).toEqual([before[0]?.pid, before[2]?.pid]);
  });

  it('are forgotten when all of them are dead: the next start is a clean one', async () => {
    const before = await abandonedCluster(3);
    for (const node of before) await kill(node.pid ?? 0);
    const cluster = await start();
    expect(cluster.adopted).toBe(0);
    expect(cluster.name).toBe('if-next');
  });
});

describe('a process that started a cluster', () => {
  it('can end by itself and leaves the nodes running', async () => {
    const child = starter(1, 'leave');
    const [node] = JSON.parse(await firstLine(child)) as NodeView[];
    pids.add(node?.pid ?? 0);
    expect(await ended(child)).toBe(0);
    expect(await isHealthy(node?.http_port ?? 0)).toBe(true);
  });
});
