import { existsSync, readFileSync, statSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { jetstream } from '@nats-io/jetstream';
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { obtainServer } from '../../src/cluster/binary.ts';
import { type Cluster, type ClusterOptions, startCluster } from '../../src/cluster/cluster.ts';
import type { ClusterEvent } from '../../src/cluster/events.ts';
import { isHealthy } from '../../src/cluster/health.ts';
import { isPortFree, pickPorts } from '../../src/cluster/ports.ts';
import { readProcess } from '../../src/cluster/process-table.ts';
import { awaitJetStream } from '../../src/cluster/requirements.ts';
import { runningNodes } from '../../src/cluster/survivors.ts';
import { tempDir, until } from '../support/temp.ts';
import { type MintedAuth, mintAuth } from './minted-auth.ts';

let binary: string;
let auth: MintedAuth;
let dir: Awaited<ReturnType<typeof tempDir>>;
let events: ClusterEvent[];
const cleanUps: Array<() => unknown> = [];

beforeAll(async () => {
  binary = (await obtainServer()).path;
  auth = await mintAuth();
});
beforeEach(async () => {
  events = [];
  dir = await tempDir();
  cleanUps.push(dir.remove);
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(options: Partial<ClusterOptions> = {}): Promise<Cluster> {
  const cluster = await startCluster({
    binary,
    dataDir: dir.path,
    nodes: 3,
    storage: 'memory',
    basePort: 0,
    clusterName: 'if-test',
    auth,
    onEvent: (event) => events.push(event),
    ...options,
  });
  cleanUps.push(() => cluster.stop());
  return cluster;
}

async function client(cluster: Cluster): Promise<NatsConnection> {
  const nc = await connect({ servers: [...cluster.servers], authenticator: credsAuthenticator(auth.creds) });
  cleanUps.push(() => nc.close());
  return nc;
}

async function varz(cluster: Cluster, index: number): Promise<Record<string, never>> {
  const answer = await fetch(`http://127.0.0.1:${cluster.nodes[index]?.http_port}/varz`);
  return (await answer.json()) as Record<string, never>;
}

const gone = async (pid: number): Promise<boolean> => (await readProcess(pid)) === undefined;

/** Pids of all nodes that run for this test's data directory, whoever knows of them. */
async function strays(): Promise<string[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const infos = await Promise.all(names.map((name) => readProcess(Number(name))));
  return infos.flatMap((info) => (info?.command.includes(`${dir.path}/nodes`) ? [info.command] : []));
}

describe('a cluster of three', () => {
  it('is healthy on every node, replicates, and listens on loopback only', async () => {
    const cluster = await start();
    expect(cluster.adopted).toBe(0);
    expect(cluster.nodes.map(({ name, state }) => [name, state])).toEqual([
      ['n1', 'running'],
      ['n2', 'running'],
      ['n3', 'running'],
    ]);
    for (const node of cluster.nodes) expect(await isHealthy(node.http_port)).toBe(true);
    const nc = await client(cluster);
    expect(nc.info?.max_payload).toBe(8 * 1024 * 1024);
    const jsm = (await awaitJetStream(nc)).jsm;
    const stream = await jsm.streams.add({ name: 'S', subjects: ['s.>'], storage: 'memory', num_replicas: 3 });
    expect(stream.cluster?.replicas).toHaveLength(2);
    const settings = await varz(cluster, 0);
    expect(settings).toMatchObject({ host: '127.0.0.1', http_host: '127.0.0.1', cluster: { addr: '127.0.0.1' } });
    expect(settings).toMatchObject({ jetstream: { config: { max_memory: 8 * 1024 ** 3 } } });
  });

  it('keeps its state files and folders to their owner', async () => {
    await start();
    for (const path of ['nodes', 'logs', 'nodes/n1', 'nodes/n1/jwt']) {
      expect([path, statSync(join(dir.path, path)).mode & 0o777]).toEqual([path, 0o700]);
    }
    expect(statSync(join(dir.path, 'nodes/n1.json')).mode & 0o777).toBe(0o600);
  });

  it('ends every process and forgets its state files when it is stopped, also when stopped twice', async () => {
    const cluster = await start();
    const pids = cluster.nodes.map((node) => node.pid ?? 0);
    await Promise.all([cluster.stop(), cluster.stop()]);
    await cluster.stop();
    for (const pid of pids) expect(await gone(pid)).toBe(true);
    expect((await readdir(join(dir.path, 'nodes'))).sort()).toEqual(['n1', 'n2', 'n3']);
    expect(cluster.nodes.map((node) => node.state)).toEqual(['stopped', 'stopped', 'stopped']);
    expect(events).toEqual([]);
  });

  it('kills a frozen node when it is stopped', async () => {
    const cluster = await start({ nodes: 1 });
    const pid = cluster.nodes[0]?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    await cluster.stop();
    expect(await gone(pid)).toBe(true);
  });

  it('listens on the ports that were asked for', async () => {
    const base = await consecutivePorts();
    const cluster = await start({ basePort: base });
    expect(cluster.servers).toEqual([0, 1, 2].map((offset) => `nats://127.0.0.1:${base + offset}`));
  });

  it('names a port that is in use and starts nothing', async () => {
    const base = await consecutivePorts();
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(base + 1, '127.0.0.1', resolve));
    cleanUps.push(() => new Promise((resolve) => other.close(resolve)));
    await expect(start({ basePort: base })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringContaining(`port ${base + 1} on 127.0.0.1 is in use`),
    });
    expect(await strays()).toEqual([]);
  });

  it('refuses a port that is none, and a number of nodes that forms no majority', async () => {
    await expect(start({ basePort: 65_534 })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    await expect(start({ nodes: 2 as 3 })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });
});

describe('a node that is killed', () => {
  it('is started again on its ports with its store and takes part in the cluster again', async () => {
    const cluster = await start();
    const nc = await client(cluster);
    const jsm = (await awaitJetStream(nc)).jsm;
    await jsm.streams.add({ name: 'S', subjects: ['s.>'], storage: 'memory', num_replicas: 3 });
    const before = cluster.nodes[1];
    process.kill(before?.pid ?? 0, 'SIGKILL');
    await until('n2 is back', () => events.some((event) => event.type === 'node_restarted'));
    expect(events).toMatchObject([
      { type: 'node_exit', node: 'n2', pid: before?.pid, code: null, signal: 'SIGKILL' },
      { type: 'node_restarted', node: 'n2' },
    ]);
    const after = cluster.nodes[1];
    expect(after).toMatchObject({ port: before?.port, http_port: before?.http_port, state: 'running' });
    expect(after?.pid).not.toBe(before?.pid);
    await until('the stream has three current replicas', async () => {
      const info = await jsm.streams.info('S').catch(() => undefined);
      return info?.cluster?.replicas?.filter((replica) => replica.current).length === 2;
    });
    expect(JSON.parse(readFileSync(join(dir.path, 'nodes/n2.json'), 'utf8'))).toMatchObject({ pid: after?.pid });
  });

  it('gets the accounts again before it starts, as they are then', async () => {
    let writes = 0;
    const counting = {
      environment: auth.environment,
      writeResolver: (folder: string) => {
        writes++;
        return auth.writeResolver(folder);
      },
    };
    const cluster = await start({ nodes: 1, auth: counting });
    expect(writes).toBe(1);
    process.kill(cluster.nodes[0]?.pid ?? 0, 'SIGKILL');
    await until('the node is back', () => events.some((event) => event.type === 'node_restarted'));
    expect(writes).toBe(2);
  });

  it('has failed after too many ends in a row, and stays so', async () => {
    const restart = { backoff: { first: 10, max: 20 }, cap: 2, windowMs: 60_000, settledMs: 10_000 };
    const cluster = await start({ nodes: 1, restart });
    const killed = new Set<number>();
    await until('the node has failed', () => {
      const pid = cluster.nodes[0]?.pid;
      if (pid && !killed.has(pid)) {
        killed.add(pid);
        process.kill(pid, 'SIGKILL');
      }
      return events.at(-1)?.type === 'node_failed';
    });
    expect(killed.size).toBe(3);
    expect(events.at(-1)).toMatchObject({ type: 'node_failed', node: 'n1', restarts: 2 });
    expect(cluster.nodes[0]).toMatchObject({ pid: null, state: 'failed' });
    await cluster.stop();
    expect(await strays()).toEqual([]);
  });

  it('is not started again once the cluster is being stopped', async () => {
    const cluster = await start({ nodes: 1 });
    process.kill(cluster.nodes[0]?.pid ?? 0, 'SIGKILL');
    await until('its end is known', () => events.length > 0);
    await cluster.stop();
    expect(await strays()).toEqual([]);
    expect(cluster.nodes[0]?.state).toBe('stopped');
  });
});

describe('a start', () => {
  it('that is aborted leaves no process', async () => {
    const abort = new AbortController();
    const slow = {
      environment: auth.environment,
      writeResolver: async (folder: string) => {
        await auth.writeResolver(folder);
        if (folder.includes('/n3/')) abort.abort();
      },
    };
    await expect(start({ auth: slow, signal: abort.signal })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await strays()).toEqual([]);
    expect((await readdir(join(dir.path, 'nodes'))).filter((name) => name.endsWith('.json'))).toEqual([]);
  });

  it('that is aborted while the nodes elect their leader leaves no process', async () => {
    const abort = new AbortController();
    const pids = async (): Promise<number[]> => runningNodes(dir.path);
    const frozen = {
      environment: auth.environment,
      writeResolver: async (folder: string) => {
        await auth.writeResolver(folder);
        if (!folder.includes('/n3/')) return;
        // A frozen node keeps the start from succeeding before it is aborted.
        await until('the others run', async () => (await pids()).length === 2);
        process.kill((await pids())[0] ?? 0, 'SIGSTOP');
      },
    };
    const failure = start({ signal: abort.signal, auth: frozen }).catch((error: unknown) => error);
    await until('all nodes run', async () => (await pids()).length === 3);
    abort.abort();
    expect(await failure).toMatchObject({ code: 'UNAVAILABLE', message: 'the start of the cluster was interrupted' });
    expect(await strays()).toEqual([]);
  });

  it('whose node cannot run says why, in the words of the server, and leaves no process', async () => {
    const broken = {
      environment: { ...auth.environment, IF_OPERATOR_JWT: 'nonsense' },
      writeResolver: auth.writeResolver,
    };
    await expect(start({ auth: broken })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/node n\d ended during its start \(exit code 1\).*nats\.conf/s),
    });
    expect(await strays()).toEqual([]);
  });

  it('that takes too long names the node that is not healthy', async () => {
    await expect(start({ startTimeoutMs: 1 })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/not ready within .* n1 \(process \d+/),
    });
    expect(await strays()).toEqual([]);
  });

  it('treats state files of dead processes, and of processes that are no nodes, as stale', async () => {
    const first = await start({ nodes: 1 });
    const file = join(dir.path, 'nodes/n1.json');
    const state = JSON.parse(await readFile(file, 'utf8'));
    const dead = first.nodes[0]?.pid;
    await first.stop();
    for (const pid of [dead, process.pid]) {
      await writeFile(file, JSON.stringify({ ...state, pid }));
      const next = await start({ nodes: 1 });
      expect(next.adopted).toBe(0);
      expect(next.nodes[0]?.pid).not.toBe(pid);
      await next.stop();
    }
    await writeFile(file, '{');
    expect((await start({ nodes: 1 })).adopted).toBe(0);
  });

  it('puts the logs of the run before aside and keeps one generation of them', async () => {
    await (await start({ nodes: 1 })).stop();
    await (await start({ nodes: 1 })).stop();
    await start({ nodes: 1 });
    expect((await readdir(join(dir.path, 'logs'))).sort()).toEqual([
      'n1.err',
      'n1.log',
      'n1.previous.err',
      'n1.previous.log',
    ]);
    expect(readFileSync(join(dir.path, 'logs/n1.log'), 'utf8').match(/Server is ready/g)).toHaveLength(1);
  });
});

describe('storage', () => {
  it('in memory begins empty at each start', async () => {
    const first = await start({ nodes: 1 });
    const jsm = (await awaitJetStream(await client(first))).jsm;
    await jsm.streams.add({ name: 'S', subjects: ['s.>'], storage: 'memory' });
    await first.stop();
    const second = (await awaitJetStream(await client(await start({ nodes: 1 })))).jsm;
    expect(await second.streams.names().next()).toEqual([]);
  });

  it('in files is on disk before it is acknowledged and is there after stop and start', async () => {
    const first = await start({ storage: 'file' });
    expect(await varz(first, 0)).toMatchObject({ jetstream: { config: { sync_always: true } } });
    const nc = await client(first);
    await (await awaitJetStream(nc)).jsm.streams.add({
      name: 'S',
      subjects: ['s.>'],
      storage: 'file',
      num_replicas: 3,
    });
    await jetstream(nc).publish('s.a', 'kept');
    await first.stop();
    // A start in memory between them must not touch the durable store.
    await (await start({ storage: 'memory' })).stop();
    const again = (await awaitJetStream(await client(await start({ storage: 'file' })))).jsm;
    // A stream elects its leader on its own, which may be a moment after its nodes are healthy.
    let message: Awaited<ReturnType<typeof again.streams.getMessage>> = null;
    await until('the stream answers', async () => {
      message = await again.streams.getMessage('S', { last_by_subj: 's.a' }).catch(() => null);
      return message !== null;
    });
    expect(message).toMatchObject({ subject: 's.a', data: new TextEncoder().encode('kept') });
  });

  it('in files of three nodes is not opened by one', async () => {
    await (await start({ storage: 'file' })).stop();
    await expect(start({ storage: 'file', nodes: 1 })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringContaining('durable store of 3 nodes'),
    });
    expect(existsSync(join(dir.path, 'nodes/n2/file'))).toBe(true);
  });
});

/** A port with two free ones after it. */
async function consecutivePorts(): Promise<number> {
  for (;;) {
    const [base = 0] = await pickPorts(1);
    if ((await isPortFree(base + 1)) && (await isPortFree(base + 2))) return base;
  }
}
