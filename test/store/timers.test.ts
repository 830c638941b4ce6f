/** Timers on JetStream beyond what every keeper of timers does: the servers' memory, silence, and the moment of firing. */
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../src/clock.ts';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import type { LeaderReadOptions } from '../../src/store/leader-read.ts';
import { MemoryTimers } from '../../src/store/memory-timers.ts';
import { NatsTimers } from '../../src/store/nats-timers.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';
import { freshId, withStreams } from './fixtures.ts';
import { type SwallowingProxy, startProxy } from './swallowing-proxy.ts';
import { timersContract } from './timers-contract.ts';

const what = 'task-lease';
let cluster: TestCluster;
let admin: NatsConnection;
let timers: NatsTimers;

const timersOn = (nc: NatsConnection, options: LeaderReadOptions = {}) =>
  new NatsTimers({ nc, namespace: cluster.namespace, log: pino({ level: 'silent' }), ...options });

beforeAll(async () => {
  cluster = await startTestCluster();
  admin = await withStreams(cluster);
  timers = timersOn(admin);
});
afterAll(async () => await cluster?.stop());

describe('timers on a simulated clock', () => {
  timersContract(async () => {
    const clock = new SimulatedClock();
    const pass = async (ms: number) => await clock.advance(ms);
    return { timers: new MemoryTimers(clock), now: () => clock.now(), pass };
  });
});

describe('timers on JetStream', () => {
  timersContract(async () => ({ timers, now: () => Date.now(), pass: async () => {} }));

  it('that were taken back leave nothing behind', async () => {
    const jsm = await jetstreamManager(admin, { checkAPI: false });
    const left = async () => {
      const { state } = await jsm.streams.info(cluster.namespace.timersStream, { subjects_filter: 'if.timer.gone.>' });
      return Object.keys(state.subjects ?? {}).length;
    };
    const ids = Array.from({ length: 300 }, () => freshId());
    await Promise.all(ids.map(async (id) => await timers.set({ what: 'gone', id, at: Date.now() + 600_000 })));
    expect(await left()).toBe(ids.length);
    await Promise.all(ids.map(async (id) => await timers.cancel('gone', id)));
    await until('their messages are gone', async () => (await left()) === 0);
  });

  it('are not touched by what others put under their subjects', async () => {
    const id = freshId();
    await admin.request(cluster.namespace.timerSubject(what, id), 'this is no timer');
    expect(await timers.get(what, id)).toBeUndefined();
    const revision = await timers.replace({ what, id, at: Date.now() + 60_000 }, 0);
    expect(await timers.get(what, id)).toMatchObject({ revision });
  });
});

describe('a timer whose answer is lost', () => {
  let proxy: SwallowingProxy;
  let nc: NatsConnection;
  beforeAll(async () => {
    proxy = await startProxy(cluster.cluster.nodes[0]!.port);
    const { authenticator, inboxPrefix } = authFromCreds(await cluster.identity.operatorCreds());
    const servers = [`127.0.0.1:${proxy.port}`];
    const forever = { maxReconnectAttempts: -1, reconnectTimeWait: 50, reconnectJitter: 0 };
    nc = await connect({ servers, authenticator, inboxPrefix, ignoreClusterUpdates: true, ...forever });
  });
  afterAll(async () => {
    await nc?.close();
    await proxy?.stop();
  });

  it('is set once, and its revision found: 100 replacements cut off while in flight', async () => {
    const remote = timersOn(nc, { attemptTimeoutMs: 300 });
    const at = Date.now() + 60_000;
    const set = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const id = freshId();
        return { id, revision: await timers.set({ what, id, at }) };
      }),
    );
    proxy.lose('answers');
    const running = set.map(async ({ id, revision }) => await remote.replace({ what, id, at: at + 1 }, revision));
    for (const { id } of set) await until('it was applied', async () => (await timers.get(what, id))?.at === at + 1);
    proxy.cut();
    const revisions = await Promise.all(running);
    for (const [i, { id }] of set.entries())
      expect(await timers.get(what, id)).toEqual({ at: at + 1, revision: revisions[i] });
  });

  it('is a conflict when the request never arrived and someone else was faster', async () => {
    const remote = timersOn(nc, { attemptTimeoutMs: 300 });
    const id = freshId();
    const at = Date.now() + 60_000;
    const revision = await timers.set({ what, id, at });
    proxy.lose('requests');
    const running = remote.replace({ what, id, at: at + 1 }, revision);
    const other = await timers.replace({ what, id, at: at + 2 }, revision);
    proxy.cut();
    expect(await running).toBeUndefined();
    expect(await timers.get(what, id)).toEqual({ at: at + 2, revision: other });
  });

  it('for longer than its time is UNAVAILABLE, also when it is only asked for', async () => {
    const remote = timersOn(nc, { attemptTimeoutMs: 200, deadlineMs: 500 });
    const id = freshId();
    proxy.lose('answers');
    const refused = async (asked: Promise<unknown>) =>
      await expect(asked).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    await Promise.all([
      refused(remote.replace({ what, id, at: Date.now() + 60_000 }, 0)),
      refused(remote.get(what, id)),
    ]);
    proxy.cut();
  });
});

describe('the loss of the node that leads the timers', () => {
  it('loses no timer that was set before, and none that is set meanwhile', async () => {
    const jsm = await jetstreamManager(admin, { checkAPI: false });
    const leader = (await jsm.streams.info(cluster.namespace.timersStream)).cluster?.leader;
    const node = cluster.cluster.nodes.find(({ name }) => name === leader);
    if (!node?.pid) throw new Error(`no process of ${leader}`);
    const due: string[] = [];
    const consumer = await timers.consume(async ({ id }) => void due.push(id));
    const at = Date.now() + 3_000;
    const before = Array.from({ length: 50 }, () => freshId());
    await Promise.all(before.map(async (id) => await timers.set({ what, id, at })));
    process.kill(node.pid, 'SIGKILL');
    const during = Array.from({ length: 50 }, () => freshId());
    const patient = timersOn(admin, { deadlineMs: 30_000 });
    const revisions = await Promise.all(during.map(async (id) => await patient.replace({ what, id, at }, 0)));
    expect(revisions.every((revision) => revision !== undefined)).toBe(true);
    const ids = new Set([...before, ...during]);
    await until('all were due', () => new Set(due.filter((id) => ids.has(id))).size === ids.size, 40_000);
    await consumer.stop();
  });
});
