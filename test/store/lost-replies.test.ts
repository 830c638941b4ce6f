/**
 * Writes whose answer is lost: each takes effect once, and is never reported as failed when it took effect. The network
 * is a real proxy that swallows what passes; the truth is what the stream holds.
 */
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ActorRecord } from '../../machines/record.ts';
import { connectTo } from '../../src/bus/connection.ts';
import { FabricError } from '../../src/errors.ts';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { GroupCommit } from '../../src/store/group-commit.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import type { Appended, RecordLog, Write } from '../../src/store/record-log.ts';
import { recordFrom } from '../../src/store/record-message.ts';
import { newId } from '../../src/store/unique-id.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';
import { withStreams } from './fixtures.ts';
import { type SwallowingProxy, startProxy } from './swallowing-proxy.ts';

let cluster: TestCluster;
let admin: NatsConnection;
let truth: NatsRecordLog;
const opened: NatsConnection[] = [];
const proxies: SwallowingProxy[] = [];

beforeAll(async () => {
  cluster = await startTestCluster();
  admin = await withStreams(cluster);
  truth = new NatsRecordLog(admin, cluster.namespace);
});
afterAll(async () => {
  for (const nc of opened) await nc.close();
  for (const proxy of proxies) await proxy.stop();
  await cluster?.stop();
});

/** Connected to these servers only, also when they fail. */
async function connectOnly(servers: readonly string[]): Promise<NatsConnection> {
  const { authenticator, inboxPrefix } = authFromCreds(await cluster.identity.operatorCreds());
  const nc = await connect({
    servers: [...servers],
    authenticator,
    inboxPrefix,
    ignoreClusterUpdates: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    reconnectJitter: 0,
  });
  opened.push(nc);
  return nc;
}

/** Connected as services are. */
async function connectAsService(): Promise<NatsConnection> {
  const { authenticator, inboxPrefix } = authFromCreds(await cluster.identity.operatorCreds());
  const nc = await connectTo({ servers: cluster.cluster.servers, authenticator, inboxPrefix, name: 'lost-replies' });
  opened.push(nc);
  return nc;
}

function write(id: string, n: number, expected: number): Write {
  const record: ActorRecord = {
    v: 1,
    kind: 'probe',
    id,
    n,
    event: { id: newId(), type: 'WRITE' },
    at: Date.now(),
    by: 'IF.test',
    trace_id: 't',
    snapshot: { status: 'active', value: 'open', context: { n } },
  };
  return { record, expected };
}

const probe = (id: string) => ({ kind: 'probe', id });
const eventOf = ({ record }: Write) => record.event.id;

/** The event ids that the stream holds, in order, with the sequence of each. */
async function everything(nc: NatsConnection): Promise<Map<string, number[]>> {
  const consumer = await jetstream(nc).consumers.get(cluster.namespace.actorsStream, {
    filter_subjects: [`$KV.${cluster.namespace.actorsBucket}.probe.>`],
  });
  const found = new Map<string, number[]>();
  const { num_pending } = await consumer.info();
  if (num_pending === 0) return found;
  for await (const message of await consumer.consume()) {
    const { event } = recordFrom(message.data);
    found.set(event.id, [...(found.get(event.id) ?? []), message.seq]);
    if (message.info.pending === 0) break;
  }
  return found;
}

type Outcome = Appended | FabricError;
const outcomeOf = async (promise: Promise<Appended>): Promise<Outcome> =>
  await promise.catch((error: unknown) => {
    if (error instanceof FabricError) return error;
    throw error;
  });

/** What was reported of each commit is what the stream holds of it. */
async function expectTruth(
  commits: ReadonlyArray<readonly Write[]>,
  outcomes: readonly Outcome[],
  through = admin,
): Promise<void> {
  const held = await everything(through);
  for (const [i, writes] of commits.entries()) {
    const outcome = outcomes[i]!;
    if (outcome instanceof FabricError) throw outcome;
    const sequences = writes.map((one) => held.get(eventOf(one)) ?? []);
    if (outcome.committed) expect(sequences, `commit ${i}`).toEqual(outcome.revisions.map((revision) => [revision]));
    else expect(sequences.flat(), `commit ${i} was reported as not applied`).toEqual([]);
  }
}

const perRound = { singles: 100, batches: 40, ofBatch: 3 } as const;

/** New actors, single ones and in batches; a batch also writes its first actor twice. */
function commitsOf(): Write[][] {
  const singles = Array.from({ length: perRound.singles }, () => [write(newId(), 1, 0)]);
  const batches = Array.from({ length: perRound.batches }, () => {
    const writes = Array.from({ length: perRound.ofBatch }, () => write(newId(), 1, 0));
    return [...writes, write(writes[0]!.record.id, 2, 0)];
  });
  return [...singles, ...batches];
}

describe('a write whose answer is lost', () => {
  let proxy: SwallowingProxy;
  let log: RecordLog;
  beforeAll(async () => {
    proxy = await startProxy(cluster.cluster.nodes[0]!.port);
    proxies.push(proxy);
    const nc = await connectOnly([`127.0.0.1:${proxy.port}`]);
    log = new NatsRecordLog(nc, cluster.namespace, { attemptTimeoutMs: 500 });
  });

  const deadline = () => Date.now() + 20_000;
  const headIs = async (revision: number) => (await truth.lastRevision('probe')) >= revision;

  it('has taken effect once and is reported so: 1,120 commits, 140 in flight at each cut', async () => {
    for (let round = 0; round < 8; round++) {
      const commits = commitsOf();
      const before = await truth.lastRevision('probe');
      proxy.lose('answers');
      const running = commits.map(async (writes) => await outcomeOf(log.append(writes, deadline())));
      await until('all were applied', async () => await headIs(before + commits.flat().length));
      proxy.cut();
      const outcomes = await Promise.all(running);
      expect(outcomes.every((outcome) => !(outcome instanceof FabricError) && outcome.committed)).toBe(true);
      await expectTruth(commits, outcomes);
    }
  });

  it('is recognised also when others have changed its actor since', async () => {
    const commits = commitsOf();
    const before = await truth.lastRevision('probe');
    proxy.lose('answers');
    const running = commits.map(async (writes) => await outcomeOf(log.append(writes, deadline())));
    await until('all were applied', async () => await headIs(before + commits.flat().length));
    for (const writes of commits) {
      const last = await truth.read(probe(writes[0]!.record.id));
      await truth.append([write(last!.record.id, last!.record.n + 1, last!.revision)], deadline());
    }
    proxy.cut();
    const outcomes = await Promise.all(running);
    expect(outcomes.every((outcome) => !(outcome instanceof FabricError) && outcome.committed)).toBe(true);
    await expectTruth(commits, outcomes);
  });

  it('in a group with others is each reported for itself', async () => {
    const group = new GroupCommit(log, { maxInFlight: 2 });
    for (let round = 0; round < 2; round++) {
      const commits = commitsOf();
      const before = await truth.lastRevision('probe');
      proxy.lose('answers');
      const running = commits.map(async (writes) => await outcomeOf(group.append(writes, deadline())));
      await until('some were applied', async () => await headIs(before + 1));
      proxy.cut();
      const outcomes = await Promise.all(running);
      expect(outcomes.every((outcome) => !(outcome instanceof FabricError) && outcome.committed)).toBe(true);
      await expectTruth(commits, outcomes);
    }
  });

  it('or that never arrived, is applied late unless someone else was faster', async () => {
    const commits = commitsOf();
    proxy.lose('requests');
    const running = commits.map(async (writes) => await outcomeOf(log.append(writes, deadline())));
    // Every second commit meets an actor that exists by now.
    for (const writes of commits.filter((_, i) => i % 2 === 1))
      await truth.append([write(writes[0]!.record.id, 1, 0)], deadline());
    proxy.cut();
    const outcomes = await Promise.all(running);
    expect(outcomes.map((outcome) => !(outcome instanceof FabricError) && outcome.committed)).toEqual(
      commits.map((_, i) => i % 2 === 0),
    );
    await expectTruth(commits, outcomes);
  });

  it('for longer than its time is said to be unknown, never to have failed', async () => {
    const commits = commitsOf().slice(0, 20);
    const before = await truth.lastRevision('probe');
    proxy.lose('answers');
    const running = commits.map(async (writes) => await outcomeOf(log.append(writes, Date.now() + 600)));
    await until('all were applied', async () => await headIs(before + commits.flat().length));
    for (const outcome of await Promise.all(running)) {
      expect(outcome).toMatchObject({
        code: 'UNAVAILABLE',
        retryable: true,
        message: expect.stringContaining('not known'),
      });
    }
    proxy.cut();
  });
});

describe('a node that freezes with the client attached', () => {
  it('loses no write, applies none twice, and holds nobody up for long', async () => {
    const nc = await connectAsService();
    const log = new NatsRecordLog(nc, cluster.namespace);
    const port = Number(nc.getServer().split(':').at(-1));
    const pid = cluster.cluster.nodes.find((node) => node.port === port)?.pid;
    if (!pid) throw new Error(`no node listens on ${port}`);
    const witness = await connectOnly(cluster.cluster.servers.filter((url) => !url.endsWith(`:${port}`)));
    const commits: Write[][] = [];
    const running: Promise<Outcome>[] = [];
    let enough = Number.POSITIVE_INFINITY;
    const load = async () => {
      while (commits.length < enough) {
        const writes = commits.length % 3 === 0 ? [write(newId(), 1, 0), write(newId(), 1, 0)] : [write(newId(), 1, 0)];
        commits.push(writes);
        const one = outcomeOf(log.append(writes, Date.now() + 20_000));
        running.push(one);
        await one;
      }
    };
    const loads = Array.from({ length: 32 }, load);
    await until('writes are under way', () => commits.length > 500);
    process.kill(pid, 'SIGSTOP');
    try {
      enough = commits.length + 200;
      const since = performance.now();
      await Promise.all(loads);
      const outcomes = await Promise.all(running);
      expect(performance.now() - since).toBeLessThan(15_000);
      expect(outcomes.filter((outcome) => !(outcome instanceof FabricError) && outcome.committed)).toHaveLength(
        commits.length,
      );
      process.kill(pid, 'SIGCONT');
      // What the frozen node still held is sent now; none of it may take effect a second time.
      await until('the node is healthy again', async () => await isHealthy(port));
      await new NatsRecordLog(witness, cluster.namespace).append([write(newId(), 1, 0)], Date.now() + 20_000);
      await expectTruth(commits, outcomes, witness);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });
});

describe('a leader that has lost its peers for a moment', () => {
  it('leaves writes in flight, which are asked for again meanwhile and take effect once', async () => {
    const jsm = await jetstreamManager(admin, { checkAPI: false });
    const leader = (await jsm.streams.info(cluster.namespace.actorsStream)).cluster?.leader;
    const { nodes } = cluster.cluster;
    const nc = await connectOnly(nodes.filter(({ name }) => name === leader).map(({ port }) => `127.0.0.1:${port}`));
    const log = new NatsRecordLog(nc, cluster.namespace, { attemptTimeoutMs: 150 });
    const commits = commitsOf();
    const followers = nodes.filter(({ name }) => name !== leader).map(({ pid }) => pid ?? 0);
    let running: Promise<Outcome>[];
    try {
      for (const pid of followers) process.kill(pid, 'SIGSTOP');
      running = commits.map(async (writes) => await outcomeOf(log.append(writes, Date.now() + 20_000)));
      // Time for several tries of each; nothing can be committed meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    } finally {
      for (const pid of followers) process.kill(pid, 'SIGCONT');
    }
    const outcomes = await Promise.all(running);
    expect(outcomes.filter((outcome) => !(outcome instanceof FabricError) && outcome.committed)).toHaveLength(
      commits.length,
    );
    for (const { port } of nodes) await until('the nodes are healthy again', async () => await isHealthy(port));
    await expectTruth(commits, outcomes, nc);
  });
});

async function isHealthy(port: number): Promise<boolean> {
  const http = cluster.cluster.nodes.find((node) => node.port === port)?.http_port;
  const url = `http://127.0.0.1:${http}/healthz`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined);
  return answer?.ok === true;
}
