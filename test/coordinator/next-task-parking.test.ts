/** Requests that wait for a task, at the edge: they do not take the room of those that are worked on. */
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FabricClient } from '../../src/bus/client.ts';
import { operation } from '../../src/bus/operation.ts';
import { Responder } from '../../src/bus/responder.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ nodes: 1 });
});
afterAll(async () => await cluster.stop());

describe('an operation that parks', () => {
  it('may have any number of requests open, while others of the same caller are answered and limited', async () => {
    const { namespace, identity } = cluster;
    const waiting: Array<() => void> = [];
    const wait = async () => await new Promise<null>((resolve) => waiting.push(() => resolve(null)));
    const responder = new Responder({
      nc: await cluster.connect(),
      namespace,
      service: 'task',
      operations: {
        park: operation({}, wait, { parks: true }),
        work: operation({}, wait),
        ping: operation({}, async () => 'pong'),
      },
      log: pino({ level: 'silent' }),
      maxInFlight: 4,
      maxInFlightPerCaller: 2,
    });
    const nc = await cluster.connect(await identity.mintSwarm('alpha'));
    const client = new FabricClient({ nc, namespace, callerId: 'alpha', attemptTimeoutMs: 30_000 });
    const parked = Array.from({ length: 100 }, async () => await client.request('task', 'park'));
    await until('all are parked', () => waiting.length === 100);
    expect(await client.request('task', 'ping')).toBe('pong');
    const working = Array.from({ length: 2 }, async () => await client.request('task', 'work'));
    await until('two are worked on', () => waiting.length === 102);
    await expect(client.request('task', 'work')).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    for (const end of waiting) end();
    await Promise.all([...parked, ...working]);
    expect(await client.request('task', 'ping')).toBe('pong');
    await responder.drain();
  });
});
