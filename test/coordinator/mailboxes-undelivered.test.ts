import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Undelivered, type UndeliveredOptions } from '../../actors/coordinator/mailboxes/undelivered.ts';
import type { Json } from '../../machines/record.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { unpackBytes } from '../../src/data/codec.ts';
import { FabricError } from '../../src/errors.ts';
import { Journal, type JournalEntry } from '../../src/store/journal.ts';
import { derive } from '../../src/witness/derive.ts';
import { until } from '../support/temp.ts';
import { log, type MailboxFabric, startMailboxes, taskOf } from './mailbox-parts.ts';

const maxAgeMs = 3_600_000;

let fabric: MailboxFabric;
let alpha: FabricClient;
let running: Undelivered[] = [];

beforeAll(async () => {
  fabric = await startMailboxes(3);
  alpha = await fabric.swarm('alpha');
  await fabric.swarm('away');
});
afterAll(async () => {
  for (const undelivered of running) await undelivered.stop();
  running = [];
  await fabric?.stop();
});

/** What another coordinator process would run; rounds are the test's unless it says otherwise. */
async function undelivered(options: Partial<UndeliveredOptions> = {}): Promise<Undelivered> {
  const { namespace } = fabric.cluster;
  const nc = await fabric.cluster.connect();
  const made = new Undelivered({
    jsm: await jetstreamManager(nc, { checkAPI: false }),
    namespace,
    log,
    journal: new Journal(nc, namespace),
    mailboxes: fabric.mailboxes,
    maxAgeMs,
    everyMs: 3_600_000,
    ...options,
  });
  running.push(made);
  return made;
}

/** When everything that lies in the mailboxes now is too old. */
const later = () => Date.now() + maxAgeMs + 1_000;

async function push(task_id: string, to = 'away'): Promise<number> {
  fabric.tasks.set(task_id, taskOf(task_id));
  return (await alpha.request<{ seq: number }>('task', 'push', { to, task_id })).seq;
}

/** The entries of the journal that tell of an expired message. */
async function entries(): Promise<JournalEntry[]> {
  const found: JournalEntry[] = [];
  const { state } = await fabric.jsm.streams.info('IF_journal');
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await fabric.jsm.streams.getMessage('IF_journal', { seq });
    if (message) found.push(unpackBytes(message.data) as JournalEntry);
  }
  return found.filter(({ event }) => event === 'MAILBOX_EXPIRED');
}

async function entriesOf(task_id: string): Promise<JournalEntry[]> {
  return (await entries()).filter(({ payload }) => (payload as { task_id?: string }).task_id === task_id);
}

/** Takes everything out of a mailbox. */
async function emptied(reader: string): Promise<Array<{ subject: string; body: { [field: string]: Json } }>> {
  const found: Array<{ subject: string; body: { [field: string]: Json } }> = [];
  const mailbox = await jetstream(fabric.nc).consumers.get('IF_inbox', `inbox-${reader}`);
  const { num_pending } = await mailbox.info();
  for (let i = 0; i < num_pending; i++) {
    const message = await mailbox.next({ expires: 5_000 });
    found.push({ subject: message!.subject, body: message!.json() });
    await message!.ackAck();
  }
  return found;
}

const noticesOf = (task_id: string) => (one: { body: { [field: string]: Json } }) =>
  (one.body['notice'] as { task_id?: string }).task_id === task_id;

describe('what nobody acknowledged before its age limit', () => {
  it('is on record, its sender is told, and it is gone', async () => {
    const seq = await push('old');
    const { time } = (await fabric.jsm.streams.getMessage('IF_inbox', { seq }))!;
    await (await undelivered()).round(undefined, later());
    const [entry, ...others] = await entriesOf('old');
    expect(others).toEqual([]);
    expect(entry).toMatchObject({
      component: 'IF.mailbox',
      by: 'IF.coordinator',
      trace_id: 'trace-of-old',
      payload: { to: 'away', type: 'task', from: 'alpha', task_id: 'old', published_at: time.getTime() },
    });
    expect(derive({ stream: 'journal', epoch: 1 } as never, 9, entry as unknown as Json)).toMatchObject({
      event: 'MAILBOX_EXPIRED',
      component: 'IF.mailbox',
    });
    expect((await emptied('alpha')).filter(noticesOf('old'))).toEqual([
      {
        subject: 'if.inbox.alpha.control',
        body: expect.objectContaining({
          type: 'control',
          from: 'IF.coordinator',
          notice: {
            type: 'undelivered',
            to: 'away',
            message_type: 'task',
            message_id: (entry!.payload as { id: string }).id,
            task_id: 'old',
            published_at: time.getTime(),
          },
        }),
      },
    ]);
    expect(await emptied('away')).toEqual([]);
  });

  it('does not concern what is younger, or was acknowledged', async () => {
    await push('acknowledged');
    expect(await emptied('away')).toHaveLength(1);
    await push('older');
    await until('time has passed', () => new Promise((resolve) => setTimeout(() => resolve(true), 5)));
    const seq = await push('younger');
    const { time } = (await fabric.jsm.streams.getMessage('IF_inbox', { seq }))!;
    await (await undelivered()).round(undefined, time.getTime() + maxAgeMs - 1);
    expect((await emptied('away')).map(({ body }) => (body['task'] as { task_id: string }).task_id)).toEqual([
      'younger',
    ]);
    expect([await entriesOf('acknowledged'), await entriesOf('younger')]).toEqual([[], []]);
    expect(await entriesOf('older')).toHaveLength(1);
  });

  it('is reported once when several processes look at the same time', async () => {
    const ids = Array.from({ length: 70 }, (_, i) => `crowd-${i}`);
    for (const id of ids) await push(id);
    await emptied('alpha');
    const processes = [await undelivered(), await undelivered(), await undelivered()];
    const now = later();
    await Promise.all(processes.map(async (process) => await process.round(undefined, now)));
    const reported = (await entries()).map(({ payload }) => (payload as { task_id?: string }).task_id);
    expect(reported.filter((id) => id?.startsWith('crowd-')).sort()).toEqual([...ids].sort());
    expect(await emptied('alpha')).toHaveLength(ids.length);
    expect(await emptied('away')).toEqual([]);
  });

  it('is reported in full after a report that was cut off, and stays until then', async () => {
    await push('cut');
    const unreachable = {
      deliver: () => Promise.reject(new FabricError('UNAVAILABLE', 'the cluster went away')),
    };
    await expect((await undelivered({ mailboxes: unreachable })).round(undefined, later())).rejects.toThrow(
      'the cluster went away',
    );
    await until('as many messages are left', async () => (await fabric.messages()) === 1);
    await (await undelivered()).round(undefined, later());
    expect(await entriesOf('cut')).toHaveLength(1);
    expect((await emptied('alpha')).filter(noticesOf('cut'))).toHaveLength(1);
    await until('as many messages are left', async () => (await fabric.messages()) === 0);
  });

  it('goes also when the sender’s own mailbox is full', async () => {
    await push('unwanted');
    const full = { deliver: () => Promise.reject(new FabricError('RATE_LIMITED', 'the mailbox is full')) };
    await (await undelivered({ mailboxes: full })).round(undefined, later());
    expect(await entriesOf('unwanted')).toHaveLength(1);
    await until('as many messages are left', async () => (await fabric.messages()) === 0);
  });

  it('is escalated to the operators when the fabric sent it; their own mail and reports end in the journal', async () => {
    await fabric.mailboxes.deliver('away', 'help', { id: 'help-1', type: 'help_wanted' });
    await (await undelivered()).round(undefined, later());
    const mailbox = await jetstream(fabric.nc).consumers.get('IF_inbox', 'inbox-operator');
    const escalation = await mailbox.next({ expires: 5_000 });
    expect([escalation?.subject, escalation?.json()]).toMatchObject([
      'if.inbox.operator.escalation',
      { notice: { type: 'undelivered', to: 'away', message_type: 'help', message_id: 'help-1' } },
    ]);
    escalation?.nak();

    await push('ping-pong');
    await (await undelivered()).round(undefined, later());
    const before = (await entries()).length;
    // Left: the notice to alpha.
    await until('as many messages are left', async () => (await fabric.messages()) === 1);
    await (await undelivered()).round(undefined, later());
    expect((await entries()).length).toBe(before + 1);
    await until('as many messages are left', async () => (await fabric.messages()) === 0);
  });

  it('is found without being asked for', async () => {
    await emptied('alpha');
    const seq = await push('by-itself');
    const rounds = await undelivered({ maxAgeMs: 100, everyMs: 50 });
    await until('it is on record', async () => (await entriesOf('by-itself')).length === 1);
    await until('it is gone', async () => (await fabric.jsm.streams.getMessage('IF_inbox', { seq })) === null);
    await rounds.stop();
    await emptied('alpha');
  });

  it('may be anything that an operator put there', async () => {
    const nc = fabric.nc;
    const { seq } = await jetstream(nc).publish('if.inbox.away.task', 'no message of the fabric');
    await (await undelivered()).round(undefined, later());
    expect(await entries()).toContainEqual(
      expect.objectContaining({ payload: expect.objectContaining({ to: 'away', id: `message-${seq}`, from: null }) }),
    );
  });
});
