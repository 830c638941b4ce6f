import { AckPolicy, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { openMailboxGate } from '../../src/identity/mailbox-gate.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';
import { makeStreams, stateOf, subscriptionIs } from './fabric-streams.ts';

let fabric: TestCluster;
let service: NatsConnection;
let alpha: NatsConnection;
let beta: NatsConnection;
let operator: NatsConnection;
let jsm: JetStreamManager;
let names: string[];

beforeAll(async () => {
  fabric = await startTestCluster();
  const { identity, namespace } = fabric;
  service = await fabric.connect(await identity.serviceCreds('coordinator'));
  openMailboxGate(service, fabric.namespace);
  ({ jsm, names } = await makeStreams(service, namespace, ['alpha', 'beta']));
  alpha = await fabric.connect(await identity.mintSwarm('alpha'));
  beta = await fabric.connect(await identity.mintSwarm('beta'));
  operator = await fabric.connect();
  // Says to whom it would answer; services check that this is the caller.
  service.subscribe('if.command.*.echo.*', {
    queue: 'echo',
    callback: (_, message) => {
      message.respond(JSON.stringify({ subject: message.subject, reply: message.reply }));
    },
  });
  await service.flush();
  await until('the service answers', () => alpha.request('if.command.alpha.echo.up').then(...isAnswer));
});
afterAll(() => fabric?.stop());

const isAnswer = [() => true, () => false] as const;

describe('a swarm can', () => {
  it('send its own commands, and the service sees the subject and reply subject as the swarm wrote them', async () => {
    const seen = (await alpha.request('if.command.alpha.echo.hello')).json<{ subject: string; reply: string }>();
    expect(seen.subject).toBe('if.command.alpha.echo.hello');
    expect(seen.reply).toMatch(/^_INBOX_alpha\./);
  });

  it.each(['_INBOX_alpha.a', '_INBOX_alpha.a.b', '_INBOX_alpha.a.b.c'])('get its replies on %s', async (reply) => {
    const replies: string[] = [];
    const subscription = alpha.subscribe('_INBOX_alpha.>', { callback: (_, m) => void replies.push(m.subject) });
    alpha.publish('if.command.alpha.echo.hello', '', { reply });
    await until('the reply arrives', () => replies.includes(reply));
    subscription.unsubscribe();
    expect(replies.filter((subject) => subject === reply)).toEqual([reply]);
  });

  it('see at once that no service answers', async () => {
    await expect(alpha.request('if.command.alpha.nobody.home')).rejects.toThrow(/no responders/);
  });

  it.each([
    ['if.event.task.>', ['task.P0', 'task.P0.1', 'task.P0.1.2', 'task.a.b.c.d.e.f']],
    ['if.event.task.P7', ['task.P7']],
    ['if.event.blocker.>', ['blocker.b1', 'blocker.b.1.2']],
    ['if.event.swarm.alpha', ['swarm.alpha']],
    ['if.event.execution.alpha.>', ['execution.alpha.t', 'execution.alpha.t.1.2']],
    ['if.event.request.alpha.>', ['request.alpha.t', 'request.alpha.t.1.2']],
  ])('follow %s and gets every event once', async (subject, keys) => {
    const events: string[] = [];
    const subscription = alpha.subscribe(subject, {
      callback: (_, m) => void events.push(`${m.subject} ${m.string()} ${m.headers?.get('IF-N')}`),
    });
    await alpha.flush();
    await until('the subscription is known to all nodes', async () => {
      await jetstream(service).publish(`$KV.IF_actors.${keys[0]}`, 'first');
      return events.length > 0;
    });
    const marked = headers();
    marked.set('IF-N', '7');
    for (const key of keys) await jetstream(service).publish(`$KV.IF_actors.${key}`, 'record', { headers: marked });
    await until('the last event arrives', () => events.some((e) => e === `if.event.${keys.at(-1)} record 7`));
    await alpha.request('if.command.alpha.echo.sync');
    subscription.unsubscribe();
    expect(events.filter((event) => event.endsWith('record 7'))).toEqual(keys.map((k) => `if.event.${k} record 7`));
  });

  it('read its mailbox through the consumer that was made for it, and acknowledge', async () => {
    for (const type of ['task', 'help', 'control']) await jetstream(service).publish(`if.inbox.alpha.${type}`, type);
    const mailbox = await jetstream(alpha).consumers.get('IF_inbox', 'inbox-alpha');
    const first = await mailbox.next({ expires: 10_000 });
    expect([first?.subject, first?.string(), await first?.ackAck()]).toEqual(['if.inbox.alpha.task', 'task', true]);
    const read: string[] = [];
    for await (const message of await mailbox.consume()) {
      read.push(message.string());
      message.ack();
      if (read.length === 2) break;
    }
    expect(read).toEqual(['help', 'control']);
    await until('all are acknowledged', async () => {
      const { num_ack_pending, num_pending } = await jsm.consumers.info('IF_inbox', 'inbox-alpha');
      return num_ack_pending + num_pending === 0;
    });
  });

  it('read its mailbox through any node', async () => {
    const creds = await fabric.identity.mintSwarm('alpha');
    for (const server of fabric.cluster.servers) {
      await jetstream(service).publish('if.inbox.alpha.task', server);
      const connection = await connect({ servers: [server], ...authFromCreds(creds) });
      await until('the service answers', () => connection.request('if.command.alpha.echo.up').then(...isAnswer));
      const mailbox = await jetstream(connection).consumers.get('IF_inbox', 'inbox-alpha');
      const message = await mailbox.next({ expires: 10_000 });
      expect([message?.string(), await message?.ackAck()]).toEqual([server, true]);
      await connection.close();
    }
  });

  it('leave its mailbox without taking a message with it', async () => {
    const creds = await fabric.identity.mintSwarm('gamma');
    await jsm.consumers.add('IF_inbox', {
      durable_name: 'inbox-gamma',
      filter_subject: 'if.inbox.gamma.>',
      ack_policy: AckPolicy.Explicit,
    });
    for (const server of fabric.cluster.servers) {
      const first = await connect({ servers: [server], ...authFromCreds(creds) });
      await until('the service answers', () => first.request('if.command.gamma.echo.up').then(...isAnswer));
      const consumer = await jetstream(first).consumers.get('IF_inbox', 'inbox-gamma');
      const waiting = await consumer.consume({ callback: () => {} });
      const isWaiting = async () => (await jsm.consumers.info('IF_inbox', 'inbox-gamma')).num_waiting > 0;
      await until('JetStream knows that it waits', isWaiting);
      await waiting.close();
      await first.close();
      await until('JetStream knows that it has left', async () => !(await isWaiting()));
      await jetstream(service).publish('if.inbox.gamma.task', server);
      const second = await connect({ servers: [server], ...authFromCreds(creds) });
      await until('the service answers', () => second.request('if.command.gamma.echo.up').then(...isAnswer));
      const mailbox = await jetstream(second).consumers.get('IF_inbox', 'inbox-gamma');
      // Well within the 30 s after which a lost message would be delivered again.
      const message = await mailbox.next({ expires: 10_000 });
      expect([message?.string(), await message?.ackAck()]).toEqual([server, true]);
      await second.close();
    }
  });

  it('follow its mailbox live, each message once', async () => {
    const read: string[] = [];
    const subscription = alpha.subscribe('if.inbox.alpha.>', { callback: (_, m) => void read.push(m.string()) });
    await alpha.flush();
    await until('the subscription is known to all nodes', async () => {
      await jetstream(service).publish('if.inbox.alpha.task', 'first');
      return read.length > 0;
    });
    await jetstream(service).publish('if.inbox.alpha.task', 'live');
    await until('it arrives', () => read.includes('live'));
    await alpha.request('if.command.alpha.echo.sync');
    subscription.unsubscribe();
    expect(read.filter((text) => text === 'live')).toHaveLength(1);
  });
});

describe('a swarm cannot publish (R29)', () => {
  it.each([
    ['a command as another swarm', 'if.command.beta.task.claim'],
    ['a command as the operator', 'if.command.operator.governor.grant'],
    ['a command as a service', 'if.command.IF.task.claim'],
    ['a record of an actor', '$KV.IF_actors.task.P0'],
    ['a key of the event bus', '$KV.IF_bus.x'],
    ['a timer', 'if.timer.task.P0'],
    ['a due timer', 'if.due.task.P0'],
    ['an entry of the journal', 'if.journal.alpha'],
    ['an event', 'if.event.task.P0'],
    ['into the mailbox of another swarm', 'if.inbox.beta.task'],
    ['into its own mailbox', 'if.inbox.alpha.task'],
    ['into the mailbox of the operator', 'if.inbox.operator.approval'],
    ['a reply to another swarm', '_INBOX_beta.x.y'],
    ['a reply to a service', '_INBOX_IF_coordinator.x'],
    ['a reply to itself', '_INBOX_alpha.x'],
    ['on a subject of its own choosing', 'alpha.hello'],
    ['a command without its id', 'if.command'],
    ['a request for the mailbox of another swarm', '$JS.API.CONSUMER.MSG.NEXT.IF_inbox.inbox-beta'],
    ['a request for the position of another swarm', '$JS.API.CONSUMER.INFO.IF_inbox.inbox-beta'],
    ['an acknowledgement of another swarm', '$JS.ACK.IF_inbox.inbox-beta.1.1.1.1.1'],
    ['an acknowledgement of the witness', '$JS.ACK.KV_IF_actors.witness.1.1.1.1.1'],
    ['account information', '$JS.API.INFO'],
    ['a list of streams', '$JS.API.STREAM.NAMES'],
    ['stream information', '$JS.API.STREAM.INFO.IF_inbox'],
    ['a new stream', '$JS.API.STREAM.CREATE.evil'],
    ['a changed stream', '$JS.API.STREAM.UPDATE.IF_inbox'],
    ['the deletion of a stream', '$JS.API.STREAM.DELETE.IF_inbox'],
    ['the purge of a stream', '$JS.API.STREAM.PURGE.KV_IF_actors'],
    ['the deletion of a message', '$JS.API.STREAM.MSG.DELETE.KV_IF_actors'],
    ['the look-up of a message', '$JS.API.STREAM.MSG.GET.KV_IF_actors'],
    ['the direct look-up of a record', '$JS.API.DIRECT.GET.KV_IF_actors.$KV.IF_actors.task.P0'],
    ['a new consumer', '$JS.API.CONSUMER.CREATE.IF_inbox'],
    ['a new consumer of a name', '$JS.API.CONSUMER.CREATE.IF_inbox.inbox-alpha.if.inbox.alpha.>'],
    ['a new durable consumer', '$JS.API.CONSUMER.DURABLE.CREATE.IF_inbox.mine'],
    ['the deletion of its consumer', '$JS.API.CONSUMER.DELETE.IF_inbox.inbox-alpha'],
    ['a pause of its consumer', '$JS.API.CONSUMER.PAUSE.IF_inbox.inbox-alpha'],
    ['a list of consumers', '$JS.API.CONSUMER.LIST.IF_inbox'],
    ['the step-down of a leader', '$JS.API.STREAM.LEADER.STEPDOWN.KV_IF_actors'],
    ['to the system account', '$SYS.REQ.SERVER.PING'],
    ['a change of accounts', '$SYS.REQ.CLAIMS.UPDATE'],
    ['a question about itself to the server', '$SYS.REQ.USER.INFO'],
  ])('%s', async (_, subject) => {
    const before = await stateOf(jsm, names);
    await expect(alpha.request(subject, '', { timeout: 5_000 })).rejects.toMatchObject({
      cause: { name: 'PermissionViolationError', operation: 'publish', subject },
    });
    expect(await stateOf(jsm, names)).toEqual(before);
  });
});

describe('a swarm cannot subscribe to (R29)', () => {
  it.each([
    ['everything', '>'],
    ['all first tokens', '*.>'],
    ['replies of another swarm', '_INBOX_beta.>'],
    ['one reply of another swarm', '_INBOX_beta.x.y'],
    ['replies of the operator', '_INBOX_operator.>'],
    ['replies of a service', '_INBOX_IF_coordinator.>'],
    ['everything of the fabric', 'if.>'],
    ['its own commands', 'if.command.alpha.>'],
    ['commands of others', 'if.command.beta.>'],
    ['all commands', 'if.command.>'],
    ['a service', 'if.command.*.task.*'],
    ['all events', 'if.event.>'],
    ['events of any kind', 'if.event.*.P0'],
    ['the swarm record of another', 'if.event.swarm.beta'],
    ['the swarm records of all', 'if.event.swarm.*'],
    ['executions of another swarm', 'if.event.execution.beta.>'],
    ['executions of all', 'if.event.execution.>'],
    ['requests of another swarm', 'if.event.request.beta.>'],
    ['requests of all', 'if.event.request.*.*'],
    ['approvals', 'if.event.approval.>'],
    ['services', 'if.event.service.>'],
    ['the mailbox of another swarm', 'if.inbox.beta.>'],
    ['the mailboxes of all', 'if.inbox.*.task'],
    ['the mailbox of the operator', 'if.inbox.operator.approval'],
    ['records', '$KV.IF_actors.>'],
    ['the event bus', '$KV.IF_bus.>'],
    ['timers', 'if.timer.>'],
    ['due timers', 'if.due.>'],
    ['the journal', 'if.journal.>'],
    ['requests to JetStream', '$JS.API.>'],
    ['acknowledgements', '$JS.ACK.>'],
    ['advisories', '$JS.EVENT.ADVISORY.>'],
    ['the system account', '$SYS.>'],
    ['answers across accounts', '_R_.>'],
  ])('%s', async (_, subject) => {
    expect(await subscriptionIs(alpha, subject)).toBe('denied');
    expect(await subscriptionIs(alpha, subject, 'group')).toBe('denied');
  });
});

describe('the operator', () => {
  it('can do everything in the account: commands, records, streams, mailboxes', async () => {
    const seen = (await operator.request('if.command.operator.echo.hello')).json<{ reply: string }>();
    expect(seen.reply).toMatch(/^_INBOX_operator\./);
    for (const subject of ['>', 'if.event.>', 'if.inbox.operator.>', '_INBOX_operator.>']) {
      expect(await subscriptionIs(operator, subject)).toBe('allowed');
    }
    await jetstream(operator).publish('$KV.IF_bus.operator', 'written');
    const found = await (await jetstreamManager(operator)).streams.getMessage('KV_IF_bus', {
      last_by_subj: '$KV.IF_bus.operator',
    });
    expect(found?.string()).toBe('written');
  });

  it('cannot reach the system account', async () => {
    await expect(operator.request('$SYS.REQ.SERVER.PING', '', { timeout: 1_000 })).rejects.toThrow();
  });
});

describe('two swarms', () => {
  it('do not see what the other receives', async () => {
    const seen: string[] = [];
    const subscription = beta.subscribe('_INBOX_beta.>', { callback: (_, m) => void seen.push(m.subject) });
    const live = beta.subscribe('if.inbox.beta.>', { callback: (_, m) => void seen.push(m.subject) });
    await beta.flush();
    await alpha.request('if.command.alpha.echo.hello');
    await jetstream(service).publish('if.inbox.alpha.task', 'for alpha');
    await beta.request('if.command.beta.echo.sync');
    expect(seen.filter((subject) => !subject.startsWith('_INBOX_beta.'))).toEqual([]);
    subscription.unsubscribe();
    live.unsubscribe();
  });
});
