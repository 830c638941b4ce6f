/** Several processes that hand out the tasks of one fabric, over one real server: no task twice, none forgotten. */

import pino from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Follower, follow } from '../../src/store/follower.ts';
import { GroupCommit } from '../../src/store/group-commit.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { freshId, withStreams } from '../store/fixtures.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';
import { type NextProcess, nextProcess, taskOf } from './next-parts.ts';

const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' });

let cluster: TestCluster;
const running: { process: NextProcess; follower: Follower }[] = [];
beforeAll(async () => {
  cluster = await startTestCluster({ nodes: 1 });
  await withStreams(cluster, 1);
});
afterEach(async () => {
  for (const { process, follower } of running.splice(0)) {
    process.next.stop();
    await follower.stop();
  }
});
afterAll(async () => await cluster.stop());

/** A process with a connection and a view of the log of its own. */
async function start(): Promise<NextProcess> {
  const { namespace } = cluster;
  const nc = await cluster.connect();
  const records = new GroupCommit(new NatsRecordLog(nc, namespace));
  const known = new Map<string, number>();
  let follower: Follower | undefined;
  const process = nextProcess(records, {
    catchUp: async () => await follower?.reached(await records.lastRevision('task')),
    onCommit: ({ record, revision }) => known.set(`${record.kind} ${record.id}`, revision),
  });
  follower = await follow({
    nc,
    namespace,
    log,
    isKnown: (kind, id, revision) => (known.get(`${kind} ${id}`) ?? 0) >= revision,
    onRecord: (stored) => {
      process.store.learn(stored);
      process.next.apply(stored, false);
    },
  });
  running.push({ process, follower });
  return process;
}

/** Ids that no other test of this file uses. */
function names(count: number, prefix: string): string[] {
  const id = freshId(prefix);
  return Array.from({ length: count }, (_, i) => `${id}-${i}`);
}

function swarmNames(count: number): string[] {
  return names(count, 's').map((name) => name.toLowerCase().replaceAll('_', '-'));
}

async function started(count: number): Promise<NextProcess[]> {
  return await Promise.all(Array.from({ length: count }, start));
}

describe('several processes', () => {
  it('never hand out a task twice, also not to two callers of one swarm, and forget none', async () => {
    const processes = await started(3);
    const [everywhere, ...others] = swarmNames(7) as [string, ...string[]];
    for (const id of [everywhere, ...others]) await processes[0]!.register(id);
    const tasks = names(300, 't');
    const got: string[] = [];
    const callers = processes.flatMap((process, i) =>
      [everywhere, everywhere, others[2 * i]!, others[2 * i + 1]!].map(async (swarm) => {
        while (got.length < tasks.length) {
          const task = taskOf(await process.next.next(swarm, { wait_ms: 100 }));
          if (task !== undefined) got.push(task);
        }
      }),
    );
    await Promise.all(
      tasks.map(async (task_id, i) => await processes[i % processes.length]!.create({ task_id, priority: i % 2 })),
    );
    await Promise.all(callers);
    expect(got.toSorted()).toEqual(tasks.toSorted());
  });

  it('wake a caller wherever it waits, and only one of those that wait everywhere', async () => {
    const [one, other] = (await started(2)) as [NextProcess, NextProcess];
    const [here, there] = swarmNames(2) as [string, string];
    for (const id of [here, there]) await one.register(id);
    const [first, second] = names(2, 't') as [string, string];
    const far = other.next.next(there, { wait_ms: 20_000 });
    await until('it waits', () => other.next.stats().parked === 1);
    await one.create({ task_id: first });
    expect(taskOf(await far), 'made available by the other process').toBe(first);

    await until('it is seen that the first is taken', async () => taskOf(await one.next.next(here)) === undefined);
    const waiting = [one.next.next(here, { wait_ms: 20_000 }), other.next.next(there, { wait_ms: 20_000 })] as const;
    await until('both wait', () => one.next.stats().parked + other.next.stats().parked === 2);
    await one.create({ task_id: second });
    expect(taskOf(await waiting[0]), 'the process that made it available tries first').toBe(second);
    other.next.stop();
    expect(taskOf(await waiting[1])).toBeUndefined();
    expect(other.next.stats(), 'the other leaves it the first try').toMatchObject({ claims: 1, conflicts: 0 });
  });

  it('see what the other has just committed, also for a caller that does not wait', async () => {
    const [one, other] = (await started(2)) as [NextProcess, NextProcess];
    const [swarm] = swarmNames(1) as [string];
    const tasks = names(20, 't');
    await one.register(swarm, { max_concurrent_tasks: 1 });
    for (const task_id of tasks) {
      await one.create({ task_id });
      expect(taskOf(await other.next.next(swarm))).toBe(task_id);
      await one.tasks.complete(swarm, task_id, {});
    }
  });

  it('keep to the limit of a key together', async () => {
    const processes = await started(2);
    const swarms = swarmNames(4);
    for (const id of swarms) await processes[0]!.register(id);
    const tasks = names(40, 't');
    const [concurrency_key] = names(1, 'k') as [string];
    let owned = 0;
    let most = 0;
    let done = 0;
    const callers = processes.flatMap((process) =>
      swarms.map(async (swarm) => {
        while (done < tasks.length) {
          const task = taskOf(await process.next.next(swarm, { wait_ms: 100 }));
          if (task === undefined) continue;
          most = Math.max(most, ++owned);
          await new Promise((resolve) => setImmediate(resolve));
          owned--;
          await process.tasks.complete(swarm, task, {});
          done++;
        }
      }),
    );
    await Promise.all(
      tasks.map(async (task_id) => await processes[0]!.create({ task_id, concurrency_key, concurrency_limit: 2 })),
    );
    await Promise.all(callers);
    expect([done, most <= 2]).toEqual([tasks.length, true]);
  });
});
