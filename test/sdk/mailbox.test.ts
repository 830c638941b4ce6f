import { jetstream } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MailboxOptions, readMailbox } from '../../src/sdk/mailbox.ts';
import type { Task } from '../../src/sdk/task.ts';
import type { Trouble } from '../../src/sdk/trouble.ts';
import type { MailboxMessage } from '../../src/store/mailbox-message.ts';
import { type MailboxFabric, startMailboxes } from '../coordinator/mailbox-parts.ts';
import { until } from '../support/temp.ts';

let fabric: MailboxFabric;
const stops: Array<() => Promise<void>> = [];

beforeAll(async () => {
  fabric = await startMailboxes(3);
});
afterAll(async () => {
  for (const stop of stops) await stop();
  await fabric?.stop();
});

interface Reading {
  readonly got: Array<MailboxMessage<Task>>;
  readonly troubles: Trouble[];
  stop(): Promise<void>;
}

async function reading(swarm: string, onMessage: MailboxOptions['onMessage'] = () => {}): Promise<Reading> {
  const client = await fabric.swarm(swarm);
  const stopping = new AbortController();
  const got: Array<MailboxMessage<Task>> = [];
  const troubles: Trouble[] = [];
  const done = readMailbox({
    client,
    signal: stopping.signal,
    async onMessage(message, signal) {
      got.push(message);
      await onMessage(message, signal);
    },
    onTrouble: (trouble) => troubles.push(trouble),
  });
  const stop = async () => {
    stopping.abort();
    await done;
    await client.connection.close();
  };
  stops.push(stop);
  return { got, troubles, stop };
}

async function send(to: string, ...ids: string[]): Promise<void> {
  for (const id of ids) await fabric.mailboxes.deliver(to, 'control', { id, type: 'note' });
}

const idsOf = ({ got }: Reading) => got.map(({ id }) => id);

async function unacknowledged(swarm: string): Promise<number> {
  const { num_ack_pending, num_pending } = await fabric.jsm.consumers.info('IF_inbox', `inbox-${swarm}`);
  return num_ack_pending + num_pending;
}

describe('the reader of a mailbox', () => {
  it('hands out what was there and what comes, oldest first, and acknowledges', async () => {
    await fabric.swarm('alpha');
    const early = Array.from({ length: 40 }, (_, i) => `early-${i}`);
    await send('alpha', ...early);
    const alpha = await reading('alpha');
    await until('what was there is read', () => alpha.got.length === early.length);
    await send('alpha', 'late');
    await until('what comes is read', () => alpha.got.length > early.length);
    expect(idsOf(alpha)).toEqual([...early, 'late']);
    await until('all is acknowledged', async () => (await unacknowledged('alpha')) === 0);
    expect(alpha.troubles).toEqual([]);
  });

  it('recognises a message that comes again', async () => {
    const beta = await reading('beta');
    await send('beta', 'one');
    await until('it is read', () => beta.got.length === 1);
    // The same message under another id of the stream, as when the two minutes of recognition have passed.
    await jetstream(fabric.nc).publish('if.inbox.beta.control', JSON.stringify(beta.got[0]));
    await send('beta', 'two');
    await until('the next is read', () => beta.got.length > 1);
    expect(idsOf(beta)).toEqual(['one', 'two']);
    await until('all is acknowledged', async () => (await unacknowledged('beta')) === 0);
  });

  it('gets a message again that it could not handle, and says so', async () => {
    let tries = 0;
    const gamma = await reading('gamma', () => {
      if (tries++ === 0) throw new Error('not now');
    });
    await send('gamma', 'stubborn');
    await until('it is handled', async () => tries === 2 && (await unacknowledged('gamma')) === 0);
    expect(gamma.troubles).toMatchObject([{ code: 'INTERNAL', message: expect.stringMatching(/stubborn.*not now/) }]);
  });

  it('keeps a message for as long as it is handled', async () => {
    let finish: () => void = () => {};
    const delta = await reading('delta', async () => await new Promise<void>((resolve) => (finish = resolve)));
    await send('delta', 'slow');
    await until('it is taken', () => delta.got.length === 1);
    const begun = performance.now();
    await until('it would have come again', () => performance.now() - begun > 12_000);
    expect((await fabric.jsm.consumers.info('IF_inbox', 'inbox-delta')).num_redelivered).toBe(0);
    finish();
    await until('it is acknowledged', async () => (await unacknowledged('delta')) === 0);
    expect(delta.got).toHaveLength(1);
  });

  it('leaves what it has not handled to the next reader of the swarm', async () => {
    let finish: () => void = () => {};
    const first = await reading('epsilon', async () => await new Promise<void>((resolve) => (finish = resolve)));
    await send('epsilon', 'a', 'b', 'c');
    await until('one is taken', () => first.got.length === 1);
    const stopped = first.stop();
    finish();
    await stopped;
    expect(idsOf(first)).toEqual(['a']);
    const second = await reading('epsilon');
    // Sooner than what was delivered to the first would come again.
    await until('the others are read', () => second.got.length === 2, 8_000);
    expect(idsOf(second)).toEqual(['b', 'c']);
  });

  it('puts aside what no client can read', async () => {
    const zeta = await reading('zeta');
    await jetstream(fabric.nc).publish('if.inbox.zeta.control', 'hello');
    await send('zeta', 'fine');
    await until('the next is read', () => zeta.got.length === 1);
    expect(zeta.troubles).toMatchObject([{ code: 'INVALID_REQUEST' }]);
    await until('both are gone', async () => (await unacknowledged('zeta')) === 0);
  });

  it('goes on when the node that keeps its mailbox is killed', async () => {
    const eta = await reading('eta');
    await send('eta', 'before');
    await until('it is read', () => eta.got.length === 1);
    const leader = (await fabric.jsm.consumers.info('IF_inbox', 'inbox-eta')).cluster?.leader;
    const node = fabric.cluster.cluster.nodes.find(({ name }) => name === leader)!;
    process.kill(node.pid!, 'SIGKILL');
    await send('eta', 'after');
    await until('the next is read', () => eta.got.length === 2, 40_000);
    expect(idsOf(eta)).toEqual(['before', 'after']);
  });

  it('waits for a mailbox that is not there yet', async () => {
    const client = await fabric.swarm('theta');
    await fabric.jsm.consumers.delete('IF_inbox', 'inbox-theta');
    const troubles: Trouble[] = [];
    const got: string[] = [];
    const stopping = new AbortController();
    const done = readMailbox({
      client,
      signal: stopping.signal,
      onMessage: ({ id }) => void got.push(id),
      onTrouble: (trouble) => troubles.push(trouble),
    });
    await until('it says why', () => troubles.length > 0);
    await fabric.swarm('theta');
    await send('theta', 'welcome');
    await until('it reads', () => got.includes('welcome'));
    stopping.abort();
    await done;
  });
});
