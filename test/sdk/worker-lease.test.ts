import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { FabricClient } from '../../src/bus/client.ts';
import {
  FabricError,
  type NextAnswer,
  runWorker,
  type Task,
  type WorkerEvent,
  type WorkerOptions,
} from '../../src/index.ts';
import { ended } from '../support/child.ts';
import { startTestFabric, type TestFabric } from '../support/fabric.ts';
import { until } from '../support/temp.ts';

let fabric: TestFabric;
let operator: FabricClient;
beforeAll(async () => {
  fabric = await startTestFabric({ nodes: 1 });
  operator = await fabric.join('operator');
});
afterAll(() => fabric?.stop());

/** Workers of the present test, ended and waited for at its end; and processes that must not stay frozen. */
const running: Array<() => Promise<unknown>> = [];
const frozen = new Set<number>();
afterEach(async () => {
  for (const pid of frozen) thaw(pid);
  await Promise.allSettled(running.splice(0).map(async (end) => await end()));
});

function freeze(pid: number): void {
  frozen.add(pid);
  process.kill(pid, 'SIGSTOP');
}

function thaw(pid: number): void {
  frozen.delete(pid);
  process.kill(pid, 'SIGCONT');
}

/** A worker in this process. */
async function start(swarmId: string, options: Partial<WorkerOptions> & Pick<WorkerOptions, 'work'>) {
  const client = await fabric.join(swarmId);
  const stop = new AbortController();
  const events: WorkerEvent[] = [];
  const done = runWorker({
    client,
    registration: { capabilities: [], cost_per_hour: 0 },
    signal: stop.signal,
    drainMs: 1_000,
    onEvent: (event) => events.push(event),
    ...options,
  });
  done.catch(() => {});
  const end = async () => {
    stop.abort();
    await done;
  };
  running.push(end);
  return { client, events, end, of: (type: WorkerEvent['type']) => events.filter((event) => event.type === type) };
}

/** A worker in a process of its own. */
async function startProcess(
  swarmId: string,
  task_type: string,
): Promise<{ child: ChildProcess; events: WorkerEvent[] }> {
  const creds = await fabric.credsOf(swarmId);
  const argument = JSON.stringify({ servers: fabric.fabric.servers, creds, task_type });
  const program = fileURLToPath(new URL('./waiting-worker.mjs', import.meta.url));
  const child = spawn(process.execPath, [program, argument], { stdio: ['ignore', 'pipe', 'inherit'] });
  const events: WorkerEvent[] = [];
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (text + chunk).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) events.push(JSON.parse(line) as WorkerEvent);
  });
  running.push(async () => {
    child.kill('SIGTERM');
    await ended(child);
  });
  return { child, events };
}

const create = async (task_id: string, more: object) =>
  await operator.request('task', 'create', { task_id, task_type: task_id, ...more });
const get = async (task_id: string) => await operator.request<Task>('task', 'get', { task_id });
const untilState = async (task_id: string, state: string) =>
  await until(`${task_id} is ${state}`, async () => (await get(task_id)).state === state);

function coordinatorPid(): number {
  const pid = fabric.fabric.supervisor.status().find(({ id }) => id === 'coordinator-1')?.pid;
  if (!pid) throw new Error('the coordinator has no process');
  return pid;
}

describe('the lease of a task in hand', () => {
  it('is kept through work that takes several times as long', async () => {
    await create('long', { lease_ms: 1_000 });
    const worker = await start('l-long', {
      taskTypes: ['long'],
      work: async (_task, { signal }) => {
        await delay(4_000, undefined, { signal });
        return 'kept';
      },
    });
    await untilState('long', 'completed');
    // CREATE, CLAIM, START, COMPLETE: renewals are not records.
    expect(await get('long')).toMatchObject({ attempt: 1, n: 4, result: 'kept' });
    expect(worker.of('endangered')).toEqual([]);
  });

  it('is given up by the work before it is lost, when the fabric cannot be reached', async () => {
    await create('unreached', { lease_ms: 2_000 });
    let toldAt = 0;
    let reason: unknown;
    const worker = await start('l-unreached', {
      taskTypes: ['unreached'],
      work: async ({ attempt }, { signal }) => {
        if (toldAt > 0) return attempt;
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        toldAt = Date.now();
        reason = signal.reason;
        throw signal.reason;
      },
    });
    await untilState('unreached', 'in_progress');
    const before = await get('unreached');
    freeze(coordinatorPid());
    await until('the work is told', () => toldAt > 0);
    thaw(coordinatorPid());
    // Whatever was renewed in between ends later still.
    expect(toldAt).toBeLessThan(before.lease_expires_at!);
    expect(reason).toBeInstanceOf(FabricError);
    expect(worker.of('endangered')).toHaveLength(1);
    await untilState('unreached', 'completed');
    expect((await get('unreached')).owner).toBe('l-unreached');
  });

  it('lets a result count that comes although the work was told to stop, if it is in time', async () => {
    await create('stubborn', { lease_ms: 2_000 });
    const worker = await start('l-stubborn', {
      taskTypes: ['stubborn'],
      drainMs: 10_000,
      work: async (_task, { signal }) => {
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        return 'all the same';
      },
    });
    await untilState('stubborn', 'in_progress');
    freeze(coordinatorPid());
    await until('the work is told', () => worker.of('endangered').length === 1);
    thaw(coordinatorPid());
    await untilState('stubborn', 'completed');
    expect(await get('stubborn')).toMatchObject({ attempt: 1, result: 'all the same' });
  });

  it('is lost by a worker that was frozen; the task is done by another, and the worker goes on', async () => {
    await create('frozen', { lease_ms: 1_000, metadata: { for_ms: 1_500 } });
    const { child, events } = await startProcess('l-frozen', 'frozen');
    await untilState('frozen', 'in_progress');
    freeze(child.pid!);
    await until('it is available again', async () => (await get('frozen')).state === 'available');
    const other = await start('l-other', { taskTypes: ['frozen'], work: async () => 'by another' });
    await untilState('frozen', 'completed');
    await other.end();
    thaw(child.pid!);
    await until('it has lost the task', () => events.some(({ type }) => type === 'lost'));
    expect(events.filter(({ type }) => type === 'lost')).toEqual([
      { type: 'lost', task_id: 'frozen', code: 'STALE_TOKEN' },
    ]);
    expect(await get('frozen')).toMatchObject({ owner: 'l-other', attempt: 2, result: 'by another' });
    await operator.request('task', 'create', { task_id: 'frozen-2', task_type: 'frozen' });
    await untilState('frozen-2', 'completed');
    expect(await get('frozen-2')).toMatchObject({ owner: 'l-frozen', result: child.pid });
  });

  it('does not run while a blocker is open, and the work may go on when it is resolved', async () => {
    await create('stuck', { lease_ms: 1_000 });
    const worker = await start('l-stuck', {
      taskTypes: ['stuck'],
      work: async ({ task_id }, { signal }) => {
        const { blocker_id } = await worker.client.request<{ blocker_id: string }>('blocker', 'report', {
          task_id,
          type: 'question',
          description: 'which way?',
          severity: 'low',
          required_capabilities: [],
        });
        await delay(2_500, undefined, { signal });
        await operator.request('blocker', 'resolve', { blocker_id, resolution: 'that way' });
        await delay(1_500, undefined, { signal });
        return 'that way';
      },
    });
    await untilState('stuck', 'completed');
    // CREATE, CLAIM, START, BLOCK, UNBLOCK, COMPLETE.
    expect(await get('stuck')).toMatchObject({ attempt: 1, n: 6, result: 'that way' });
  });
});

describe('a worker that starts', () => {
  it('takes up what its swarm owns already, with the same tokens', async () => {
    await create('claimed-before', { lease_ms: 5_000 });
    const before = await fabric.join('l-again');
    await before.request('swarm', 'register', { capabilities: [], cost_per_hour: 0 });
    const take = async (type: string) => {
      const answer = await before.request<NextAnswer>('task', 'next', { task_types: [type] });
      if (answer.task === null) throw new Error(`no task of type ${type}`);
      return answer;
    };
    const claimed = await take('claimed-before');
    await create('started-before', { lease_ms: 5_000 });
    const started = await take('started-before');
    await before.request('task', 'start', { task_id: 'started-before', token: started.token });

    const worker = await start('l-again', {
      taskTypes: ['claimed-before', 'started-before'],
      work: async ({ token }) => token,
    });
    await untilState('claimed-before', 'completed');
    await untilState('started-before', 'completed');
    expect(await get('claimed-before')).toMatchObject({ attempt: 1, n: 4, result: claimed.token });
    expect(await get('started-before')).toMatchObject({ attempt: 1, n: 4, result: started.token });
    expect(worker.of('claimed')).toMatchObject([{ recovered: true }, { recovered: true }]);
  });

  it('takes up what it held when it was killed', async () => {
    await create('killed', { lease_ms: 60_000, metadata: { for_ms: 600 } });
    const first = await startProcess('l-killed', 'killed');
    await untilState('killed', 'in_progress');
    first.child.kill('SIGKILL');
    await ended(first.child);
    const second = await startProcess('l-killed', 'killed');
    await untilState('killed', 'completed');
    expect(await get('killed')).toMatchObject({ attempt: 1, n: 4, result: second.child.pid });
  });
});

describe('a worker whose request for a task is not answered', () => {
  it('finds what was handed to it in the answer that it did not wait for', async () => {
    const worker = await start('l-unheard', { taskTypes: ['unheard'], work: async () => null });
    await create('unheard', {});
    await untilState('unheard', 'completed');
    freeze(coordinatorPid());
    await until('it gives its request up', () => worker.of('trouble').length > 0);
    // The request that was given up is still there when the coordinator goes on, and comes before the next one.
    const creating = operator.request('task', 'create', {
      task_id: 'unheard-2',
      task_type: 'unheard',
      lease_ms: 60_000,
    });
    thaw(coordinatorPid());
    await creating;
    await untilState('unheard-2', 'completed');
    expect(await get('unheard-2')).toMatchObject({ attempt: 1, n: 4, owner: 'l-unheard' });
  });
});
