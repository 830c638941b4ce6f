/** Which swarms are alive, over a real cluster and with several coordinators: never declared offline early, nor forgotten. */
import { jetstreamManager } from '@nats-io/jetstream';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { livenessTimer, SignsOfLife } from '../../actors/coordinator/liveness/signs-of-life.ts';
import type { SwarmContext, SwarmState } from '../../machines/swarm/context.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { FabricClient } from '../../src/bus/client.ts';
import { operation } from '../../src/bus/operation.ts';
import { Responder } from '../../src/bus/responder.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import type { PendingTimer } from '../../src/store/timers.ts';
import { freshId, withStreams } from '../store/fixtures.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';
import { type Coordinating, type Parts, startCoordinating } from './coordinating.ts';

const livenessMs = 1_200;
/** Where the swarm must not fall silent by a machine that stands still for a second or two. */
const patientMs = 3_000;
/** How much later than needed a timer of that time is set at most, milliseconds. */
const slack = 300;
let cluster: TestCluster;
const running: Coordinating[] = [];

beforeAll(async () => {
  cluster = await startTestCluster();
  await withStreams(cluster);
});
afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
});
afterAll(async () => await cluster?.stop());

const start = async (parts: Parts = {}) => {
  const one = await startCoordinating(cluster, { livenessMs, ...parts });
  running.push(one);
  return one;
};

const pause = async (ms: number) => await new Promise((resolve) => setTimeout(resolve, ms));
const freshSwarm = () => freshId('s').slice(0, 40);
const stateOf = async (one: Coordinating, swarm_id: string) => {
  const stored = (await one.store.read({ kind: 'swarm', id: swarm_id }))!;
  return {
    liveness: (stored.record.snapshot.value as SwarmState).liveness,
    seen: (stored.record.snapshot.context as SwarmContext).last_seen_at!,
    at: stored.record.at,
  };
};
const transitions = async (one: Coordinating, swarm_id: string) => {
  const found: StoredRecord[] = [];
  for await (const stored of one.log.history({ kind: 'swarm', id: swarm_id })) found.push(stored);
  return found.map(({ record }) => record.event.type);
};
const offline = async (one: Coordinating, swarm_id: string) => {
  await until('the swarm is offline', async () => (await stateOf(one, swarm_id)).liveness === 'offline');
  return await stateOf(one, swarm_id);
};
/** The timer of the swarm: when it is due, and the sign of life that set it. */
const waiting = async (one: Coordinating, swarm_id: string) => {
  let timer: PendingTimer | undefined;
  await until('its timer waits', async () => {
    timer = await one.timers.get(livenessTimer, swarm_id);
    return timer !== undefined;
  });
  return { at: timer!.at, ...(timer!.data as { seen_at: number }) };
};
/** A request of the swarm, as the responder tells of it. */
const request = async (one: Coordinating, swarm_id: string) => await one.liveness.onCaller(swarm_id);

describe('a silent swarm', () => {
  it('is offline by its timer, which is set for its last sign, not earlier, and its tasks go back', async () => {
    // Without sweeps nothing but a timer notices.
    const parts = { sweeps: false, livenessMs: patientMs };
    const [one, other] = [await start(parts), await start(parts)];
    const swarm = freshSwarm();
    await one.register(swarm);
    const tasks = await Promise.all([one, other, one].map(async (process) => await process.claimed(swarm)));
    const set = await waiting(one, swarm);
    await until('the other has heard it', async () => {
      await request(other, swarm);
      return (await waiting(one, swarm)).seen_at > set.seen_at;
    });
    await pause(300);
    const lastSign = Date.now();
    await request(other, swarm);
    await until('the timer waits for the last sign', async () => (await waiting(one, swarm)).seen_at >= lastSign);
    const timer = await waiting(one, swarm);
    expect(timer.at - timer.seen_at).toBeGreaterThanOrEqual(patientMs);
    expect(timer.at - timer.seen_at).toBeLessThanOrEqual(patientMs + slack);
    const { at, seen } = await offline(one, swarm);
    expect(at).toBeGreaterThanOrEqual(timer.at);
    expect(seen).toBe(timer.seen_at);
    for (const { task_id } of tasks) {
      await until('the task is back', async () => (await one.recorded(task_id)).owner === null);
      expect(await one.recorded(task_id)).toMatchObject({ state: 'available', failure_reason: 'owner_offline' });
    }
    expect(await transitions(one, swarm)).toEqual(['REGISTER', 'OFFLINE']);
  });

  it('is noticed by the others when the process that heard it last is gone', async () => {
    const survivor = await start();
    const dying = await startCoordinating(cluster, { livenessMs });
    const swarm = freshSwarm();
    await dying.register(swarm);
    const { task_id } = await dying.claimed(swarm);
    await dying.stop();
    await offline(survivor, swarm);
    await until('the task is back', async () => (await survivor.recorded(task_id)).owner === null);
  });

  it('is noticed later, but noticed, when its timer was lost', async () => {
    const one = await start();
    const swarm = freshSwarm();
    await one.register(swarm);
    await until('it is set', async () => (await one.timers.get(livenessTimer, swarm)) !== undefined);
    await one.timers.cancel(livenessTimer, swarm);
    await offline(one, swarm);
  });

  it('has tasks that no one returned: the sweep does, for one that is offline and for one that unregistered', async () => {
    const one = await start({ sweeps: false, livenessMs: 60_000 });
    const gone = await startCoordinating(cluster, { sweeps: false, livenessMs: 60_000 });
    const [silent, leaving] = [freshSwarm(), freshSwarm()];
    const reasons = { [silent]: 'owner_offline', [leaving]: 'owner_unregistered' };
    for (const swarm of [silent, leaving]) await gone.register(swarm);
    const claims = [
      { swarm: silent, ...(await gone.claimed(silent)) },
      { swarm: leaving, ...(await gone.claimed(leaving)) },
    ];
    // Whoever heard of the swarm would bring it back.
    await gone.stop();
    await one.store.dispatch(swarmMachine, silent, { type: 'OFFLINE' }, { by: 'IF.test', trace_id: 't' });
    await one.swarms.unregister(leaving);
    await until('the sweep returned both', async () => {
      await one.liveness.sweep();
      return (await Promise.all(claims.map(async ({ task_id }) => await one.recorded(task_id)))).every(
        ({ owner }) => owner === null,
      );
    });
    for (const { swarm, task_id } of claims)
      expect(await one.recorded(task_id)).toMatchObject({ failure_reason: reasons[swarm] });
  });
});

describe('a swarm that sends requests', () => {
  it('stays online as long as it does, through whichever process, and its timer is seldom set', async () => {
    const parts = { livenessMs: patientMs };
    const processes = [await start(parts), await start(parts), await start(parts)];
    const swarm = freshSwarm();
    await processes[0]!.register(swarm);
    const jsm = await jetstreamManager(processes[0]!.nc, { checkAPI: false });
    const written = async () => (await jsm.streams.info(cluster.namespace.timersStream)).state.last_seq;
    const before = await written();
    const begunAt = Date.now();
    for (let i = 0; Date.now() < begunAt + 2.5 * patientMs; i++) {
      await request(processes[i % 3]!, swarm);
      await pause(10);
    }
    const took = Date.now() - begunAt;
    expect(await transitions(processes[0]!, swarm)).toEqual(['REGISTER']);
    expect((await written()) - before).toBeLessThan((took / 250) * 3);
    const { at } = await offline(processes[0]!, swarm);
    expect(at - begunAt).toBeGreaterThanOrEqual(took);
  });

  it('is not declared offline by a timer that is stale, nor by one that this process knows better than', async () => {
    const one = await start({ sweeps: false });
    const swarm = freshSwarm();
    await one.register(swarm);
    await until('it is set', async () => (await one.timers.get(livenessTimer, swarm)) !== undefined);
    const due = { what: livenessTimer, id: swarm, at: Date.now() - 1, data: { seen_at: 1 } };
    await one.liveness.due(due);
    expect(await stateOf(one, swarm)).toMatchObject({ liveness: 'online' });
    await one.timers.cancel(livenessTimer, swarm);
    await one.liveness.due({ ...due, at: Date.now() - 1 });
    expect(await stateOf(one, swarm)).toMatchObject({ liveness: 'online' });
    await until('it is set again', async () => (await one.timers.get(livenessTimer, swarm)) !== undefined);
  });

  it('has its timer set again where that was taken away before its confirmation arrived', async () => {
    const one = await start({ handlesDue: false, sweeps: false });
    const swarm = freshSwarm();
    let taken = 0;
    const signs = new SignsOfLife({
      clock: { now: () => Date.now() },
      livenessMs: 30_000,
      log: pino({ level: 'silent' }),
      timers: {
        get: async (what, id) => await one.timers.get(what, id),
        // As the servers do with what is set at the moment at which the timer before it fires.
        replace: async (timer, expected) => {
          const revision = await one.timers.replace(timer, expected);
          if (taken++ > 0) return revision;
          await one.timers.cancel(timer.what, timer.id);
          signs.rearm(swarm);
          return revision;
        },
      },
    });
    signs.seen(swarm);
    const { seen_at } = await waiting(one, swarm);
    expect(seen_at).toBe(signs.seenAt(swarm));
    await until('it is known to be set', () => signs.armedUntil(swarm) > 0);
    await signs.stop();
  });

  it('is given its time again when no coordinator was there to hear it', async () => {
    const before = await startCoordinating(cluster, { livenessMs });
    const swarm = freshSwarm();
    await before.register(swarm);
    const { task_id } = await before.claimed(swarm);
    await until('it is set', async () => (await before.timers.get(livenessTimer, swarm)) !== undefined);
    await before.stop();
    await pause(livenessMs + 3_000);
    const after = await start();
    await until('the timer is set again', async () => (await after.timers.get(livenessTimer, swarm)) !== undefined);
    await request(after, swarm);
    expect(await transitions(after, swarm)).toEqual(['REGISTER']);
    expect(await after.recorded(task_id)).toMatchObject({ owner: swarm });
    await offline(after, swarm);
  });
});

describe('an offline swarm', () => {
  it('is online again before its request is acted on, once for many requests', async () => {
    const [one, other] = [await start(), await start()];
    const swarm = freshSwarm();
    const { nc } = one;
    const claim = operation({}, async ({ caller }) => {
      const task_id = freshId('t');
      await one.tasks.create('operator', { task_id, task_type: 'build' });
      return await one.tasks.claim(caller, task_id);
    });
    const responder = new Responder({
      nc,
      namespace: cluster.namespace,
      service: 'task',
      operations: { claim },
      log: pino({ level: 'silent' }),
      onCaller: (caller) => one.liveness.onCaller(caller),
    });
    await nc.flush();
    await one.register(swarm);
    await offline(other, swarm);
    const connection = await cluster.connect(await cluster.identity.mintSwarm(swarm));
    const client = new FabricClient({ nc: connection, namespace: cluster.namespace, callerId: swarm });
    await until('it is known to be offline', () => one.liveness.onCaller('nobody') === undefined);
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => await client.request('task', 'claim', {})),
    );
    expect(answers.every((answer) => (answer as { claimed: boolean }).claimed)).toBe(true);
    expect(await transitions(one, swarm)).toEqual(['REGISTER', 'OFFLINE', 'ONLINE']);
    await offline(one, swarm);
    await responder.drain();
  });

  it('comes back by itself when it was declared so while a request of it was under way', async () => {
    const one = await start({ livenessMs: 30_000 });
    const swarm = freshSwarm();
    await one.register(swarm);
    await request(one, swarm);
    await one.store.dispatch(swarmMachine, swarm, { type: 'OFFLINE' }, { by: 'IF.test', trace_id: 't' });
    await until('it is online', async () => (await stateOf(one, swarm)).liveness === 'online');
  });
});

describe('whoever is no registered swarm', () => {
  it('has no timer: an operator, a stranger, one that was only invited, one that has left', async () => {
    const one = await start();
    const [invited, left] = [freshSwarm(), freshSwarm()];
    await one.swarms.invite('operator', invited, { grants: [] });
    await one.register(left);
    await until('it is set', async () => (await one.timers.get(livenessTimer, left)) !== undefined);
    await one.swarms.unregister(left);
    for (const caller of ['operator', freshSwarm(), invited, left])
      expect(one.liveness.onCaller(caller)).toBeUndefined();
    await until('the last timer is over', async () => (await one.timers.get(livenessTimer, left)) === undefined);
    for (const caller of ['operator', invited, left])
      expect(await one.timers.get(livenessTimer, caller)).toBeUndefined();
    expect(await transitions(one, left)).toEqual(['REGISTER', 'UNREGISTER']);
  });
});
