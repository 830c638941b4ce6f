/**
 * Eight processes spend: a thousand priced claims each, of one swarm each, against budgets of their own and one of the
 * whole fabric that all run out, while processes and coordinators are killed. Nothing is overspent, and nothing stays held.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterEach, describe, expect, it } from 'vitest';
import type { Budget } from '../../machines/budget.ts';
import type { FleetContext } from '../../machines/fleet/context.ts';
import { addUsd } from '../../machines/money.ts';
import type { ActorRecord } from '../../machines/record.ts';
import type { SwarmContext } from '../../machines/swarm/context.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { startTestFabric, type TestFabric } from '../support/fabric.ts';
import { until } from '../support/temp.ts';

const swarmCount = 8;
const claimsEach = 1_000;
const taskCount = 2_000;
const swarmUsd = 1.5;
/** Less than the swarms have together, so that each budget runs out somewhere. */
const fabricUsd = 9;
const prices = [0.01, 0.02, 0.03, 0.000_002];
const program = fileURLToPath(new URL('./spender.mjs', import.meta.url));

interface Outcome {
  readonly claims: number;
  readonly won: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly completed: ReadonlyArray<{ readonly task_id: string; readonly cost_usd: number }>;
  readonly errors: readonly string[];
}

let whole: TestFabric | undefined;
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
  await whole?.stop();
  whole = undefined;
});

async function spender({ fabric, credsOf }: TestFabric, name: string, tasks: readonly string[]) {
  const child = fork(program, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  children.push(child);
  let left = tasks.length;
  let ready = false;
  let outcome: Outcome | undefined;
  child.on('message', (message: { ready?: true; left?: number; outcome?: Outcome }) => {
    if (message.ready) ready = true;
    left = Math.min(left, message.left ?? left);
    outcome = message.outcome ?? outcome;
  });
  const priceOf = Object.fromEntries(tasks.map((id) => [id, price(id)]));
  child.send({ servers: fabric.servers, creds: await credsOf(name), tasks, prices: priceOf, inFlight: 8 });
  await until('a spender is ready', () => ready || child.exitCode !== null, 30_000);
  return {
    begin: () => child.send('begin'),
    done: () => tasks.length - left,
    kill: () => void child.kill('SIGKILL'),
    async outcome(): Promise<Outcome> {
      await until('a spender is done', () => outcome !== undefined || child.exitCode !== null, 150_000);
      if (!outcome) throw new Error(`a spender ended with ${child.exitCode}`);
      return outcome;
    },
  };
}

function price(task_id: string): number {
  return prices[Number(task_id.split('-')[1]) % prices.length]!;
}

async function createTasks(client: FabricClient): Promise<string[]> {
  const ids = Array.from({ length: taskCount }, (_, i) => `paid-${i}`);
  for (let i = 0; i < ids.length; i += 100) {
    const some = ids.slice(i, i + 100);
    const content = { task_type: 'race', lease_ms: 10_000, max_attempts: 1_000 };
    const creating = some.map(
      async (task_id) => await client.request('task', 'create', { task_id, ...content, cost_estimate: price(task_id) }),
    );
    await Promise.all(creating);
  }
  return ids;
}

async function recordsOf({ fabric, rows }: TestFabric): Promise<ActorRecord[]> {
  const jsm = await jetstreamManager(fabric.nc, { checkAPI: false });
  const { last_seq } = (await jsm.streams.info(fabric.namespace.actorsStream)).state;
  await until('the witness has caught up', () => {
    const [last] = rows<{ seq: number | null }>("SELECT max(seq) AS seq FROM entries WHERE chain = 'IF_actors/1'");
    return (last?.seq ?? 0) >= last_seq;
  });
  const stored = rows<{ payload: string }>(
    "SELECT payload FROM entries WHERE kind IN ('task', 'swarm', 'fleet') AND actor_id IS NOT NULL ORDER BY seq",
  );
  return stored.map(({ payload }) => JSON.parse(payload) as ActorRecord);
}

/** In every record the budget holds, and in the last ones nothing is reserved. Answers with the last ones. */
function checkBudgets(records: readonly ActorRecord[]): Map<string, Budget> {
  const last = new Map<string, Budget>();
  for (const { kind, id, event, snapshot } of records) {
    if (kind === 'task') continue;
    const { budget } = snapshot.context as SwarmContext | FleetContext;
    if (!budget) continue;
    const what = `${event.type} of ${kind}:${id}`;
    expect(addUsd(budget.spent_usd, budget.reserved_usd), what).toBeLessThanOrEqual(budget.allocated_usd);
    expect(Math.min(budget.spent_usd, budget.reserved_usd), what).toBeGreaterThanOrEqual(0);
    expect(budget.overrun_usd, what).toBe(0);
    last.set(`${kind}:${id}`, budget);
  }
  for (const [ref, budget] of last) expect(budget.reserved_usd, `${ref} holds nothing any more`).toBe(0);
  return last;
}

describe('eight processes with a thousand priced claims each', () => {
  it('overspend by nothing, and leave nothing reserved, though processes and coordinators are killed', async () => {
    whole = await startTestFabric({ coordinators: 2 });
    const { fabric, join, escalations } = whole;
    const operator = await join('operator');
    const names = Array.from({ length: swarmCount }, (_, i) => `spender-${i}`);
    for (const swarm_id of names) await operator.request('swarm', 'invite', { swarm_id, budget_usd: swarmUsd });
    await operator.request('governor', 'allocate_budget', { fabric: true, budget_usd: fabricUsd });
    const tasks = await createTasks(operator);
    const share = (i: number) =>
      Array.from({ length: claimsEach }, (_, k) => tasks[(k * 7 + i * (taskCount / swarmCount)) % taskCount]!);
    const spenders = await Promise.all(names.map(async (name, i) => await spender(whole!, name, share(i))));
    const begunAt = performance.now();
    for (const { begin } of spenders) begin();

    const total = () => spenders.reduce((sum, { done }) => sum + done(), 0);
    const killCoordinator = (id: string) => {
      const pid = fabric.supervisor.status().find((service) => service.id === id)?.pid;
      if (pid) process.kill(pid, 'SIGKILL');
    };
    await until('some is spent', () => total() > 0.08 * swarmCount * claimsEach, 120_000);
    killCoordinator('coordinator-1');
    spenders[0]!.kill();
    await until('more is spent', () => total() > 0.2 * swarmCount * claimsEach, 120_000);
    spenders[1]!.kill();
    killCoordinator('coordinator-2');
    const outcomes = await Promise.all(spenders.slice(2).map(async (one) => await one.outcome()));
    const seconds = Math.round((performance.now() - begunAt) / 1_000);
    expect(outcomes.flatMap(({ errors }) => errors)).toEqual([]);
    expect(outcomes.map(({ claims }) => claims)).toEqual(outcomes.map(() => claimsEach));
    const refused = outcomes.reduce((sum, one) => sum + (one.refused['BUDGET_EXHAUSTED'] ?? 0), 0);
    expect(refused, 'budgets ran out').toBeGreaterThan(0);

    // What the killed ones held comes back when its leases are over.
    await until(
      'nobody owns anything',
      async () => {
        const owned = ['claimed', 'in_progress'].map(
          async (state) => await operator.request<{ tasks: unknown[] }>('task', 'list', { state }),
        );
        return (await Promise.all(owned)).every(({ tasks: some }) => some.length === 0);
      },
      60_000,
    );
    const records = await recordsOf(whole);
    const last = checkBudgets(records);

    // Every dollar is that of one completion, and what was acknowledged is among them.
    const costs = new Map<string, number>();
    const told = new Map<string, number>();
    for (const { kind, id, event, snapshot } of records) {
      if (kind !== 'task' || event.type !== 'COMPLETE') continue;
      const { owner, cost } = snapshot.context as TaskContext;
      expect(costs.has(id), `${id} is completed once`).toBe(false);
      costs.set(id, cost!.cost_usd);
      told.set(owner!, addUsd(told.get(owner!) ?? 0, cost!.cost_usd));
    }
    for (const { task_id, cost_usd } of outcomes.flatMap(({ completed }) => completed))
      expect(costs.get(task_id), task_id).toBe(cost_usd);
    for (const name of names) expect(last.get(`swarm:${name}`)?.spent_usd, name).toBe(told.get(name) ?? 0);
    const sum = [...told.values()].reduce(addUsd, 0);
    expect(last.get('fleet:fabric')?.spent_usd).toBe(sum);
    const claims = outcomes.reduce((count, one) => count + one.claims, 0);
    process.stderr.write(
      `paid race: ${claims} claims in ${seconds} s; ${costs.size} completed for ${sum} dollars, ${refused} refused for money\n`,
    );
    expect(escalations).toEqual([]);
  }, 300_000);
});
