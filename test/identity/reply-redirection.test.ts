/**
 * NATS does not check reply subjects: whoever may ask a server anything may have the answer published anywhere in his
 * account. A swarm may ask three things about its mailbox; these tests try to write, delete and act for others with them.
 */
import { type JetStreamManager, jetstream } from '@nats-io/jetstream';
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openMailboxGate } from '../../src/identity/mailbox-gate.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';
import { makeStreams, stateOf } from './fabric-streams.ts';

let fabric: TestCluster;
let service: NatsConnection;
let alpha: NatsConnection;
let jsm: JetStreamManager;
let names: string[];
const commands: Msg[] = [];

beforeAll(async () => {
  fabric = await startTestCluster();
  const { identity, namespace } = fabric;
  service = await fabric.connect(await identity.serviceCreds('coordinator'));
  openMailboxGate(service, fabric.namespace);
  ({ jsm, names } = await makeStreams(service, namespace, ['alpha', 'beta', 'operator']));
  alpha = await fabric.connect(await identity.mintSwarm('alpha'));
  service.subscribe('if.command.>', { callback: (_, message) => void commands.push(message) });
  await service.flush();
  for (const to of ['alpha', 'beta']) {
    for (let i = 0; i < 200; i++) await jetstream(service).publish(`if.inbox.${to}.task`, `${to} ${i}`);
  }
});
afterAll(() => fabric?.stop());

/** Asks everything that a swarm may ask, with this reply subject, and waits until the answers have been sent. */
async function askWithReply(connection: NatsConnection, reply: string, consumer = 'inbox-alpha'): Promise<void> {
  const own = `_INBOX_${connection === alpha ? 'alpha' : 'operator'}.done`;
  let done = 0;
  const subscription = connection.subscribe(own, { callback: () => void done++ });
  const mailbox = await jetstream(connection).consumers.get('IF_inbox', consumer);
  const held = [await mailbox.next({ expires: 5_000 }), await mailbox.next({ expires: 5_000 })];
  const questions: Array<[string, string]> = [
    [`$JS.API.CONSUMER.INFO.IF_inbox.${consumer}`, ''],
    [`$JS.API.CONSUMER.MSG.NEXT.IF_inbox.${consumer}`, '{"batch":1,"no_wait":true}'],
    [`$JS.API.CONSUMER.MSG.NEXT.IF_inbox.${consumer}`, '1'],
    [`$JS.API.CONSUMER.MSG.NEXT.IF_inbox.${consumer}`, 'malformed'],
  ];
  for (const [index, message] of held.entries()) {
    expect(message).not.toBeNull();
    // The reply subject of a delivered message is where it is acknowledged; the answer to that is empty.
    questions.push([ackSubject(message), index === 0 ? '+ACK' : '+NXT {"batch":1}']);
  }
  for (const [subject, body] of questions) connection.publish(subject, body, { reply });
  // Each is asked once more with an honest reply subject: when these are answered, so were those.
  for (const [subject, body] of questions.slice(0, 2)) connection.publish(subject, body, { reply: own });
  await connection.flush();
  await until('the answers were sent', () => done >= 2);
  subscription.unsubscribe();
}

function ackSubject(message: unknown): string {
  const { reply } = (message ?? {}) as { reply?: string };
  return reply ?? '';
}

const mailboxOf = async (swarm: string) => {
  const { delivered, ack_floor, num_ack_pending } = await jsm.consumers.info('IF_inbox', `inbox-${swarm}`);
  return { delivered: delivered.consumer_seq, acked: ack_floor.stream_seq, num_ack_pending };
};

describe('with reply subjects of its choosing a swarm cannot (R29)', () => {
  it.each([
    ['overwrite a record', '$KV.IF_actors.task.P0'],
    ['write into the event bus', '$KV.IF_bus.x'],
    ['write into the journal', 'if.journal.beta'],
    ['set a timer', 'if.timer.task.P0'],
    ['put a message into the mailbox of another', 'if.inbox.beta.task'],
    ['delete a stream', '$JS.API.STREAM.DELETE.IF_journal'],
    ['purge a stream', '$JS.API.STREAM.PURGE.KV_IF_actors'],
    ['delete the consumer of another', '$JS.API.CONSUMER.DELETE.IF_inbox.inbox-beta'],
    ['take a message out of the mailbox of another', '$JS.API.CONSUMER.MSG.NEXT.IF_inbox.inbox-beta'],
    ['make a leader step down', '$JS.API.STREAM.LEADER.STEPDOWN.KV_IF_actors'],
    ['reach the system account', '$SYS.REQ.CLAIMS.DELETE'],
  ])('%s', async (_, reply) => {
    const before = [await stateOf(jsm, names), await mailboxOf('beta')];
    await askWithReply(alpha, reply);
    expect([await stateOf(jsm, names), await mailboxOf('beta')]).toEqual(before);
  });

  it('acknowledge a message of another', async () => {
    const beta = await fabric.connect(await fabric.identity.mintSwarm('beta'));
    const message = await (await jetstream(beta).consumers.get('IF_inbox', 'inbox-beta')).next({ expires: 5_000 });
    const before = await mailboxOf('beta');
    await askWithReply(alpha, ackSubject(message));
    expect(await mailboxOf('beta')).toEqual(before);
    expect(await message?.ackAck()).toBe(true);
  });

  it.each(['beta', 'operator'])(
    'have a command of %s carried out: it has no reply subject of that caller',
    async (id) => {
      commands.length = 0;
      await askWithReply(alpha, `if.command.${id}.task.claim`);
      expect(commands.filter(({ reply }) => reply?.startsWith(`_INBOX_${id}.`))).toEqual([]);
    },
  );
});

describe('in the account of the streams', () => {
  it('the same questions do overwrite records, which is why swarms have an account of their own', async () => {
    const operator = await fabric.connect();
    for (let i = 0; i < 5; i++) await jetstream(service).publish('if.inbox.operator.approval', `${i}`);
    const before = await jsm.streams.info('KV_IF_actors');
    await askWithReply(operator, '$KV.IF_actors.task.P0', 'inbox-operator');
    await until('records were written', async () => {
      return (await jsm.streams.info('KV_IF_actors')).state.last_seq > before.state.last_seq;
    });
  });
});
