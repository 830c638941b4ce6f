/**
 * Governors and coordinators that are killed in the middle of what follows from a blocker, an assignment and an open
 * circuit: helpers are asked and told, people are told once, the cool-down happens. Real processes, each killed at a
 * moment that a seed decides.
 */
import { writeFile } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlockerView } from '../../actors/coordinator/blockers/blocker-view.ts';
import type { SwarmView } from '../../actors/coordinator/swarms/swarm-view.ts';
import type { TaskView } from '../../actors/coordinator/tasks/task-view.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { decodeMessage, type MailboxMessage } from '../../src/store/mailbox-message.ts';
import { startTestFabric, type TestFabric } from '../support/fabric.ts';
import { type TempDir, tempDir, until } from '../support/temp.ts';

const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000);
const cooldown_ms = 3_000;
const policy = `
help_timeout_ms: 30000
assign_timeout_ms: 60000
circuit_breaker_cooldown_ms: ${cooldown_ms}
`;

let whole: TestFabric;
let policies: TempDir;
let operator: FabricClient;

// A fabric for each test: a service that ends more than five times in a minute is not started again.
beforeEach(async () => {
  process.stderr.write(`governor: CHAOS_SEED=${seed}\n`);
  policies = await tempDir();
  await writeFile(joinPath(policies.path, 'governor.yaml'), policy);
  whole = await startTestFabric({ nodes: 1, coordinators: 1, policies: policies.path, liveness_ms: 3_600_000 });
  operator = await whole.join('operator');
});
afterEach(async () => {
  await whole?.stop();
  await policies?.remove();
});

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
function numbers(from: number): () => number {
  let state = from >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
const random = numbers(seed);

/** Waits until every process of the service answers, so that a kill finds one. */
async function running(service: string): Promise<number[]> {
  const ofService = () => whole.fabric.supervisor.status().filter(({ id }) => id.startsWith(service));
  await until(`${service} runs`, () => ofService().every(({ state, pid }) => state === 'running' && pid !== null));
  return ofService().flatMap(({ pid }) => pid ?? []);
}

/** Does something, and kills the services within the first milliseconds of it; what is done goes on by itself. */
async function killedDuring<Result>(services: readonly string[], action: () => Promise<Result>): Promise<Result> {
  const pids = (await Promise.all(services.map(async (service) => await running(service)))).flat();
  const done = action();
  // Its outcome is looked at below.
  done.catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, random() * 25));
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  return await done;
}

async function swarm(id: string, capabilities: string[], cost_per_hour = 1): Promise<FabricClient> {
  const client = await whole.join(id);
  await client.request('swarm', 'register', { capabilities, cost_per_hour });
  return client;
}

/** What lies in a mailbox, oldest first. */
async function mailbox(to: string, type: string): Promise<MailboxMessage<TaskView>[]> {
  const { nc, namespace } = whole.fabric;
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const { state } = await jsm.streams.info(namespace.inboxStream);
  const found: MailboxMessage<TaskView>[] = [];
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
    const stored = await jsm.streams.getMessage(namespace.inboxStream, { seq });
    if (stored?.subject !== namespace.mailboxSubject(to, type)) continue;
    const message = decodeMessage<TaskView>(stored.data);
    if (message) found.push(message);
  }
  return found;
}

const noticesOf = async (to: string, type: string, about: Record<string, unknown>) =>
  (await mailbox(to, type)).filter(
    (message) =>
      message.type !== 'task' && Object.entries(about).every(([field, value]) => message.notice[field] === value),
  );
const events = (kind: string, id: string) =>
  whole
    .rows<{ payload: string }>(
      `SELECT payload FROM entries WHERE kind = '${kind}' AND actor_id = '${id}' ORDER BY chain, seq`,
    )
    .map(({ payload }) => (JSON.parse(payload) as { event: { type: string; [field: string]: unknown } }).event);

describe(`services that are killed in the middle (CHAOS_SEED=${seed})`, () => {
  it('of a gang-up: everyone who was asked is told, the next best follows, and a person is told once', async () => {
    const stuck = await swarm('stuck', []);
    const helpers = new Map<string, FabricClient>();
    for (const [i, id] of ['one', 'two', 'three'].entries()) helpers.set(id, await swarm(id, ['ops:database'], i + 1));
    const rounds = [['governor'], ['coordinator'], ['governor', 'coordinator']];
    for (const [round, services] of rounds.entries()) {
      const report = { type: 'access', description: `round ${round}`, severity: 'high' };
      const body = { ...report, required_capabilities: ['ops:database'] };
      const { blocker_id } = await killedDuring(
        services,
        async () => await stuck.request<{ blocker_id: string }>('blocker', 'report', body),
      );
      const get = async () => await operator.request<BlockerView>('blocker', 'get', { blocker_id });
      const answers = async () => (await get()).helpers.map(({ swarm_id, answer }) => [swarm_id, answer]);
      expect(await answers()).toEqual([
        ['one', 'invited'],
        ['two', 'invited'],
      ]);
      const told = async (to: string) => (await noticesOf(to, 'help', { blocker_id })).length;
      for (const id of ['one', 'two']) await until(`${id} is told`, async () => (await told(id)) > 0, 15_000);
      await killedDuring(services, async () => await helpers.get('one')!.request('blocker', 'decline', { blocker_id }));
      await until('the next best is asked', async () => (await get()).helpers.length === 3, 15_000);
      await until('it is told', async () => (await told('three')) > 0, 15_000);
      await running('governor');
      for (const id of ['two', 'three'])
        await killedDuring(round === 0 && id === 'three' ? services : [], async () =>
          helpers.get(id)!.request('blocker', 'decline', { blocker_id }),
        );
      await until('a person is asked', async () => (await get()).state === 'escalated', 15_000);
      const people = async () => (await noticesOf('operator', 'escalation', { blocker_id })).map(({ id }) => id);
      await until('people are told', async () => (await people()).includes(`blocker-escalated.${blocker_id}`));
      expect((await people()).filter((id) => id.startsWith('blocker-escalated.'))).toHaveLength(1);
      for (const id of helpers.keys()) expect(await told(id), `${id} is told once`).toBe(1);
      expect((await get()).helpers.map(({ swarm_id }) => swarm_id)).toEqual(['one', 'two', 'three']);
    }
  }, 120_000);

  it('of an assignment: the swarm finds the task in its mailbox once, and can claim it', async () => {
    const best = await swarm('best', ['code:one']);
    for (const [round, services] of [['governor'], ['coordinator'], ['governor', 'coordinator']].entries()) {
      const task_id = `assigned-${round}`;
      const create = { task_id, task_type: 'build', requires: ['code:one'], assign: true };
      await killedDuring(services, async () => await operator.request('task', 'create', create));
      const mailed = async () =>
        (await mailbox('best', 'task')).filter((one) => one.type === 'task' && one.task.task_id === task_id);
      await until('it is in the mailbox', async () => (await mailed()).length > 0);
      const { assignment } = await operator.request<TaskView>('task', 'get', { task_id });
      expect(assignment).toMatchObject({ to: 'best', asked: [{ swarm_id: 'best' }] });
      expect(await best.request('task', 'claim', { task_id })).toMatchObject({ claimed: true });
      await running('governor');
      expect(await mailed()).toHaveLength(1);
    }
  }, 120_000);

  it('of a circuit that opens: people are told once, and after the cool-down one trial decides', async () => {
    for (const [round, services] of [['governor'], ['coordinator', 'governor']].entries()) {
      const id = `failing-${round}`;
      const failing = await swarm(id, []);
      const claimed = async (name: string) => {
        const task_id = `${id}-${name}`;
        await operator.request('task', 'create', { task_id, task_type: 'build', max_attempts: 1 });
        const answer = await failing.request<{ claimed: boolean; token: number; reason?: string }>('task', 'claim', {
          task_id,
        });
        return { task_id, ...answer };
      };
      const fail = async (name: string) => {
        const { task_id, token } = await claimed(name);
        return async () => await failing.request('task', 'fail', { task_id, token, error: 'broken' });
      };
      for (const name of ['a', 'b']) await (await fail(name))();
      await killedDuring(services, await fail('c'));
      const get = async () => await operator.request<SwarmView>('swarm', 'get', { swarm_id: id });
      await until('its trial has begun', async () => (await get()).circuit === 'closed');
      const about = { type: 'circuit_open', swarm_id: id };
      const opened = async () =>
        (await mailbox('operator', 'escalation')).filter(
          (one) => one.type !== 'task' && Object.entries(about).every(([key, value]) => one.notice[key] === value),
        );
      await until('people are told', async () => (await opened()).length > 0);
      // One failure opens it again: that is news, and the next cool-down follows.
      const trial = await claimed('trial');
      expect(trial.claimed).toBe(true);
      expect(await claimed('second')).toMatchObject({ claimed: false, reason: 'CAPACITY_EXCEEDED' });
      const { task_id, token } = trial;
      await killedDuring(
        services,
        async () => await failing.request('task', 'fail', { task_id, token, error: 'broken' }),
      );
      await until('it is tried again', async () => (await get()).circuit === 'closed');
      await until('people are told again', async () => (await opened()).length === 2);
      const last = await claimed('last');
      await failing.request('task', 'complete', { task_id: last.task_id, token: last.token });
      for (const name of ['d', 'e']) await (await fail(name))();
      expect(await get()).toMatchObject({ circuit: 'closed', counters: { consecutive_failures: 2 } });
      expect(await opened()).toHaveLength(2);
      await until('the witness has all of it', () => events('swarm', id).filter(isTrial).length === 2);
      const times = events('swarm', id).filter(({ type }) => type === 'FAILURE' || type === 'RESET');
      const [, , third, first, fourth, next] = times.map(({ at }) => Number(at));
      expect(first! - third!).toBeGreaterThanOrEqual(cooldown_ms);
      expect(next! - fourth!).toBeGreaterThanOrEqual(cooldown_ms);
    }
  }, 120_000);
});

function isTrial({ type, trial }: { readonly type: string; readonly [field: string]: unknown }): boolean {
  return type === 'RESET' && trial === true;
}
