/** Leases over a real cluster, with several coordinators: never early, never forgotten, at most two seconds late. */
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { leaseTimer } from '../../actors/coordinator/leases/lease-timers.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { freshId, withStreams } from '../store/fixtures.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';
import { type Coordinating, type Parts, startCoordinating } from './coordinating.ts';

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

const start = async (parts?: Parts) => {
  const one = await startCoordinating(cluster, parts);
  running.push(one);
  return one;
};

const pause = async (ms: number) => await new Promise((resolve) => setTimeout(resolve, ms));

/** The record with which an ownership ended because its lease was over. */
async function expiry(coordinating: Coordinating, task_id: string, token: number) {
  const found = (await coordinating.history(task_id)).find(
    ({ record: { event } }) => event.type === 'LEASE_EXPIRED' && event['token'] === token,
  );
  return found && { at: found.record.at, end: found.record.event['lease_expires_at'] as number };
}

async function expired(coordinating: Coordinating, task_id: string, token: number) {
  await until('the lease expired', async () => (await expiry(coordinating, task_id, token)) !== undefined);
  return (await expiry(coordinating, task_id, token))!;
}

const code = async (asked: Promise<unknown>) =>
  await asked.then(
    () => 'none',
    (error: { code?: string }) => error.code,
  );

const lease_ms = 1_000;

describe('a lease that is not renewed', () => {
  it('ends at its time, never early and at most 2 s late, and the task goes back: 100 of one owner at once', async () => {
    const [one, other] = [await start(), await start()];
    const owner = freshId('w');
    await one.register(owner);
    const leases = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => await (i % 2 ? one : other).claimed(owner, { lease_ms })),
    );
    for (const { task_id, token, at } of leases) {
      const ended = await expired(one, task_id, token);
      expect(ended.end).toBe(at);
      expect(ended.at).toBeGreaterThanOrEqual(at);
      expect(ended.at - at).toBeLessThan(2_000);
      expect(await one.recorded(task_id)).toMatchObject({
        state: 'available',
        owner: null,
        attempt: 1,
        failure_reason: 'lease_expired',
      });
    }
  });

  it('is refused to its owner from then on, also by a process that knows nothing yet, and to others at all times', async () => {
    const one = await start();
    const fresh = await start();
    await one.register('late');
    const { task_id, token } = await one.claimed('late', { lease_ms });
    expect(await code(one.leases.heartbeat('stranger', task_id, token))).toBe('NOT_OWNER');
    expect(await code(one.leases.heartbeat('late', task_id, token + 1))).toBe('STALE_TOKEN');
    expect(await code(one.leases.heartbeat('late', freshId(), token))).toBe('TASK_NOT_FOUND');
    await expired(one, task_id, token);
    for (const process of [one, fresh])
      expect(await code(process.leases.heartbeat('late', task_id, token))).toBe('STALE_TOKEN');
    const again = await one.tasks.claim('late', task_id);
    expect(again).toMatchObject({ claimed: true });
    expect(await code(one.leases.heartbeat('late', task_id, token))).toBe('STALE_TOKEN');
    const next = again as { token: number };
    expect((await fresh.leases.heartbeat('late', task_id, next.token)).owner).toBe('late');
  });

  it('ends in time when the process that was to arm it is gone, and when its timer was lost', async () => {
    const survivor = await start();
    const dying = await startCoordinating(cluster);
    await dying.register('orphan');
    const unarmed = await dying.claimed('orphan', { lease_ms });
    await dying.stop();
    const lost = await survivor.claimed('orphan', { lease_ms: 2_000 });
    await until('it is armed', async () => (await survivor.timers.get(leaseTimer, lost.task_id)) !== undefined);
    await survivor.timers.cancel(leaseTimer, lost.task_id);
    for (const { task_id, token, at } of [unarmed, lost]) {
      const ended = await expired(survivor, task_id, token);
      expect(ended.at).toBeGreaterThanOrEqual(at);
      expect(ended.at - at).toBeLessThan(2_000);
    }
  });

  it('ends by its timer alone when nobody sweeps', async () => {
    const one = await start({ sweeps: false });
    await one.register('timed');
    const { task_id, token, at } = await one.claimed('timed', { lease_ms });
    expect((await expired(one, task_id, token)).at - at).toBeLessThan(1_000);
  });
});

describe('a lease that is renewed', () => {
  it('lasts as long as its owner beats, through whichever process, and ends after the last renewal', async () => {
    const [one, other] = [await start(), await start()];
    await one.register('steady');
    const { task_id, token } = await one.claimed('steady', { lease_ms });
    const { n } = await one.recorded(task_id);
    let end = 0;
    for (let beat = 0; beat < 12; beat++) {
      const sentAt = Date.now();
      const task = await (beat % 3 ? one : other).leases.heartbeat('steady', task_id, token);
      expect(task).toMatchObject({ task_id, state: 'claimed', owner: 'steady', n });
      expect(task.lease_expires_at).toBeGreaterThanOrEqual(sentAt + lease_ms);
      expect(task.lease_expires_at).toBeGreaterThanOrEqual(end);
      end = task.lease_expires_at!;
      const stored = (await one.store.read({ kind: 'task', id: task_id }))!;
      for (const process of [one, other]) expect(await process.leases.deadlineOf(stored)).toBe(end);
      await pause(300);
    }
    const ended = await expired(one, task_id, token);
    expect(ended.end).toBe(end);
    expect(ended.at).toBeGreaterThanOrEqual(end);
    expect(ended.at - end).toBeLessThan(2_000);
  });

  it('is never ended once a renewal was confirmed: 300 leases renewed at the moment at which they end', async () => {
    const processes = [await start(), await start(), await start()];
    const owners = Array.from({ length: 30 }, () => freshId('w'));
    await Promise.all(owners.map(async (owner) => await processes[0]!.register(owner)));
    const leases = await Promise.all(
      Array.from({ length: 300 }, async (_, i) => {
        const owner = owners[i % owners.length]!;
        return { owner, ...(await processes[i % 3]!.claimed(owner, { lease_ms: 3_000 })) };
      }),
    );
    const outcomes = await Promise.all(
      leases.map(async ({ owner, task_id, token, at }, i) => {
        await pause(at - Date.now() + (i % 30) * 10);
        try {
          const { lease_expires_at } = await processes[(i + 1) % 3]!.leases.heartbeat(owner, task_id, token);
          return lease_expires_at!;
        } catch (error) {
          expect(error).toMatchObject({ code: 'STALE_TOKEN' });
          return undefined;
        }
      }),
    );
    const renewed = outcomes.filter((end) => end !== undefined).length;
    expect(renewed).toBeGreaterThan(0);
    expect(renewed).toBeLessThan(leases.length);
    for (const [i, { task_id, token, at }] of leases.entries()) {
      const end = outcomes[i];
      const ended = await expired(processes[0]!, task_id, token);
      expect(ended.end).toBe(end ?? at);
      expect(ended.at).toBeGreaterThanOrEqual(end ?? at);
    }
  });

  it('by many at once has one end, the latest', async () => {
    const [one, other] = [await start(), await start()];
    await one.register('eager');
    const { task_id, token } = await one.claimed('eager', { lease_ms: 30_000 });
    const beats = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => await (i % 2 ? one : other).leases.heartbeat('eager', task_id, token)),
    );
    const stored = (await one.store.read({ kind: 'task', id: task_id }))!;
    const latest = Math.max(...beats.map(({ lease_expires_at }) => lease_expires_at!));
    expect(await one.leases.deadlineOf(stored)).toBe(latest);
  });
});

describe('a lease that the task itself changes', () => {
  it('is extended by the start of the work', async () => {
    const one = await start();
    await one.register('starter');
    const { task_id, token, at } = await one.claimed('starter', { lease_ms });
    await pause(at - 300 - Date.now());
    const { lease_expires_at } = await one.tasks.start('starter', task_id, token);
    expect(lease_expires_at).toBeGreaterThan(at);
    const ended = await expired(one, task_id, token);
    expect(ended.end).toBe(lease_expires_at);
    expect(ended.at).toBeGreaterThanOrEqual(lease_expires_at!);
    expect(ended.at - lease_expires_at!).toBeLessThan(2_000);
  });

  it('rests while the task is blocked, and begins anew after that', async () => {
    const [one, other] = [await start(), await start()];
    await one.register('blocked');
    const { task_id, token } = await one.claimed('blocked', { lease_ms });
    await one.leases.heartbeat('blocked', task_id, token);
    await until('it is armed', async () => (await one.timers.get(leaseTimer, task_id)) !== undefined);
    const cause = { by: 'blocked', trace_id: 't' };
    await one.store.dispatch(taskMachine, task_id, { type: 'BLOCK', by: 'blocked', token, blocker_id: 'b' }, cause);
    await until('its timer is taken back', async () => (await one.timers.get(leaseTimer, task_id)) === undefined);
    await pause(2_500);
    expect(await one.recorded(task_id)).toMatchObject({ state: 'blocked', owner: 'blocked', lease_expires_at: null });
    expect(await code(other.leases.heartbeat('blocked', task_id, token))).toBe('TASK_NOT_AVAILABLE');
    const unblocked = await other.store.dispatch(taskMachine, task_id, { type: 'UNBLOCK', blocker_id: 'b' }, cause);
    const at = (unblocked.record.snapshot.context as TaskContext).lease_expires_at!;
    const ended = await expired(one, task_id, token);
    expect(ended.at).toBeGreaterThanOrEqual(at);
    expect(ended.at - at).toBeLessThan(2_000);
  });

  it('of a task that is done leaves no timer behind, nor does one that was done at once', async () => {
    const one = await start();
    await one.register('quick');
    const long = await one.claimed('quick', { lease_ms: 600_000 });
    await one.leases.heartbeat('quick', long.task_id, long.token);
    await until('it is armed', async () => (await one.timers.get(leaseTimer, long.task_id)) !== undefined);
    const short = await one.claimed('quick', { lease_ms: 600_000 });
    for (const { task_id, token } of [long, short]) await one.tasks.complete('quick', task_id, { token });
    const jsm = await jetstreamManager(one.nc, { checkAPI: false });
    const left = async (task_id: string) => {
      const subjects_filter = `if.timer.*.${task_id}`;
      const { state } = await jsm.streams.info(cluster.namespace.timersStream, { subjects_filter });
      return Object.keys(state.subjects ?? {}).length;
    };
    await until('both timers and the renewal are gone', async () => (await left(long.task_id)) === 0);
    await pause(600);
    expect(await left(short.task_id)).toBe(0);
  });
});

describe('a due timer', () => {
  it('of an earlier ownership does nothing to the present one', async () => {
    const one = await start();
    await one.register('earlier');
    await one.register('present');
    const first = await one.claimed('earlier', { lease_ms });
    await one.tasks.release('earlier', first.task_id, first.token);
    const second = await one.tasks.claim('present', first.task_id);
    if (!second.claimed) throw new Error('not claimed');
    await pause(first.at - 200 - Date.now());
    const { n } = await one.leases.heartbeat('present', first.task_id, second.token);
    await pause(first.at + 100 - Date.now());
    await one.leases.due({ what: leaseTimer, id: first.task_id, at: first.at, data: { token: first.token } });
    expect(await one.recorded(first.task_id)).toMatchObject({ owner: 'present', n });
  });

  it('that comes before the end that was renewed is set again for that end', async () => {
    const one = await start({ sweeps: false });
    await one.register('renewing');
    const { task_id, token, at } = await one.claimed('renewing', { lease_ms: 5_000 });
    const { lease_expires_at: end } = await one.leases.heartbeat('renewing', task_id, token);
    await one.leases.due({ what: leaseTimer, id: task_id, at, data: { token } });
    expect(await one.timers.get(leaseTimer, task_id)).toMatchObject({ at: end, data: { token } });
  });

  it('that means nothing is dropped', async () => {
    const one = await start({ handlesDue: false });
    for (const timer of [
      { what: leaseTimer, id: freshId(), at: 1 },
      { what: leaseTimer, id: freshId(), at: 1, data: { token: 1 } },
      { what: leaseTimer, id: freshId(), at: 1, data: 'x' },
    ])
      await one.leases.due(timer);
    expect(await one.store.read({ kind: swarmMachine.kind, id: 'nobody' })).toBeUndefined();
  });
});
