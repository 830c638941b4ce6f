/** What a real fabric records replays: every decision depends on nothing but its record. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { FabricClient } from '../../src/bus/client.ts';
import { openReadOnly } from '../../src/witness/read-only.ts';
import { type FullReplay, replayActor, replayAll } from '../../src/witness/replay/replay.ts';
import { startFabric, type TestFabric } from '../coordinator/in-process.ts';
import { until } from '../support/temp.ts';

let fabric: TestFabric;
let alpha: FabricClient;
let beta: FabricClient;
let operator: FabricClient;

beforeAll(async () => {
  fabric = await startFabric();
  await fabric.coordinator();
  await fabric.witness();
  alpha = await fabric.client('alpha', { encoding: 'json' });
  beta = await fabric.client('beta');
  operator = await fabric.client('operator');
});
afterAll(async () => await fabric?.stop());

const task = async (who: FabricClient, op: string, body: Record<string, unknown>) =>
  await who.request<{ token?: number }>('task', op, body);

function replayed(): FullReplay {
  const { sqlite, close } = openReadOnly(join(fabric.cluster.dataDir, 'witness.db'));
  try {
    return replayAll(sqlite);
  } finally {
    close();
  }
}

it('replays tasks, swarms, blockers and semaphores as they were recorded', async () => {
  for (const swarm of [alpha, beta])
    await swarm.request('swarm', 'register', { capabilities: ['code:ts'], cost_per_hour: 1 });
  await operator.request('swarm', 'invite', { swarm_id: 'gamma', grants: ['a.b'], budget_usd: 5 });
  await task(alpha, 'create', {
    task_id: 'whole',
    task_type: 'x',
    metadata: { 'ünï "c" 🐝': [null, -1.5e-7, -0, 0.1] },
  });
  await task(alpha, 'create', { task_id: 'after', task_type: 'x', depends_on: ['whole'] });
  await task(alpha, 'create', { task_id: 'tried', task_type: 'x', max_attempts: 2, concurrency_key: 'db' });
  await task(alpha, 'create', { task_id: 'dropped', task_type: 'x' });
  await task(alpha, 'create', { task_id: 'stuck', task_type: 'x' });
  const whole = await task(alpha, 'claim', { task_id: 'whole' });
  await task(alpha, 'start', { task_id: 'whole', token: whole.token });
  await task(alpha, 'complete', { task_id: 'whole', result: { text: '\u0000"', n: 1 } });
  for (const who of [alpha, beta]) {
    const { token } = await task(who, 'claim', { task_id: 'tried' });
    await task(who, 'fail', { task_id: 'tried', token, error: { why: who.callerId } });
  }
  const stuck = await task(beta, 'claim', { task_id: 'stuck' });
  const blocker = { type: 'knowledge', severity: 'high', description: 'how', required_capabilities: ['code:ts'] };
  await beta.request('blocker', 'report', { task_id: 'stuck', token: stuck.token, ...blocker });
  await task(alpha, 'cancel', { task_id: 'dropped', reason: 'enough' });
  await alpha.request('swarm', 'unregister', {});

  await until('the witness has the end of it', () => replayed().transitions >= 20);
  const all = replayed();
  expect(all.divergences).toEqual([]);
  expect(all).toMatchObject({ ok: true, not_replayed: { epoch: 3 } });
  const { sqlite, close } = openReadOnly(join(fabric.cluster.dataDir, 'witness.db'));
  try {
    expect(replayActor(sqlite, { kind: 'task', id: 'after' })).toMatchObject({ ok: true, state: 'available' });
    expect(replayActor(sqlite, { kind: 'task', id: 'tried' })).toMatchObject({ ok: true, state: 'failed' });
  } finally {
    close();
  }
});
