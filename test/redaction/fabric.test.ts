/**
 * A whole fabric that keeps everything in files, into which agents send secrets in every way there is: afterwards no byte
 * of the data directory holds one, and no message but the requests themselves did.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { FabricClient } from '../../src/bus/client.ts';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { startTestFabric, type TestFabric } from '../support/fabric.ts';
import { until } from '../support/temp.ts';

const secret = 'hunter2-c0ffee-d15ea5e';
/** Found wherever the scan looks, if it looks in the right places. */
const plain = 'plain-c0ffee-d15ea5e';
const hidden = { password: secret, list: [{ 'API-Key': secret }, { $secret: secret }], note: plain };
const shown = { password: '[redacted]', list: [{ 'API-Key': '[redacted]' }, '[redacted]'], note: plain };

let fabric: TestFabric;
let listener: NatsConnection;
let alpha: FabricClient;
let beta: FabricClient;
const heard: Array<{ subject: string; text: string }> = [];

beforeAll(async () => {
  fabric = await startTestFabric({ nodes: '1', storage: 'file', log_level: 'trace' });
  const { authenticator, inboxPrefix } = authFromCreds(await fabric.credsOf('operator'));
  listener = await connect({ servers: [...fabric.fabric.servers], authenticator, inboxPrefix });
  listener.subscribe('>', {
    callback: (_, message) => {
      heard.push({ subject: message.subject, text: Buffer.from(message.data).toString('latin1') });
    },
  });
  await listener.flush();
  alpha = await fabric.join('alpha');
  beta = await fabric.join('beta');
});
afterAll(async () => {
  await listener?.close();
  await fabric?.stop();
});

/** The answer, which must hold no secret either. */
async function ask<Result>(client: FabricClient, op: string, body: Record<string, unknown>): Promise<Result> {
  const [service = '', name = ''] = op.split('.');
  const answer = await client.request<Result>(service, name, body).catch((error: unknown) => error);
  const told = answer instanceof Error ? `${answer.message} ${JSON.stringify(answer)}` : JSON.stringify(answer);
  expect(told).not.toContain(secret);
  return answer as Result;
}

it('no secret reaches a record, an event, a mailbox, an answer or a log', async () => {
  for (const client of [alpha, beta]) {
    const swarm = { capabilities: ['x'], cost_per_hour: 1, metadata: hidden };
    expect(await ask(client, 'swarm.register', swarm)).toMatchObject({ metadata: shown });
  }
  const task = { task_id: 'one', task_type: 'x', metadata: hidden };
  expect(await ask(alpha, 'task.create', task)).toMatchObject({ metadata: shown });
  const pushed = { task_id: 'two', task_type: 'x', metadata: hidden, depends_on: ['one'] };
  expect(await ask(alpha, 'task.push', { to: 'beta', task: pushed })).toMatchObject({ delivered_to: 'beta' });
  const { token } = await ask<{ token: number }>(alpha, 'task.claim', { task_id: 'one' });
  expect(token).toBeGreaterThan(0);

  // In the wrong places, so that each is refused.
  for (const [op, body] of [
    ['task.create', { task_id: 'bad', task_type: { $secret: [secret] }, metadata: 1 }],
    ['task.create', { task_id: 'bad', task_type: 'x', metadata: [hidden] }],
    ['task.create', { ...task, swarm_id: { $secret: secret } }],
    ['task.create', { ...task, metadata: { other: hidden } }],
    ['task.start', { task_id: 'one', token: { password: secret } }],
    ['task.complete', { task_id: 'one', token: token + 1, result: hidden }],
  ] as const)
    expect(await ask(alpha, op, body)).toBeInstanceOf(Error);

  const blocked = { task_id: 'one', token, type: 'help', severity: 'high', required_capabilities: [] };
  const report = { ...blocked, description: { $secret: secret } };
  const { blocker_id } = await ask<{ blocker_id: string }>(alpha, 'blocker.report', report);
  await ask(alpha, 'blocker.resolve', { blocker_id, resolution: { $secret: secret } });
  expect(await ask(alpha, 'blocker.get', { blocker_id })).toMatchObject({
    description: '[redacted]',
    resolution: '[redacted]',
  });

  await ask(alpha, 'task.fail', { task_id: 'one', token, error: hidden });
  const again = await ask<{ token: number; task: unknown }>(alpha, 'task.claim', { task_id: 'one' });
  expect(again.task).toMatchObject({ error: shown });
  const completion = { task_id: 'one', token: again.token, result: { nested: [hidden] } };
  for (let time = 0; time < 2; time++)
    expect(await ask(alpha, 'task.complete', completion)).toMatchObject({ result: { nested: [shown] } });
  expect(await ask(beta, 'task.claim', { task_id: 'two' })).toMatchObject({
    dependency_results: { one: { nested: [shown] } },
  });
  const entry = { event: 'SAID', component: 'agent', trace_id: 't', payload: hidden };
  expect(await ask(alpha, 'witness.log', entry)).toMatchObject({ seq: expect.any(Number) });

  const last = () => fabric.rows<{ payload: string }>("SELECT payload FROM entries WHERE event = 'SAID'");
  await until('the witness has the last of it', () => last().length === 1);
  expect(JSON.parse(last()[0]?.payload ?? '')).toMatchObject({ payload: shown });

  const found = async (what: string) => {
    const places: string[] = [];
    for (const file of await filesOf(fabric.dataDir)) if ((await readFile(file)).includes(what)) places.push(file);
    return places.map((file) => file.slice(fabric.dataDir.length + 1));
  };
  expect(await found(secret)).toEqual([]);
  const places = await found(plain);
  expect(places).toEqual(
    expect.arrayContaining([expect.stringMatching(/witness\.db/), expect.stringMatching(/\.blk$/)]),
  );
  const leaked = heard.filter(({ subject, text }) => !subject.startsWith('if.command.') && text.includes(secret));
  expect(leaked).toEqual([]);
  for (const prefix of ['if.event.task.', 'if.inbox.beta.task', '_INBOX_alpha.'])
    expect(heard.some(({ subject, text }) => subject.startsWith(prefix) && text.includes(plain))).toBe(true);
});

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
