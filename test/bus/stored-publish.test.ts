import { DiscardPolicy, type JetStreamManager, jetstreamManager, StorageType } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { publishStored, type Stored } from '../../src/bus/stored-publish.ts';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { newId } from '../../src/store/unique-id.ts';
import { type SwallowingProxy, startProxy } from '../store/swallowing-proxy.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';

let cluster: TestCluster;
let jsm: JetStreamManager;
let proxy: SwallowingProxy;
let nc: NatsConnection;

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: 1 });
  jsm = await jetstreamManager(await cluster.connect(), { checkAPI: false });
  await jsm.streams.add({
    name: 'BOX',
    subjects: ['box.>'],
    storage: StorageType.Memory,
    discard: DiscardPolicy.New,
    discard_new_per_subject: true,
    max_msgs_per_subject: 2,
    max_bytes: 1_000,
  });
  proxy = await startProxy(Number(new URL(cluster.cluster.servers[0]!).port));
  const { authenticator, inboxPrefix } = authFromCreds(await cluster.identity.operatorCreds());
  const servers = [`127.0.0.1:${proxy.port}`];
  const patience = { ignoreClusterUpdates: true, maxReconnectAttempts: -1, reconnectTimeWait: 50 };
  nc = await connect({ servers, authenticator, inboxPrefix, ...patience });
});
afterAll(async () => {
  await nc?.close();
  await proxy?.stop();
  await cluster?.stop();
});

async function publish(subject: string, options: { bytes?: number; deadline?: number } = {}): Promise<Stored> {
  const h = headers();
  h.set('Nats-Msg-Id', newId());
  return await publishStored(nc, subject, new Uint8Array(options.bytes ?? 1), {
    headers: h,
    deadline: options.deadline ?? Date.now() + 15_000,
    what: 'the message',
  });
}

const stored = async () => (await jsm.streams.info('BOX')).state.messages;

it('stores a message once whose answer was lost', async () => {
  proxy.lose('answers');
  const publishing = publish('box.lost');
  await until('it is stored', async () => (await stored()) === 1);
  proxy.cut();
  expect(await publishing).toEqual({ seq: 1, duplicate: true });
  expect(await stored()).toBe(1);
});

it('leaves the outcome open when there is no answer by the deadline', async () => {
  proxy.lose('requests');
  await expect(publish('box.lost', { deadline: Date.now() + 100 })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(/the message was not stored in time/),
  });
  proxy.cut();
});

it('says which of the two is full, the subject or the stream', async () => {
  await publish('box.few');
  await publish('box.few');
  expect(await publish('box.few')).toEqual({ refused: 'subject_full' });
  expect(await publish('box.much', { bytes: 1_000 })).toEqual({ refused: 'stream_full' });
});
