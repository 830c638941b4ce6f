import { type JetStreamManager, jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { openIdentity } from '../../src/identity/identity.ts';
import { openMailboxGate } from '../../src/identity/mailbox-gate.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';
import { makeStreams } from './fabric-streams.ts';
import { inOtherProcess } from './other-process.ts';

let fabric: TestCluster;
let service: NatsConnection;
let system: NatsConnection;
let jsm: JetStreamManager;

beforeAll(async () => {
  fabric = await startTestCluster();
  service = await fabric.connect(await fabric.identity.serviceCreds('coordinator'));
  openMailboxGate(service, fabric.namespace);
  system = await fabric.connect(await fabric.identity.systemCreds());
  ({ jsm } = await makeStreams(service, fabric.namespace, ['beta']));
  service.subscribe('if.command.*.echo.*', { callback: (_, message) => void message.respond(message.data) });
  await service.flush();
});
afterAll(() => fabric?.stop());

/** How one node answers these credentials. */
async function nodeAnswers(server: string, creds: string): Promise<'accepted' | 'refused'> {
  const { authenticator, inboxPrefix } = authFromCreds(creds);
  try {
    await (await connect({ servers: [server], authenticator, inboxPrefix, reconnect: false })).close();
    return 'accepted';
  } catch (error) {
    expect((error as Error).name).toMatch(/^(AuthorizationError|UserAuthenticationExpiredError)$/);
    return 'refused';
  }
}

/** Whether the echo service answers the swarm yet: nodes learn of new subscriptions a moment later. */
const isServed = (connection: NatsConnection, swarm: string) =>
  connection.request(`if.command.${swarm}.echo.x`).then(
    () => true,
    () => false,
  );

const everyNodeAnswers = (creds: string) => Promise.all(fabric.cluster.servers.map((s) => nodeAnswers(s, creds)));
const refused = ['refused', 'refused', 'refused'];
const accepted = ['accepted', 'accepted', 'accepted'];

describe('credentials that expire', () => {
  it('are refused when they have expired', async () => {
    const then = Date.now() - 60_000;
    const past = await openIdentity(fabric.dataDir, fabric.namespace, { now: () => then });
    const creds = await past.mintSwarm('late', { expiresAt: then + 30_000 });
    expect(await everyNodeAnswers(creds)).toEqual(refused);
  });

  it('end a connection when they expire, not before', async () => {
    const expiresAt = Date.now() + 2_500;
    const creds = await fabric.identity.mintSwarm('brief', { expiresAt });
    const swarm = await fabric.connect(creds);
    await until('the service answers', () => isServed(swarm, 'brief'));
    const told: string[] = [];
    for await (const status of swarm.status()) {
      if (status.type === 'error') told.push(status.error.message);
    }
    await swarm.closed();
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt);
    expect(told.join()).toMatch(/expired/i);
    // Nodes count in whole seconds.
    await until('all nodes refuse them', async () => !(await everyNodeAnswers(creds)).includes('accepted'));
  });
});

describe('credentials that are revoked', () => {
  it('end at once on all nodes, for good, while others go on and later ones are accepted', async () => {
    const { identity, cluster } = fabric;
    const creds = [await identity.mintSwarm('alpha'), await identity.mintSwarm('alpha')];
    const alphas = await Promise.all(creds.map((text) => fabric.connect(text)));
    const beta = await fabric.connect(await identity.mintSwarm('beta'));
    await until('the service answers', () => isServed(alphas[0]!, 'alpha'));
    const live: string[] = [];
    beta.subscribe('if.event.task.>', { callback: (_, message) => void live.push(message.subject) });
    await beta.flush();

    expect(await identity.revokeSwarm('alpha')).toBe(2);
    expect(await identity.publishAccount(system)).toBe(3);

    for (const alpha of alphas) expect(String(await alpha.closed())).toMatch(/revoked|authorization/i);
    for (const text of creds) expect(await everyNodeAnswers(text)).toEqual(refused);
    expect(await everyNodeAnswers(await identity.mintSwarm('alpha'))).toEqual(accepted);

    // The connection of the other swarm noticed nothing: commands, events and mailbox still work on it.
    expect(beta.isClosed()).toBe(false);
    expect((await beta.request('if.command.beta.echo.x', 'still')).string()).toBe('still');
    await jetstream(service).publish('$KV.IF_actors.task.P0.1', 'record');
    await until('the event arrives', () => live.length > 0);
    expect(live).toEqual(['if.event.task.P0.1']);
    await jetstream(service).publish('if.inbox.beta.task', 'mail');
    for (let i = 0; i < 20; i++) await jetstream(beta).consumers.get('IF_inbox', 'inbox-beta');
    const mail = await (await jetstream(beta).consumers.get('IF_inbox', 'inbox-beta')).next({ expires: 5_000 });
    expect([mail?.string(), await mail?.ackAck()]).toEqual(['mail', true]);
    expect(cluster.nodes.every((node) => node.state === 'running')).toBe(true);
  });

  it('stay refused by a node that is killed and restarted, also those that were revoked meanwhile', async () => {
    const { identity, cluster } = fabric;
    const before = await identity.mintSwarm('gamma');
    const during = await identity.mintSwarm('delta');
    const other = await identity.mintSwarm('epsilon');
    expect(await everyNodeAnswers(during)).toEqual(accepted);
    await identity.revokeSwarm('gamma');
    await identity.publishAccount(system);
    for (const [index, { name, pid }] of cluster.nodes.entries()) {
      process.kill(pid!, 'SIGKILL');
      if (index === 0) {
        await identity.revokeSwarm('delta');
        await identity.publishAccount(system);
      }
      await until(`${name} runs again`, () => {
        const node = cluster.nodes[index];
        return node?.state === 'running' && node.pid !== null && node.pid !== pid;
      });
      const server = cluster.servers[index]!;
      expect(await nodeAnswers(server, before)).toBe('refused');
      expect(await nodeAnswers(server, during)).toBe('refused');
      expect(await nodeAnswers(server, other)).toBe('accepted');
    }
    expect(await everyNodeAnswers(before)).toEqual(refused);
    await until('the streams have leaders again', () =>
      jsm.streams.info('IF_inbox').then(
        () => true,
        () => false,
      ),
    );
    const swarm = await fabric.connect(other);
    await until('swarms are served again', () => isServed(swarm, 'epsilon'));
  });

  it('are all refused when two processes revoke at the same time', async () => {
    const { identity, namespace, dataDir } = fabric;
    const swarms = ['one', 'two', 'three', 'four'];
    const creds = await Promise.all(swarms.map((swarm) => identity.mintSwarm(swarm)));
    await Promise.all(
      swarms.map(async (swarm) => {
        const own = await openIdentity(dataDir, namespace);
        await own.revokeSwarm(swarm);
        await own.publishAccount(system);
      }),
    );
    for (const text of creds) expect(await everyNodeAnswers(text)).toEqual(refused);
  });

  it('fail to be published with a clear error when no node answers', async () => {
    const { cluster, identity } = fabric;
    const lonely = await connect({ servers: [...cluster.servers], ...authFromCreds(await identity.serviceCreds('x')) });
    // A connection outside the system account reaches no node.
    await expect(identity.publishAccount(lonely)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await lonely.close();
  });
});

describe('credentials from processes that mint at once', () => {
  it('are all accepted without telling the nodes anything', async () => {
    const creds = await Promise.all(['left', 'right'].map((id) => inOtherProcess(fabric.dataDir, 'mint', id)));
    for (const text of creds) expect(await everyNodeAnswers(String(text))).toEqual(accepted);
  });
});
