import { jetstream } from '@nats-io/jetstream';
import { nanos } from '@nats-io/nats-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskView } from '../../actors/coordinator/tasks/task-view.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { decodeMessage, type MailboxMessage } from '../../src/store/mailbox-message.ts';
import { until } from '../support/temp.ts';
import { type MailboxFabric, startMailboxes, taskOf } from './mailbox-parts.ts';

type Message = MailboxMessage<TaskView>;

/** Reads one message of one's own mailbox and leaves it unacknowledged. */
async function take({ connection, namespace, callerId }: FabricClient) {
  const mailbox = await jetstream(connection).consumers.get(namespace.inboxStream, namespace.mailboxConsumer(callerId));
  return await mailbox.next({ expires: 15_000 });
}

async function read(client: FabricClient): Promise<Message | undefined> {
  const message = await take(client);
  await message?.ackAck();
  return message ? decodeMessage<TaskView>(message.data) : undefined;
}

describe.each([1, 3] as const)('mailboxes on %i node(s)', (nodes) => {
  let fabric: MailboxFabric;
  let alpha: FabricClient;
  beforeAll(async () => {
    fabric = await startMailboxes(nodes);
    alpha = await fabric.swarm('alpha');
  });
  afterAll(() => fabric?.stop());

  async function push(to: string, task_id: string, from = alpha): Promise<number> {
    const { seq } = await from.request<{ seq: number }>('task', 'push', { to, task_id });
    return seq;
  }

  it('a pushed task reaches a live subscriber at once', async () => {
    const beta = await fabric.swarm('beta');
    const seen: Message[] = [];
    beta.connection.subscribe('if.inbox.beta.>', {
      callback: (_, message) => {
        expect(message.headers?.get('Content-Type')).toBe('application/json');
        expect(message.subject).toBe('if.inbox.beta.task');
        seen.push(decodeMessage<TaskView>(message.data)!);
      },
    });
    await beta.connection.flush();
    fabric.tasks.set('live', taskOf('live'));
    await until('the subscription is known to all nodes', async () => {
      fabric.tasks.set('probe', taskOf('probe', { n: (fabric.tasks.get('probe')?.n ?? 0) + 1 }));
      await push('beta', 'probe');
      return seen.length > 0;
    });
    const sent = await alpha.request('task', 'push', { to: 'beta', task_id: 'live' });
    expect(sent).toEqual({ delivered_to: 'beta', seq: expect.any(Number) });
    await until('it arrives', () => seen.some((message) => message.type === 'task' && message.task.task_id === 'live'));
    expect(seen.at(-1)).toMatchObject({ id: expect.stringMatching(/^push-/), type: 'task', from: 'alpha' });
  });

  it('is kept for a swarm that is away, oldest first, and gone once acknowledged', async () => {
    const ids = ['k1', 'k2', 'k3'];
    const away = await fabric.swarm('away');
    await away.connection.close();
    for (const id of ids) {
      fabric.tasks.set(id, taskOf(id));
      await push('away', id);
    }
    const before = await fabric.messages();
    const back = await fabric.swarm('away');
    const found = [await read(back), await read(back), await read(back)];
    expect(found.map((message) => message?.type === 'task' && message.task)).toEqual(ids.map((id) => taskOf(id)));
    await until('the stream has let go of them', async () => (await fabric.messages()) === before - 3);
  });

  it('comes again when it was not acknowledged', async () => {
    const gamma = await fabric.swarm('gamma');
    await fabric.jsm.consumers.update('IF_inbox', 'inbox-gamma', { ack_wait: nanos(500) });
    fabric.tasks.set('again', taskOf('again'));
    await push('gamma', 'again');
    const first = await take(gamma);
    const second = await take(gamma);
    expect([first?.info.deliveryCount, second?.info.deliveryCount]).toEqual([1, 2]);
    expect(second?.string()).toBe(first?.string());
    await second?.ackAck();
  });

  it('the same push of an unchanged task is one message, of a changed one another', async () => {
    await fabric.swarm('delta');
    fabric.tasks.set('same', taskOf('same'));
    const before = await fabric.messages();
    const seq = await push('delta', 'same');
    expect(await push('delta', 'same')).toBe(seq);
    expect(await fabric.messages()).toBe(before + 1);
    expect(await push('delta', 'same', await fabric.swarm('other-sender'))).toBeGreaterThan(seq);
    fabric.tasks.set('same', taskOf('same', { n: 2, revision: 9 }));
    expect(await push('delta', 'same')).toBeGreaterThan(seq);
  });

  it('makes a new task first, and not when nobody can be pushed to', async () => {
    const task = { task_id: 'new', task_type: 'build', metadata: { file: 'a.ts' } };
    await expect(alpha.request('task', 'push', { to: 'nobody', task })).rejects.toMatchObject({
      code: 'SWARM_NOT_FOUND',
    });
    expect(fabric.tasks.has('new')).toBe(false);
    const epsilon = await fabric.swarm('epsilon');
    const sent = await alpha.request('task', 'push', { to: 'epsilon', task });
    expect(await alpha.request('task', 'push', { to: 'epsilon', task })).toEqual(sent);
    expect(await read(epsilon)).toMatchObject({ task: { task_id: 'new', metadata: { file: 'a.ts' } } });
  });

  it('leaves the bulk of a large task out', async () => {
    const zeta = await fabric.swarm('zeta');
    fabric.tasks.set('large', taskOf('large', { metadata: { text: 'x'.repeat(20_000) } }));
    await push('zeta', 'large');
    expect(await read(zeta)).toMatchObject({ partial: true, task: { task_id: 'large', metadata: {} } });
  });

  it.each([
    [{ to: 'retired', task_id: 'live' }, 'SWARM_NOT_FOUND', /has unregistered/],
    [{ to: 'operator', task_id: 'live' }, 'SWARM_NOT_FOUND', /operator/],
    [{ to: 'alpha', task_id: 'missing' }, 'TASK_NOT_FOUND', /missing/],
    [{ to: 'alpha' }, 'INVALID_REQUEST', /neither was sent/],
    [{ to: 'alpha', task_id: 'x', task: { task_id: 'x', task_type: 'y' } }, 'INVALID_REQUEST', /both were sent/],
    [{ to: 'alpha', task: { task_id: 'x', task_type: 'y', evil: 1 } }, 'INVALID_REQUEST', /unknown field "evil"/],
    [{ to: 'a.b', task_id: 'live' }, 'INVALID_REQUEST', /^to: must be/],
  ])('refuses %j', async (body, code, message) => {
    fabric.tasks.set('live', taskOf('live'));
    await expect(alpha.request('task', 'push', body)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('one notice under one id may go to several readers, and once to each', async () => {
    const swarms = [await fabric.swarm('helper-1'), await fabric.swarm('helper-2')];
    const notice = { id: 'blocker-7', type: 'help_wanted', blocker_id: '7' };
    for (const to of ['helper-1', 'helper-1', 'helper-2']) fabric.mailboxes.notify(to, 'help', notice);
    fabric.mailboxes.notify('helper-1', 'control', { id: 'last', type: 'task_lost' });
    for (const swarm of swarms)
      expect(await read(swarm)).toMatchObject({
        id: 'blocker-7',
        type: 'help',
        from: 'IF.coordinator',
        notice: { type: 'help_wanted', blocker_id: '7' },
      });
    expect(await read(swarms[0]!)).toMatchObject({ id: 'last', type: 'control', notice: { type: 'task_lost' } });
  });

  it('operators have a mailbox', async () => {
    await fabric.mailboxes.deliver('operator', 'escalation', { id: 'e1', type: 'no_helper' });
    const mailbox = await jetstream(fabric.nc).consumers.get('IF_inbox', 'inbox-operator');
    const message = await mailbox.next({ expires: 10_000 });
    expect([message?.subject, message?.json<Message>().id]).toEqual(['if.inbox.operator.escalation', 'e1']);
    await message?.ackAck();
  });

  it('gives up notices that it cannot send when it stops', async () => {
    const nc = await fabric.cluster.connect();
    const mailboxes = fabric.another(nc);
    for (let i = 0; i < 50; i++) mailboxes.notify('alpha', 'control', { id: `unsent-${i}`, type: 'note' });
    await nc.close();
    const begun = performance.now();
    await mailboxes.stop();
    expect(performance.now() - begun).toBeLessThan(10_000);
    mailboxes.notify('alpha', 'control', { id: 'too-late', type: 'note' });
    await expect(mailboxes.deliver('alpha', 'control', { id: 'too-late', type: 'note' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });

  describe('that is full', () => {
    const room = 5;
    beforeAll(async () => {
      const { config } = await fabric.jsm.streams.info('IF_inbox');
      await fabric.jsm.streams.update('IF_inbox', { ...config, max_msgs_per_subject: room });
    });

    it('refuses, drops nothing, and takes more once it was read', async () => {
      const busy = await fabric.swarm('busy');
      const ids = Array.from({ length: 40 }, (_, i) => `b${i}`);
      for (const id of ids) fabric.tasks.set(id, taskOf(id));
      const outcomes = await Promise.allSettled(ids.map(async (id) => await push('busy', id)));
      const kept = ids.filter((_, i) => outcomes[i]!.status === 'fulfilled');
      const refused = ids.filter((_, i) => outcomes[i]!.status === 'rejected');
      expect(kept).toHaveLength(room);
      expect(outcomes.find((outcome) => outcome.status === 'rejected')?.reason).toMatchObject({
        code: 'RATE_LIMITED',
        message: expect.stringMatching(/the mailbox of busy is full .* let busy read it/),
      });
      // What is in the mailbox already is still recognised.
      await push('busy', kept[0]!);
      const newTask = { task_id: 'not-made', task_type: 'build' };
      await expect(alpha.request('task', 'push', { to: 'busy', task: newTask })).rejects.toMatchObject({
        code: 'RATE_LIMITED',
      });
      expect(fabric.tasks.has('not-made')).toBe(false);
      // Other mailboxes, and messages of other types, have room.
      await fabric.mailboxes.deliver('busy', 'control', { id: 'c1', type: 'note' });
      await fabric.swarm('idle');
      await push('idle', kept[0]!);

      const found: unknown[] = [];
      for (let i = 0; i <= room; i++)
        found.push(((await read(busy)) as { task?: TaskView } | undefined)?.task?.task_id);
      expect(new Set(found)).toEqual(new Set([...kept, undefined]));
      await push('busy', refused[0]!);
      expect(await read(busy)).toMatchObject({ task: { task_id: refused[0] } });
    });
  });
});
