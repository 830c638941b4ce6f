/**
 * Pushed tasks against a bare publish, in one run on one three-node in-memory cluster, push by push: until a live subscriber
 * with a swarm's credentials has the task, until its mailbox reader has it, and until the sender has its answer. The reader
 * waits when the push is sent; how fast it empties a mailbox that has filled up is measured apart.
 *
 *     node dist/bench/push.js            a table
 *     node dist/bench/push.js --json     the figures
 */
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { Mailboxes } from '../actors/coordinator/mailboxes/mailboxes.ts';
import { swarmView } from '../actors/coordinator/swarms/swarm-view.ts';
import { taskView } from '../actors/coordinator/tasks/task-view.ts';
import { swarmMachine } from '../machines/swarm/machine.ts';
import { taskMachine } from '../machines/task/machine.ts';
import { systemClock } from '../src/clock.ts';
import { openIdentity } from '../src/identity/identity.ts';
import { openMailboxGate } from '../src/identity/mailbox-gate.ts';
import { join } from '../src/sdk/join.ts';
import { readMailbox } from '../src/sdk/mailbox.ts';
import { ActorStore } from '../src/store/actor-store.ts';
import { GroupCommit } from '../src/store/group-commit.ts';
import { decodeMessage } from '../src/store/mailbox-message.ts';
import { NatsRecordLog } from '../src/store/nats-record-log.ts';
import { ensureMailbox } from '../src/store/streams.ts';
import { newId } from '../src/store/unique-id.ts';
import { startBenchCluster } from './bench-cluster.ts';
import { percentiles, rounded, throughput } from './measure.ts';

const warmUps = 200;
const pushes = 2_000;
const backlog = 2_000;
/** Between two pushes, so that the reader waits again, milliseconds. */
const pauseMs = 10;
const [sender, receiver] = ['sender', 'receiver'];
const cause = { by: sender, trace_id: 'bench' };

/** Resolves when told of an id; what is told in advance is remembered. */
class Arrivals {
  readonly #waiting = new Map<string, (at: number) => void>();

  arrived(id: string): void {
    this.#waiting.get(id)?.(performance.now());
    this.#waiting.delete(id);
  }

  async of(id: string): Promise<number> {
    return await new Promise((resolve) => this.#waiting.set(id, resolve));
  }
}

const cluster = await startBenchCluster();
try {
  const { namespace } = cluster;
  const nc = await cluster.connect();
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const store = new ActorStore({ log: new GroupCommit(new NatsRecordLog(nc, namespace)), clock: systemClock, newId });
  const mailboxes = new Mailboxes({
    nc,
    jsm,
    namespace,
    log: cluster.log,
    createTask: () => Promise.reject(new Error('not measured')),
    getTask: async (id) => taskView((await store.read({ kind: 'task', id }))!),
    getSwarm: async (id) => swarmView((await store.read({ kind: 'swarm', id }))!),
  });
  const gate = openMailboxGate(nc, namespace);
  await store.dispatch(swarmMachine, receiver, { type: 'REGISTER', capabilities: [], cost_per_hour: 0 }, cause);
  await ensureMailbox(jsm, namespace, receiver);

  let created = 0;
  const tasks = async (count: number): Promise<string[]> => {
    const ids = Array.from({ length: count }, () => `t${created++}`);
    const create = { type: 'CREATE', task_type: 'bench', ...cause, open_dependencies: [] };
    await throughput(
      ids.map((id) => async () => await store.dispatch(taskMachine, id, create, cause)),
      64,
    );
    return ids;
  };
  const push = async (task_id: string) => await mailboxes.push(sender, { to: receiver, what: { task_id } });

  const identity = await openIdentity(cluster.dataDir, namespace);
  const creds = await identity.mintSwarm(receiver);
  const { client, close } = await join({ servers: [`nats://${nc.getServer()}`], creds });
  const [bare, live, read] = [new Arrivals(), new Arrivals(), new Arrivals()];
  const listener = await cluster.connect();
  listener.subscribe('bench.bare', { callback: (_, message) => bare.arrived(message.string()) });
  client.connection.subscribe(namespace.mailboxSubject(receiver, '>'), {
    callback: (_, { data }) => {
      const message = decodeMessage<{ task_id: string }>(data);
      if (message?.type === 'task') live.arrived(message.task.task_id);
    },
  });
  await Promise.all([listener.flush(), client.connection.flush(), nc.flush()]);

  let handled = 0;
  const reader = () => {
    const stopping = new AbortController();
    const done = readMailbox({
      client,
      signal: stopping.signal,
      onMessage(message) {
        handled++;
        if (message.type === 'task') read.arrived(message.task.task_id);
      },
      onTrouble: ({ message }) => process.stderr.write(`${message}\n`),
    });
    return async () => {
      stopping.abort();
      await done;
    };
  };
  const stopReading = reader();
  // Interest in a subject travels to the other nodes by itself.
  await delay(500);

  const samples: Record<'bare' | 'answered' | 'live' | 'read', number[]> = {
    bare: [],
    answered: [],
    live: [],
    read: [],
  };
  for (const [i, id] of (await tasks(warmUps + pushes)).entries()) {
    await delay(pauseMs);
    const bareAt = bare.of(id);
    const bareBegun = performance.now();
    nc.publish('bench.bare', id);
    const bareMs = (await bareAt) - bareBegun;
    const arrivals = Promise.all([live.of(id), read.of(id)]);
    const begun = performance.now();
    await push(id);
    const answeredMs = performance.now() - begun;
    const [liveAt, readAt] = await arrivals;
    if (i < warmUps) continue;
    samples.bare.push(bareMs);
    samples.answered.push(answeredMs);
    samples.live.push(liveAt - begun);
    samples.read.push(readAt - begun);
  }
  await stopReading();

  const pushRate = await throughput(
    (await tasks(backlog)).map((id) => async () => await push(id)),
    64,
  );
  handled = 0;
  const begun = performance.now();
  const stopEmptying = reader();
  while (handled < backlog) await delay(5);
  const readRate = (backlog / (performance.now() - begun)) * 1_000;
  await stopEmptying();
  await close();
  await mailboxes.stop();
  await gate.close();

  const floor = percentiles(samples.bare);
  const names = {
    bare: 'bare publish to a subscriber',
    live: 'push to a live subscriber',
    read: 'push to the mailbox reader',
    answered: 'push answered (stored)',
  };
  const latency = Object.entries(names).map(([key, what]) => {
    const { p50, p99, max } = percentiles(samples[key as keyof typeof samples]);
    return {
      what,
      p50_ms: rounded(p50, 3),
      p99_ms: rounded(p99, 3),
      max_ms: rounded(max, 3),
      p50_ratio: rounded(p50 / floor.p50),
    };
  });
  const rates = { pushes_per_s: Math.round(pushRate), read_per_s: Math.round(readRate) };
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, nats-server ${cluster.version}`;
  if (process.argv.includes('--json')) {
    const date = new Date().toISOString().slice(0, 10);
    process.stdout.write(`${JSON.stringify({ machine, date, pushes, latency, ...rates }, null, 2)}\n`);
  } else {
    process.stdout.write(`pushed tasks, R3 memory, ${pushes} pushes\n${machine}\n`);
    console.table(latency);
    console.table([rates]);
  }
} finally {
  await cluster.stop();
}
