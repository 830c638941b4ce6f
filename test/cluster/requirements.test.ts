import { type ChildProcess, spawn } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { obtainServer } from '../../src/cluster/binary.ts';
import { startCluster } from '../../src/cluster/cluster.ts';
import { pickPorts } from '../../src/cluster/ports.ts';
import { checkServers } from '../../src/cluster/requirements.ts';
import { ended } from '../support/child.ts';
import { startTestCluster } from '../support/cluster.ts';
import { tempDir, until } from '../support/temp.ts';
import { mintAuth } from './minted-auth.ts';

let binary: string;
const cleanUps: Array<() => unknown> = [];

beforeAll(async () => {
  binary = (await obtainServer()).path;
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A server that InfraFabric did not configure. */
async function foreignServer(args: readonly string[]): Promise<NatsConnection> {
  const [port = 0] = await pickPorts(1);
  const child: ChildProcess = spawn(binary, ['-a', '127.0.0.1', '-p', String(port), ...args], { stdio: 'ignore' });
  cleanUps.push(async () => {
    child.kill('SIGKILL');
    await ended(child);
  });
  let nc: NatsConnection | undefined;
  await until('the server answers', async () => {
    nc = await connect({ servers: `127.0.0.1:${port}`, reconnect: false }).catch(() => undefined);
    return nc !== undefined;
  });
  if (!nc) throw new Error('not connected');
  const connection = nc;
  cleanUps.push(() => connection.close());
  return connection;
}

async function withoutJetStream(): Promise<NatsConnection> {
  const dir = await tempDir();
  cleanUps.push(dir.remove);
  const auth = await mintAuth({ jetstream: false });
  const cluster = await startCluster({
    binary,
    dataDir: dir.path,
    nodes: 1,
    storage: 'memory',
    basePort: 0,
    clusterName: 'if-test',
    auth,
  });
  cleanUps.push(() => cluster.stop());
  const nc = await connect({ servers: [...cluster.servers], authenticator: credsAuthenticator(auth.creds) });
  cleanUps.push(() => nc.close());
  return nc;
}

describe('the check of servers that are used with --servers', () => {
  it('accepts a server that can carry a fabric, and leaves nothing on it', async () => {
    const own = await startTestCluster();
    cleanUps.push(own.stop);
    const nc = await own.connect();
    await checkServers(nc);
    expect(await (await jetstreamManager(nc)).streams.names().next()).toEqual([]);
  });

  it('accepts a plain server with JetStream on', async () => {
    const dir = await tempDir();
    cleanUps.push(dir.remove);
    await checkServers(await foreignServer(['-js', '-sd', dir.path]));
  });

  it('says that JetStream is not enabled on the server', async () => {
    await expect(checkServers(await foreignServer([]))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('JetStream is not enabled for this account'),
    });
  });

  it('says that JetStream is not enabled for the account', async () => {
    await expect(checkServers(await withoutJetStream())).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('JetStream is not enabled for this account'),
    });
  });

  it('names a server that is too old', async () => {
    await expect(checkServers(await oldServer())).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/is 2\.11\.9; .* 2\.12\.0 or newer/),
    });
  });
});

/** Stands for a server of a version that cannot be had here: it greets as that one does. */
async function oldServer(): Promise<NatsConnection> {
  const info = {
    server_id: 'OLD',
    version: '2.11.9',
    proto: 1,
    max_payload: 1_048_576,
    headers: true,
    jetstream: true,
  };
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    socket.on('data', (data) => {
      if (data.includes('PING\r\n')) socket.write('PONG\r\n');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => new Promise((resolve) => server.close(resolve)));
  const nc = await connect({ servers: `127.0.0.1:${(server.address() as AddressInfo).port}`, reconnect: false });
  cleanUps.push(() => nc.close());
  return nc;
}
