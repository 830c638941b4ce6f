/** The life of a swarm over request/reply, with its own credentials. */
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SwarmView } from '../../actors/coordinator/swarms/swarm-view.ts';
import { ask, claim, refusal, startTaskWorld, type TaskWorld } from './task-parts.ts';

let world: TaskWorld;
beforeAll(async () => {
  world = await startTaskWorld();
});
afterAll(async () => await world?.stop());

describe('a swarm', () => {
  const swarm = async (id: string) => {
    const client = await world.fabric.client(id);
    await client.request('swarm', 'register', { capabilities: ['x'], cost_per_hour: 2, model: 'm' });
    return client;
  };

  it('that registers again in the same way changes nothing, in another way its description', async () => {
    const client = await swarm('twice');
    const first = await client.request<SwarmView>('swarm', 'get');
    expect(
      await client.request('swarm', 'register', { capabilities: ['x', 'x'], cost_per_hour: 2, model: 'm' }),
    ).toEqual(first);
    expect(await client.request('swarm', 'register', { capabilities: ['y'], cost_per_hour: 2 })).toMatchObject({
      capabilities: ['y'],
      model: null,
      n: first.n + 1,
    });
  });

  it('that is alive says so without a record', async () => {
    const client = await swarm('alive');
    const { n } = await client.request<SwarmView>('swarm', 'get');
    expect(await client.request('swarm', 'heartbeat')).toMatchObject({ liveness: 'online', n });
    expect(await refusal((await world.fabric.client('unknown')).request('swarm', 'heartbeat'))).toBe('SWARM_NOT_FOUND');
  });

  it('has a mailbox from its registration or invitation on', async () => {
    await swarm('boxed');
    await world.operator.request('swarm', 'invite', { swarm_id: 'invited' });
    const jsm = await jetstreamManager(world.operator.connection, { checkAPI: false });
    for (const id of ['boxed', 'invited'])
      expect((await jsm.consumers.info('IF_inbox', `inbox-${id}`)).config.filter_subject).toBe(`if.inbox.${id}.>`);
  });

  it('may be invited with grants and a budget before it comes, by operators only', async () => {
    expect(await refusal(world.alpha.request('swarm', 'invite', { swarm_id: 'later', grants: ['a'] }))).toBe(
      'UNAUTHORIZED',
    );
    await world.operator.request('swarm', 'invite', {
      swarm_id: 'later',
      grants: ['system.process.execute'],
      budget_usd: 2,
    });
    await world.operator.request('swarm', 'invite', { swarm_id: 'later', grants: ['b'] });
    const later = await swarm('later');
    expect(await later.request('swarm', 'get')).toMatchObject({
      registration: 'registered',
      grants: ['system.process.execute', 'b'],
      budget: { allocated_usd: 2 },
    });
    expect(await world.operator.request('swarm', 'revoke', { swarm_id: 'later' })).toMatchObject({ grants: [] });
    expect(await world.operator.request('swarm', 'revoke', { swarm_id: 'never' })).toBeNull();
  });

  it('cannot declare a privilege that was not granted', async () => {
    const client = await world.fabric.client('pretender');
    const pretending = client.request('swarm', 'register', {
      capabilities: ['system.process.execute'],
      cost_per_hour: 0,
    });
    expect(await refusal(pretending)).toBe('CAPABILITY_MISSING');
  });

  it('that leaves gives its tasks back, attempts included, and may come again', async () => {
    const client = await swarm('leaving');
    const ids = [await world.created(), await world.created({ cost_estimate: 0 }), await world.created()];
    const tokens = await Promise.all(ids.map(async (id) => (await claim(client, id)).token));
    await ask(client, 'complete', { task_id: ids[2], token: tokens[2] });
    expect(await client.request('swarm', 'unregister')).toMatchObject({ registration: 'retired', liveness: 'offline' });
    for (const id of ids.slice(0, 2))
      expect(await world.get(id)).toMatchObject({ state: 'available', owner: null, attempt: 0 });
    expect((await world.get(ids[2]!)).state).toBe('completed');
    expect(await refusal(ask(client, 'complete', { task_id: ids[0], token: tokens[0] }))).toBe('STALE_TOKEN');
    expect(await client.request('swarm', 'unregister')).toMatchObject({ registration: 'retired' });
    expect(await refusal(claim(client, ids[0]!))).toBe('SWARM_NOT_FOUND');
    await client.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    expect((await claim(client, ids[0]!)).claimed).toBe(true);
  });

  it('is listed with the others, in order', async () => {
    const { swarms } = await world.operator.request<{ swarms: SwarmView[] }>('swarm', 'list', { limit: 1_000 });
    const ids = swarms.map(({ swarm_id }) => swarm_id);
    expect(ids).toEqual(ids.toSorted());
    expect(ids).toEqual(expect.arrayContaining(['alpha', 'beta']));
  });

  it('is not what an operator is', async () => {
    expect(await refusal(world.operator.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 }))).toBe(
      'UNAUTHORIZED',
    );
  });
});
