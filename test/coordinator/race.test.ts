/** Many processes race for the same tasks: each task has one winner, everyone is told the truth, and so is the witness. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { FabricClient } from '../../src/bus/client.ts';
import { startTestFabric, type TestFabric } from '../support/fabric.ts';
import { until } from '../support/temp.ts';

const taskCount = 1_000;
const swarmCount = 8;
const program = fileURLToPath(new URL('./claimant.mjs', import.meta.url));

interface Outcome {
  readonly won: Array<{ task_id: string; token: number; owner: string }>;
  readonly lost: Array<{ task_id: string; reason: string; owner?: string }>;
  readonly errors: string[];
}

let whole: TestFabric | undefined;
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
  await whole?.stop();
  whole = undefined;
});

/** A claimant that is ready to begin. */
async function claimant(servers: readonly string[], creds: string, tasks: readonly string[]) {
  const child = fork(program, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  children.push(child);
  let left = tasks.length;
  let outcome: Outcome | undefined;
  let ready = false;
  child.on('message', (message: { ready?: true; left?: number; outcome?: Outcome }) => {
    if (message.ready) ready = true;
    left = message.left ?? left;
    outcome = message.outcome ?? outcome;
  });
  child.send({ servers, creds, tasks, inFlight: 16 });
  await until('a claimant is ready', () => ready || child.exitCode !== null, 30_000);
  return {
    begin: () => child.send('begin'),
    done: () => tasks.length - left,
    async outcome(): Promise<Outcome> {
      await until('a claimant is done', () => outcome !== undefined || child.exitCode !== null, 90_000);
      if (!outcome) throw new Error(`a claimant ended with ${child.exitCode}`);
      return outcome;
    },
  };
}

async function createTasks(client: FabricClient, prefix: string): Promise<string[]> {
  const ids = Array.from({ length: taskCount }, (_, i) => `${prefix}-${i}`);
  for (let i = 0; i < ids.length; i += 100) {
    await Promise.all(
      ids
        .slice(i, i + 100)
        .map(async (task_id) => await client.request('task', 'create', { task_id, task_type: 'race' })),
    );
  }
  return ids;
}

/** Runs the race; `middle` happens when a quarter of the claims has been answered. */
async function race(
  { fabric, join, credsOf, rows }: TestFabric,
  prefix: string,
  middle: () => Promise<void> = async () => {},
): Promise<void> {
  const operator = await join('operator');
  const tasks = await createTasks(operator, prefix);
  const names = Array.from({ length: swarmCount }, (_, i) => `${prefix}-swarm-${i}`);
  const claimants = await Promise.all(
    names.map(async (name) => await claimant(fabric.servers, await credsOf(name), tasks)),
  );
  for (const { begin } of claimants) begin();
  const answered = () => claimants.reduce((sum, { done }) => sum + done(), 0);
  await until('a quarter is done', () => answered() > (taskCount * swarmCount) / 4, 60_000);
  await middle();
  const outcomes = await Promise.all(claimants.map(async (one) => await one.outcome()));

  expect(outcomes.flatMap(({ errors }) => errors)).toEqual([]);
  const owners = new Map<string, { owner: string; token: number }>();
  for (const [i, { won }] of outcomes.entries()) {
    for (const { task_id, token, owner } of won) {
      expect(owners.has(task_id), `${task_id} was won twice`).toBe(false);
      expect(owner).toBe(names[i]);
      owners.set(task_id, { owner, token });
    }
  }
  expect(owners.size).toBe(taskCount);
  for (const { lost } of outcomes) {
    for (const { task_id, reason, owner } of lost)
      expect([reason, owner]).toEqual(['TASK_NOT_AVAILABLE', owners.get(task_id)?.owner]);
  }
  expect(
    outcomes.every(({ won }) => won.length > 0),
    'everyone won something',
  ).toBe(true);

  const claims = () =>
    rows<{ actor_id: string; swarm_id: string }>(
      `SELECT actor_id, swarm_id FROM entries WHERE kind = 'task' AND event = 'CLAIM' AND actor_id LIKE '${prefix}-%'`,
    );
  await until('the witness has every claim', () => claims().length >= taskCount);
  const witnessed = claims();
  expect(witnessed).toHaveLength(taskCount);
  expect(new Map(witnessed.map(({ actor_id, swarm_id }) => [actor_id, swarm_id]))).toEqual(
    new Map([...owners].map(([id, { owner }]) => [id, owner])),
  );
}

describe('eight swarms in processes of their own race for a thousand tasks', () => {
  it('through one coordinator: each task is won once', async () => {
    whole = await startTestFabric({ coordinators: 1 });
    await race(whole, 'one');
  }, 120_000);

  it('through two coordinators, also while the node that leads the log is killed', async () => {
    whole = await startTestFabric({ coordinators: 2 });
    await race(whole, 'two');
    const { leaderPid, escalations } = whole;
    await race(whole, 'killed', async () => void process.kill(await leaderPid(), 'SIGKILL'));
    expect(escalations).toEqual([]);
  }, 180_000);
});
