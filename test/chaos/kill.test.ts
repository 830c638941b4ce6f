/**
 * Everything that can be killed is killed, under load, in an order that a seed decides: what was acknowledged to a client
 * is in the witness once, its chains verify, and every task is what its events say.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterEach, describe, expect, it } from 'vitest';
import { decide } from '../../machines/machine.ts';
import type { ActorRecord, Snapshot } from '../../machines/record.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { startTestFabric, type TestFabric } from '../support/fabric.ts';
import { until } from '../support/temp.ts';

const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000);
const kills = 9;
const program = fileURLToPath(new URL('./worker.mjs', import.meta.url));

interface Acknowledged {
  readonly task_id: string;
  readonly event: string;
  readonly n: number;
  readonly revision: number;
}

interface Row {
  readonly seq: number;
  readonly event: string;
  readonly actor_id: string;
  readonly n: number;
  readonly payload: string;
}

let whole: TestFabric | undefined;
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
  await whole?.stop();
  whole = undefined;
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

async function worker({ fabric, credsOf }: TestFabric, name: string) {
  const child = fork(program, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  children.push(child);
  let ready = false;
  let told: { acknowledged: Acknowledged[]; errors: string[] } | undefined;
  child.on('message', (message: { ready?: true; acknowledged?: Acknowledged[]; errors?: string[] }) => {
    if (message.ready) ready = true;
    if (message.acknowledged) told = { acknowledged: message.acknowledged, errors: message.errors ?? [] };
  });
  child.send({ servers: fabric.servers, creds: await credsOf(name), name, inFlight: 8 });
  await until('a worker is ready', () => ready, 30_000);
  return async () => {
    child.send('stop');
    await until('a worker has told everything', () => told !== undefined || child.exitCode !== null, 70_000);
    if (!told) throw new Error(`the worker ${name} ended with ${child.exitCode}`);
    return told;
  };
}

async function allHealthy({ fabric }: TestFabric): Promise<boolean> {
  const answers = (fabric.cluster?.nodes ?? []).map(async ({ http_port }) => {
    const answer = await fetch(`http://127.0.0.1:${http_port}/healthz`, { signal: AbortSignal.timeout(1_000) }).catch(
      () => undefined,
    );
    return answer?.ok === true;
  });
  return (await Promise.all(answers)).every(Boolean);
}

/** Kills a node when all are there to share its memory, else a service that runs, if there is one. */
async function killOne(target: TestFabric, random: () => number): Promise<string | undefined> {
  const { supervisor, cluster } = target.fabric;
  const nodes = (cluster?.nodes ?? []).map(({ name, pid }) => ({ name, pid }));
  const services = supervisor
    .status()
    .filter(({ state }) => state === 'running')
    .map(({ id, pid }) => ({ name: id, pid }));
  const isNode = random() < 0.3 && (await allHealthy(target));
  const choices = (isNode ? nodes : services).filter(({ pid }) => pid !== null);
  const chosen = choices[Math.floor(random() * choices.length)];
  if (!chosen?.pid) return undefined;
  process.kill(chosen.pid, 'SIGKILL');
  return chosen.name;
}

/** Folds the records of one actor through its machine, and compares each with what was recorded. */
function fold(rows: readonly Row[]): Snapshot<TaskContext> {
  let snapshot = taskMachine.absent;
  for (const [i, { n, payload }] of rows.entries()) {
    const record = JSON.parse(payload) as ActorRecord;
    expect(n).toBe(i + 1);
    const { id: _id, ...event } = record.event;
    const verdict = decide(taskMachine, snapshot, event as never);
    if (!verdict.accepted) throw new Error(`${record.id}: ${verdict.refusal.message}`);
    expect(verdict.snapshot).toEqual(record.snapshot);
    snapshot = verdict.snapshot;
  }
  return snapshot;
}

describe(`services and nodes that are killed under load (CHAOS_SEED=${seed})`, () => {
  it('lose nothing that was acknowledged, and the witness has it once', async () => {
    process.stderr.write(`chaos: CHAOS_SEED=${seed}\n`);
    whole = await startTestFabric({ coordinators: 2 });
    const { fabric, rows, witnessDb, escalations, join } = whole;
    const workers = await Promise.all(['red', 'green', 'blue'].map(async (name) => await worker(whole!, name)));
    const random = numbers(seed);
    const killed: string[] = [];
    const over = performance.now() + 30_000;
    while (killed.length < kills && performance.now() < over) {
      await new Promise((resolve) => setTimeout(resolve, 300 + random() * 1_500));
      const name = await killOne(whole, random);
      if (name !== undefined) killed.push(name);
    }
    process.stderr.write(`chaos: killed ${killed.join(', ')}\n`);
    await until('all nodes are healthy', async () => await allHealthy(whole!), 30_000);
    const told = await Promise.all(workers.map(async (stop) => await stop()));
    expect(escalations).toEqual([]);
    expect(told.flatMap(({ errors }) => errors)).toEqual([]);
    const acknowledged = told.flatMap((one) => one.acknowledged);
    expect(acknowledged.length).toBeGreaterThan(100);

    const jsm = await jetstreamManager(fabric.nc, { checkAPI: false });
    const { last_seq } = (await jsm.streams.info(fabric.namespace.actorsStream)).state;
    await until('the witness has caught up', () => {
      const [last] = rows<{ seq: number | null }>("SELECT max(seq) AS seq FROM entries WHERE chain = 'IF_actors/1'");
      return (last?.seq ?? 0) >= last_seq;
    });
    const stored = rows<Row>(
      "SELECT seq, event, actor_id, n, payload FROM entries WHERE chain = 'IF_actors/1' AND kind = 'task' ORDER BY seq",
    );
    const bySeq = new Map(stored.map((row) => [row.seq, row]));
    for (const { task_id, event, n, revision } of acknowledged) {
      expect(bySeq.get(revision), `${event} of ${task_id}`).toMatchObject({ actor_id: task_id, event, n });
    }
    expect(rows("SELECT seq FROM entries WHERE event = 'gap'")).toEqual([]);
    expect(verifyDatabase(witnessDb)).toMatchObject({ ok: true });

    const operator = await join('operator');
    const byTask = new Map<string, Row[]>();
    for (const row of stored) byTask.set(row.actor_id, [...(byTask.get(row.actor_id) ?? []), row]);
    const sample = [...byTask.keys()].filter((_, i) => i % Math.ceil(byTask.size / 100) === 0);
    for (const [task_id, history] of byTask) {
      const snapshot = fold(history);
      expect(
        history.map(({ event }) => event),
        task_id,
      ).toEqual(['CREATE', 'CLAIM', 'COMPLETE']);
      if (!sample.includes(task_id)) continue;
      const now = await operator.request<{ state: string; n: number; revision: number }>('task', 'get', { task_id });
      expect(now).toMatchObject({ state: snapshot.value, n: history.length, revision: history.at(-1)?.seq });
    }
  }, 150_000);
});
