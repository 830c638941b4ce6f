/** Dependents that the commit of the end did not hold: unlocked or failed by whoever is there, once each. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { semaphoreMachine } from '../../machines/semaphore/machine.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { all, cause, claim, create, freshId, withStreams } from '../store/fixtures.ts';
import { ended, firstLine, spawnTypeScript } from '../support/child.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';
import { type Settler, type SettlerOptions, startSettler } from './settling-process.ts';

let cluster: TestCluster;
let log: NatsRecordLog;
const running: Settler[] = [];

beforeAll(async () => {
  cluster = await startTestCluster({ nodes: 1 });
  log = new NatsRecordLog(await withStreams(cluster, 1), cluster.namespace);
});
afterEach(async () => {
  for (const settler of running.splice(0)) await settler.stop();
});
afterAll(async () => await cluster?.stop());

async function settler(options: SettlerOptions = {}): Promise<Settler> {
  const started = await startSettler(await cluster.connect(), cluster.namespace, options);
  running.push(started);
  return started;
}

/** Tasks that depend on `on`, created 200 at a time. */
async function waitFor({ store }: Settler, on: string, ids: readonly string[], fields: object = {}): Promise<void> {
  const event = { ...create, depends_on: [on], open_dependencies: [on], ...fields };
  for (let from = 0; from < ids.length; from += 200) {
    const some = ids.slice(from, from + 200);
    await store.transact(cause, async (view) => {
      await Promise.all(some.map(async (id) => await view.presumeAbsent(taskMachine, id)));
      return { send: some.map((id) => ({ machine: taskMachine, id, event })), answer: () => undefined };
    });
  }
}

async function end({ store }: Settler, id: string, last: 'COMPLETE' | 'FAIL' | 'CANCEL'): Promise<StoredRecord> {
  if (last === 'CANCEL')
    return await store.dispatch(taskMachine, id, { type: last, by: 'alpha', reason: 'enough' }, cause);
  const claimed = await store.dispatch(taskMachine, id, claim('alpha'), cause);
  const { token } = claimed.record.snapshot.context as TaskContext;
  const event = {
    type: last,
    by: 'alpha',
    token,
    ...(last === 'FAIL' ? { error: 'boom', retryable: false } : { result: 1 }),
  };
  return await store.dispatch(taskMachine, id, event, cause);
}

const make = async ({ store }: Settler, id: string) => await store.dispatch(taskMachine, id, create, cause);
const names = (count: number, root: string) => Array.from({ length: count }, (_, i) => `${root}-${i}`);
const events = async (id: string) =>
  (await all(log.history({ kind: 'task', id }))).map(({ record }) => record.event.type);
const stateOf = async (id: string) => (await log.read({ kind: 'task', id }))?.record.snapshot.value;

/** Created, unlocked, and nothing else. */
async function expectUnlocked(ids: readonly string[]): Promise<void> {
  for (let from = 0; from < ids.length; from += 64) {
    const some = ids.slice(from, from + 64).map(async (id) => await log.read({ kind: 'task', id }));
    for (const last of await Promise.all(some))
      expect([last?.record.n, last?.record.event.type, last?.record.snapshot.value]).toEqual([
        2,
        'DEPENDENCY_DONE',
        'available',
      ]);
  }
}

function tell(since: number, what: string): void {
  console.log(`${expect.getState().currentTestName}: ${what} in ${Math.round(performance.now() - since)} ms`);
}

describe('the dependents of a task that ended', { timeout: 120_000 }, () => {
  it('are unlocked, all 5,000 of them', async () => {
    const one = await settler();
    const root = freshId('root');
    const ids = names(5_000, root);
    await make(one, root);
    await waitFor(one, root, ids);
    const { revision } = await end(one, root, 'COMPLETE');
    const since = performance.now();
    one.settling.settle(root, revision);
    await one.settling.idle();
    tell(since, '5,000');
    expect(one.dependents.isAwaited(root)).toBe(false);
    await expectUnlocked(ids);
  });

  it('are unlocked by another process when the one that began is killed in the middle', async () => {
    const one = await settler();
    const root = freshId('root');
    const ids = names(5_000, root);
    await make(one, root);
    await waitFor(one, root, ids);
    await end(one, root, 'COMPLETE');
    const creds = join(cluster.dataDir, 'settler.creds');
    await writeFile(creds, await cluster.identity.operatorCreds(), { mode: 0o600 });
    const program = new URL('./settling-program.ts', import.meta.url);
    const child = spawnTypeScript(program, [cluster.cluster.servers[0]!, creds, root]);
    const exit = ended(child);
    try {
      await firstLine(child);
      await until('it has begun', () => one.dependents.of(root).length < 4_000);
    } finally {
      child.kill('SIGKILL');
    }
    expect(await exit).toBe('SIGKILL');
    const two = await settler();
    const left = two.dependents.of(root).length;
    expect(left).toBeGreaterThan(100);
    const since = performance.now();
    two.settling.sweep();
    await two.settling.idle();
    tell(since, `the ${left} that were left`);
    expect(two.dependents.isAwaited(root)).toBe(false);
    await expectUnlocked(ids);
  });

  it('are unlocked once each when several processes do it at once', async () => {
    const processes: Settler[] = [];
    for (let i = 0; i < 3; i++) processes.push(await settler({ batch: 50 }));
    const [one, ...others] = processes as [Settler, ...Settler[]];
    const root = freshId('root');
    const ids = names(2_000, root);
    await make(one, root);
    await waitFor(one, root, ids);
    const { revision } = await end(one, root, 'COMPLETE');
    await until('all know it', () => others.every(({ dependents }) => dependents.of(root).length === ids.length));
    const since = performance.now();
    one.settling.settle(root, revision);
    for (const { settling } of others) settling.sweep();
    await Promise.all(processes.map(async ({ settling }) => await settling.idle()));
    tell(since, '2,000 by three');
    await expectUnlocked(ids);
  });

  it('fail with a reason, which goes on to those behind them; those that are told to wait do wait', async () => {
    const one = await settler();
    const root = freshId('root');
    const [failing, patient, behind] = [`${root}-f`, `${root}-p`, `${root}-b`];
    await make(one, root);
    await waitFor(one, root, [failing]);
    await waitFor(one, root, [patient], { on_dependency_failure: 'wait' });
    await waitFor(one, failing, [behind]);
    one.settling.settle(root, (await end(one, root, 'FAIL')).revision);
    await one.settling.idle();
    const failed = await log.read({ kind: 'task', id: failing });
    expect(failed?.record.event).toMatchObject({
      type: 'DEPENDENCY_FAILED',
      dependency: root,
      reason: `${root} failed: boom`,
    });
    expect(await stateOf(failing)).toBe('failed');
    expect(await stateOf(patient)).toBe('waiting');
    expect(one.dependents.isAwaited(root)).toBe(false);
    one.settling.sweep();
    await one.settling.idle();
    expect(await stateOf(behind)).toBe('failed');
    expect(JSON.stringify((await log.read({ kind: 'task', id: behind }))?.record.event)).toContain('boom');
  });

  it('give back the singleton key in the commit with which they fail', async () => {
    const commits: StoredRecord[][] = [];
    const one = await settler({ onCommit: (records) => void commits.push([...records]) });
    const [root, key] = [freshId('root'), freshId('singleton.k')];
    const only = `${root}-x`;
    await make(one, root);
    await waitFor(one, root, [only], { singleton_key: key.slice('singleton.'.length) });
    await one.store.dispatch(semaphoreMachine, key, { type: 'ACQUIRE', holder: only, token: null, limit: 1 }, cause);
    one.settling.settle(root, (await end(one, root, 'FAIL')).revision);
    await one.settling.idle();
    expect(commits.at(-1)?.map(({ record }) => [record.id, record.event.type])).toEqual([
      [only, 'DEPENDENCY_FAILED'],
      [key, 'RELEASE'],
    ]);
  });

  it('with much data are unlocked in commits of bounded size', async () => {
    const sizes: number[] = [];
    const one = await settler({ onCommit: ({ length }) => void sizes.push(length) });
    const root = freshId('root');
    const ids = names(20, root);
    await make(one, root);
    for (const id of ids) await waitFor(one, root, [id], { metadata: { text: 'x'.repeat(500_000) } });
    const { revision } = await end(one, root, 'COMPLETE');
    sizes.splice(0);
    one.settling.settle(root, revision);
    await one.settling.idle();
    expect(sizes.length).toBeGreaterThan(1);
    expect(Math.max(...sizes)).toBeLessThan(10);
    await expectUnlocked(ids);
  });

  it('hear that it was cancelled, and why', async () => {
    const one = await settler();
    const root = freshId('root');
    await make(one, root);
    await waitFor(one, root, [`${root}-x`]);
    one.settling.settle(root, (await end(one, root, 'CANCEL')).revision);
    await one.settling.idle();
    const { record } = (await log.read({ kind: 'task', id: `${root}-x` }))!;
    expect(record.event).toMatchObject({ type: 'DEPENDENCY_FAILED', reason: `${root} was cancelled: enough` });
  });

  it('are left alone as long as it has not ended', async () => {
    const one = await settler();
    const root = freshId('root');
    const { revision } = await make(one, root);
    await waitFor(one, root, [`${root}-x`]);
    one.settling.settle(root, revision);
    one.settling.sweep();
    await one.settling.idle();
    expect(await events(`${root}-x`)).toEqual(['CREATE']);
    expect(one.dependents.of(root)).toEqual([`${root}-x`]);
  });

  it('are unlocked although others among them were cancelled meanwhile, unknown to the index', async () => {
    const [one, two] = [await settler(), await settler()];
    const root = freshId('root');
    const ids = names(100, root);
    await make(one, root);
    await waitFor(one, root, ids);
    const gone = ids.filter((_, i) => i % 3 === 0);
    const { revision } = await end(one, root, 'COMPLETE');
    const cancelling = gone.map(async (id) => await end(two, id, 'CANCEL').catch(() => undefined));
    one.settling.settle(root, revision);
    await Promise.all(cancelling);
    await one.settling.idle();
    expect(one.dependents.isAwaited(root)).toBe(false);
    for (const id of ids.filter((one) => !gone.includes(one))) expect(await stateOf(id)).toBe('available');
    for (const id of gone) expect(await stateOf(id)).toBe('cancelled');
  });

  it('are reported once when the log holds nothing of what they wait for', async () => {
    const lines: string[] = [];
    const one = await settler({ log: pino({ level: 'error' }, { write: (line: string) => void lines.push(line) }) });
    const root = freshId('never');
    await waitFor(one, root, [`${root}-x`]);
    for (let round = 0; round < 3; round++) {
      one.settling.sweep();
      await one.settling.idle();
    }
    expect(lines.filter((line) => line.includes(root))).toHaveLength(1);
    expect(await stateOf(`${root}-x`)).toBe('waiting');
  });

  it('are left to others by a job that was stopped', async () => {
    const one = await settler({ batch: 10 });
    const root = freshId('root');
    const ids = names(1_000, root);
    await make(one, root);
    await waitFor(one, root, ids);
    const { revision } = await end(one, root, 'COMPLETE');
    one.settling.settle(root, revision);
    await until('it has begun', () => one.dependents.of(root).length < 1_000);
    await one.settling.stop();
    const left = one.dependents.of(root).length;
    expect(left).toBeGreaterThan(0);
    one.settling.settle(root, revision);
    one.settling.sweep();
    await one.settling.idle();
    expect(one.dependents.of(root)).toHaveLength(left);
    const two = await settler();
    two.settling.sweep();
    await two.settling.idle();
    await expectUnlocked(ids);
  });
});
