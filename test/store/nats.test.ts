import { jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { NatsTimers } from '../../src/store/nats-timers.ts';
import { recordFrom } from '../../src/store/record-message.ts';
import type { Timer, TimerConsumer } from '../../src/store/timers.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';
import { storeContract } from './contract.ts';
import { freshId, withStreams } from './fixtures.ts';

let cluster: TestCluster;
let nc: NatsConnection;

beforeAll(async () => {
  cluster = await startTestCluster();
  nc = await withStreams(cluster);
});
afterAll(async () => await cluster?.stop());

describe('the actor store over JetStream', () => {
  storeContract(async () => ({
    one: new NatsRecordLog(nc, cluster.namespace),
    other: new NatsRecordLog(await cluster.connect(), cluster.namespace),
  }));
});

describe('the bucket of the actors', () => {
  it('shows any KV client the last record of an actor, and its history', async () => {
    const id = freshId();
    const log = new NatsRecordLog(nc, cluster.namespace);
    const record = (n: number) => ({
      v: 1,
      kind: 'swarm',
      id,
      n,
      event: { id: `${id}-${n}`, type: 'PAUSE' },
      at: Date.now(),
      by: 'operator',
      trace_id: 'kv',
      snapshot: { status: 'active' as const, value: 'registered', context: {} },
    });
    let expected = 0;
    for (const n of [1, 2, 3]) {
      const appended = await log.append([{ record: record(n), expected }], Date.now() + 10_000);
      expected = appended.committed ? appended.revisions[0]! : Number.NaN;
    }
    const bucket = await new Kvm(nc).open(cluster.namespace.actorsBucket);
    const entry = await bucket.get(`swarm.${id}`);
    expect(entry?.revision).toBe(expected);
    expect(recordFrom(entry!.value)).toMatchObject({ id, n: 3 });
    const history: number[] = [];
    for await (const { value } of await bucket.history({ key: `swarm.${id}` })) history.push(recordFrom(value).n);
    expect(history).toEqual([1, 2, 3]);
  });
});

describe('timers on JetStream', () => {
  const log = pino({ level: 'silent' });
  const consumers: TimerConsumer[] = [];
  afterEach(async () => {
    for (const consumer of consumers.splice(0)) await consumer.stop();
  });

  const timersOn = (connection: NatsConnection) =>
    new NatsTimers({ nc: connection, namespace: cluster.namespace, log });
  type Due = Timer & { readonly handledAt: number };
  const consume = async (
    connection: NatsConnection,
    due: Due[],
    handler: (timer: Timer) => Promise<void> = async () => {},
  ) => {
    const consumer = await timersOn(connection).consume(async (timer) => {
      due.push({ ...timer, handledAt: Date.now() });
      await handler(timer);
    });
    consumers.push(consumer);
    return consumer;
  };
  const of = (due: readonly Due[], ids: readonly string[]) => due.filter(({ id }) => ids.includes(id));

  it('are never early and soon there, also those that are overdue when they are set', async () => {
    const due: Due[] = [];
    await consume(nc, due);
    const ids = Array.from({ length: 40 }, () => freshId());
    const start = Date.now();
    await Promise.all(
      ids.map(async (id, i) => await timersOn(nc).set({ what: 'task-due', id, at: start - 200 + i * 30 })),
    );
    await until('all timers were due', () => of(due, ids).length >= ids.length);
    expect(of(due, ids)).toHaveLength(ids.length);
    for (const { at, handledAt } of of(due, ids)) {
      expect(handledAt).toBeGreaterThanOrEqual(at);
      expect(handledAt - Math.max(at, start)).toBeLessThan(2_000);
    }
  });

  it('replace the one that was set before, also by an earlier one', async () => {
    const due: Due[] = [];
    await consume(nc, due);
    const [later, sooner] = [freshId(), freshId()];
    const start = Date.now();
    const timers = timersOn(nc);
    await timers.set({ what: 'task-due', id: later, at: start + 100 });
    await timers.set({ what: 'task-due', id: later, at: start + 900 });
    await timers.set({ what: 'task-due', id: sooner, at: start + 60_000 });
    await timers.set({ what: 'task-due', id: sooner, at: start + 1_200 });
    await until('both were due', () => of(due, [later, sooner]).length >= 2);
    expect(of(due, [later, sooner]).map(({ id, at }) => [id, at - start])).toEqual([
      [later, 900],
      [sooner, 1_200],
    ]);
  });

  it('that are due while nobody consumes wait for the next consumer', async () => {
    const before: Due[] = [];
    await (await consume(nc, before)).stop();
    consumers.length = 0;
    const ids = [freshId(), freshId()];
    for (const id of ids) await timersOn(nc).set({ what: 'task-due', id, at: Date.now() + 50 });
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    await until('the servers announced them', async () => {
      const { num_pending } = await jsm.consumers.info(cluster.namespace.timersStream, 'timers');
      return num_pending >= 2;
    });
    const due: Due[] = [];
    await consume(await cluster.connect(), due);
    await until('both were handled', () => of(due, ids).length >= 2);
    expect(of(before, ids)).toEqual([]);
  });

  it('go each to one of two consumers, and to the other when that one fails', async () => {
    const [mine, yours]: [Due[], Due[]] = [[], []];
    await consume(nc, mine);
    await consume(await cluster.connect(), yours);
    const ids = Array.from({ length: 60 }, () => freshId());
    await Promise.all(ids.map(async (id) => await timersOn(nc).set({ what: 'task-due', id, at: Date.now() })));
    await until('all were handled', () => of([...mine, ...yours], ids).length >= ids.length);
    expect(new Set(of([...mine, ...yours], ids).map(({ id }) => id)).size).toBe(ids.length);
    expect(of([...mine, ...yours], ids)).toHaveLength(ids.length);
    expect(of(mine, ids).length).toBeGreaterThan(0);
    expect(of(yours, ids).length).toBeGreaterThan(0);
  });

  it('come again when their handler fails', async () => {
    const due: Due[] = [];
    const id = freshId();
    await consume(nc, due, async (timer) => {
      if (timer.id === id && of(due, [id]).length === 1) throw new Error('the first time fails');
    });
    await timersOn(nc).set({ what: 'task-due', id, at: Date.now() });
    await until('it was handled twice', () => of(due, [id]).length >= 2);
  });

  it('survive garbage among what is due', async () => {
    const due: Due[] = [];
    await consume(nc, due);
    const id = freshId();
    await nc.request(cluster.namespace.dueSubject('task-due', freshId()), 'this is no timer');
    await timersOn(nc).set({ what: 'task-due', id, at: Date.now() });
    await until('the timer after it was handled', () => of(due, [id]).length === 1);
  });

  it('at a time beyond what a schedule can say are refused at once', async () => {
    await expect(
      timersOn(nc).set({ what: 'task-due', id: freshId(), at: Number.MAX_SAFE_INTEGER }),
    ).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
    });
  });
});
