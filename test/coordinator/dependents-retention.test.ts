/** A task that has ended stays in the log as long as one that has not ended depends on it; a free semaphore does not. */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NeededTasks } from '../../actors/witness/needed-tasks.ts';
import { Retention } from '../../actors/witness/retention.ts';
import { semaphoreMachine } from '../../machines/semaphore/machine.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { systemClock } from '../../src/clock.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import { newId } from '../../src/store/unique-id.ts';
import { all, cause, claim, create, freshId, withStreams } from '../store/fixtures.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';

let cluster: TestCluster;
let nc: NatsConnection;
let jsm: JetStreamManager;
let log: NatsRecordLog;
let store: ActorStore;
const keepers: Retention[] = [];
const minute = 60_000;

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: 1 });
  nc = await withStreams(cluster, 1);
  jsm = await jetstreamManager(nc, { checkAPI: false });
  log = new NatsRecordLog(nc, cluster.namespace);
  store = new ActorStore({ log, clock: systemClock, newId });
});
afterEach(async () => {
  for (const keeper of keepers.splice(0)) await keeper.stop();
});
afterAll(async () => await cluster?.stop());

/** Retention that only does what a test asks. */
function retention(): Retention {
  const silent = { warn: () => {}, error: () => {} } as never;
  const { namespace } = cluster;
  const options = { nc, jsm, namespace, log: silent, archiveAfterMs: 10 * minute, everyMs: 3_600_000 };
  const keeper = new Retention({ ...options, stored: () => Number.MAX_SAFE_INTEGER });
  keepers.push(keeper);
  return keeper;
}

const make = async (id: string, depends_on: string[] = [], open_dependencies: string[] = []) =>
  await store.dispatch(taskMachine, id, { ...create, depends_on, open_dependencies }, cause);
async function complete(id: string): Promise<void> {
  const { record } = await store.dispatch(taskMachine, id, claim('alpha'), cause);
  const { token } = record.snapshot.context as TaskContext;
  await store.dispatch(taskMachine, id, { type: 'COMPLETE', by: 'alpha', token, result: 1 }, cause);
}
const isKept = async (id: string, kind = 'task') => (await all(log.history({ kind, id }))).length > 0;
async function trim(keeper: Retention): Promise<void> {
  while (await keeper.round(Date.now() + 60 * minute));
}

describe('a task that has ended', () => {
  it('stays as long as one that depends on it has not ended, whether that was created before or after', async () => {
    const [before, after, other] = [freshId('before'), freshId('after'), freshId('other')];
    const [waits, ready] = [freshId('waits'), freshId('ready')];
    const open = freshId('open');
    for (const id of [before, after, other, open]) await make(id);
    await make(waits, [before, open], [before, open]);
    for (const id of [before, after, other]) await complete(id);
    await make(ready, [after]);
    const keeper = retention();
    await trim(keeper);
    expect([await isKept(before), await isKept(after), await isKept(other)]).toEqual([true, true, false]);

    await complete(ready);
    await trim(keeper);
    expect([await isKept(before), await isKept(after)]).toEqual([true, false]);

    await store.dispatch(taskMachine, waits, { type: 'CANCEL', by: 'alpha', reason: null }, cause);
    await trim(keeper);
    expect(await isKept(before)).toBe(false);
    expect(await isKept(open)).toBe(true);
  });

  it('stays also where retention begins again, and where the record that created its dependent is trimmed', async () => {
    const [first, second] = [freshId('first'), freshId('second')];
    await make(first);
    await complete(first);
    await make(second, [first]);
    const { revision } = await store.dispatch(taskMachine, second, claim('alpha'), cause);
    await jsm.streams.purge(cluster.namespace.actorsStream, { filter: `$KV.IF_actors.task.${second}`, seq: revision });
    for (const keeper of [retention(), retention()]) {
      await trim(keeper);
      expect(await isKept(first)).toBe(true);
    }
    const last = (await log.read({ kind: 'task', id: second }))!;
    const { token } = last.record.snapshot.context as TaskContext;
    await store.dispatch(taskMachine, second, { type: 'COMPLETE', by: 'alpha', token, result: null }, cause);
    await trim(retention());
    expect(await isKept(first)).toBe(false);
  });

  it('is needed by each of its dependents, among thousands of records', async () => {
    const root = freshId('root');
    await make(root);
    const ids = Array.from({ length: 12_000 }, (_, i) => `${root}-${i}`);
    for (let from = 0; from < ids.length; from += 500) {
      const some = ids.slice(from, from + 500);
      await store.transact(cause, async (view) => {
        await Promise.all(some.map(async (id) => await view.presumeAbsent(taskMachine, id)));
        const eventOf = (i: number) =>
          i % 100 === 0 ? { ...create, depends_on: [root], open_dependencies: [root] } : create;
        return {
          send: some.map((id, i) => ({ machine: taskMachine, id, event: eventOf(i) })),
          answer: () => undefined,
        };
      });
    }
    const needed = new NeededTasks({ nc, jsm, namespace: cluster.namespace });
    const since = performance.now();
    await needed.catchUp();
    console.log(`${expect.getState().currentTestName}: ${Math.round(performance.now() - since)} ms`);
    expect(needed.has(root)).toBe(true);
    const dependents = ids.filter((_, i) => i % 100 === 0);
    for (const [i, id] of dependents.entries()) {
      expect(needed.has(root)).toBe(true);
      await store.dispatch(taskMachine, id, { type: 'CANCEL', by: 'alpha', reason: null }, cause);
      if (i % 40 === 0) await needed.catchUp();
    }
    await needed.catchUp();
    expect(needed.has(root)).toBe(false);
  });
});

describe('a semaphore', () => {
  const acquire = { type: 'ACQUIRE', holder: 'task-1', token: 1, limit: 2 };
  const release = { type: 'RELEASE', holder: 'task-1' };
  const dispatch = async (id: string, event: typeof acquire | typeof release, by = store) =>
    await by.dispatch(semaphoreMachine, id, event, cause);

  it('goes when it is free, and can be taken again by a process that still knows it', async () => {
    const id = freshId('concurrency.k');
    await dispatch(id, acquire);
    await dispatch(id, release);
    await trim(retention());
    expect(await isKept(id, 'semaphore')).toBe(false);
    const again = await dispatch(id, acquire);
    expect(again.record.n).toBe(1);
  });

  it('stays when it was taken again, or is held', async () => {
    const [again, held] = [freshId('concurrency.k'), freshId('concurrency.k')];
    await dispatch(again, acquire);
    await dispatch(again, release);
    await dispatch(again, acquire);
    await dispatch(held, acquire);
    await trim(retention());
    const left = await all(log.history({ kind: 'semaphore', id: again }));
    expect(left.map(({ record }) => record.n)).toEqual([3]);
    expect(await isKept(held, 'semaphore')).toBe(true);
    expect((await dispatch(again, release)).record.n).toBe(4);
  });
});
