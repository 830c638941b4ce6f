import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { FabricClient } from '../../src/bus/client.ts';
import { FabricError, runWorker, type Task, type WorkerEvent, type WorkerOptions } from '../../src/index.ts';
import { startTestFabric, type TestFabric } from '../support/fabric.ts';
import { until } from '../support/temp.ts';

let fabric: TestFabric;
let operator: FabricClient;
beforeAll(async () => {
  fabric = await startTestFabric({ nodes: 1 });
  operator = await fabric.join('operator');
});
afterAll(() => fabric?.stop());

/** Workers of the present test, told to stop and waited for at its end. */
const running: Array<{ stop: AbortController; done: Promise<void> }> = [];
afterEach(async () => {
  for (const { stop } of running) stop.abort();
  await Promise.allSettled(running.splice(0).map(({ done }) => done));
});

interface Started {
  readonly client: FabricClient;
  readonly events: WorkerEvent[];
  readonly stop: AbortController;
  readonly done: Promise<void>;
  ids(type: WorkerEvent['type']): string[];
}

async function start(swarmId: string, options: Partial<WorkerOptions> & Pick<WorkerOptions, 'work'>): Promise<Started> {
  const client = await fabric.join(swarmId);
  const stop = new AbortController();
  const events: WorkerEvent[] = [];
  const done = runWorker({
    client,
    registration: { capabilities: ['any'], cost_per_hour: 0 },
    signal: stop.signal,
    onEvent: (event) => events.push(event),
    ...options,
  });
  done.catch(() => {});
  running.push({ stop, done });
  const ids = (type: WorkerEvent['type']) =>
    events.flatMap((event) => (event.type === type && 'task_id' in event ? [event.task_id] : []));
  return { client, events, stop, done, ids };
}

async function create(task_type: string, ids: readonly string[], more: object = {}): Promise<void> {
  await Promise.all(ids.map((task_id) => operator.request('task', 'create', { task_id, task_type, ...more })));
}

const get = async (task_id: string) => await operator.request<Task>('task', 'get', { task_id });
const untilState = async (task_id: string, state: string) =>
  await until(`${task_id} is ${state}`, async () => (await get(task_id)).state === state);
const number = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);

describe('a worker', () => {
  it('does the tasks that are there and those that come later, and returns their results', async () => {
    await create('early', ['early-1'], { metadata: { of: 'mine' } });
    const worker = await start('w-simple', {
      taskTypes: ['early'],
      work: async (task) => ({ echo: task.metadata['of'] ?? null, attempt: task.attempt }),
    });
    await untilState('early-1', 'completed');
    expect(await get('early-1')).toMatchObject({ owner: 'w-simple', result: { echo: 'mine', attempt: 1 }, n: 4 });
    await create('early', ['early-2']);
    await untilState('early-2', 'completed');
    await until('both are told of', () => worker.ids('completed').length === 2);
    expect(worker.ids('claimed')).toEqual(['early-1', 'early-2']);
  });

  it('leaves tasks of other types alone', async () => {
    await create('foreign', ['foreign-1']);
    await create('own', ['own-1']);
    const worker = await start('w-types', { taskTypes: ['own'], work: async () => null });
    await untilState('own-1', 'completed');
    expect(await get('foreign-1')).toMatchObject({ state: 'available', n: 1 });
    expect(worker.ids('claimed')).toEqual(['own-1']);
  });

  it('shares the board with others, so that every task is done exactly once', async () => {
    const ids = number('shared', 40);
    await create('shared', ids);
    const workers = await Promise.all(
      number('w-share', 3).map((id) => start(id, { taskTypes: ['shared'], work: async () => id })),
    );
    await Promise.all(ids.map((id) => untilState(id, 'completed')));
    const tasks = await Promise.all(ids.map(get));
    // CREATE, CLAIM, START, COMPLETE.
    expect(tasks.map(({ n, owner, result }) => [n, owner === result])).toEqual(ids.map(() => [4, true]));
    await until('all are told of', () => workers.flatMap((worker) => worker.ids('completed')).length >= ids.length);
    expect(workers.flatMap((worker) => worker.ids('completed')).sort()).toEqual([...ids].sort());
  });

  it('fails an attempt whose work throws, and tries again as often as the task allows', async () => {
    await create('throws', ['throws-1'], { max_attempts: 2 });
    const worker = await start('w-throws', {
      taskTypes: ['throws'],
      work: async ({ attempt }) => {
        throw new Error(`attempt ${attempt} went wrong`);
      },
    });
    await untilState('throws-1', 'failed');
    expect(await get('throws-1')).toMatchObject({ attempt: 2, error: { message: 'attempt 2 went wrong' } });
    await until('both are told of', () => worker.ids('failed').length === 2);
  });

  it('fails a task for good when its work throws an error that no retry helps, also one of another task', async () => {
    await create('hopeless', ['hopeless-1']);
    await start('w-hopeless', {
      taskTypes: ['hopeless'],
      work: async () => {
        throw new FabricError('TASK_NOT_FOUND', 'there is no task other');
      },
    });
    await untilState('hopeless-1', 'failed');
    expect(await get('hopeless-1')).toMatchObject({ attempt: 1, error: { message: 'there is no task other' } });
  });

  it('fails a task whose result no record can hold', async () => {
    await create('odd', ['odd-1']);
    await start('w-odd', { taskTypes: ['odd'], work: async () => Number.NaN });
    await untilState('odd-1', 'failed');
    expect((await get('odd-1')).error).toMatchObject({ message: expect.stringContaining('NaN') as unknown });
  });

  it('finishes the task in hand when it is told to stop, and takes no other', async () => {
    await create('drain', ['drain-1', 'drain-2']);
    let finish: () => void = () => {};
    const worker = await start('w-drain', {
      taskTypes: ['drain'],
      work: async () =>
        await new Promise((resolve) => {
          finish = () => resolve('done');
        }),
    });
    await until('one is claimed', () => worker.ids('claimed').length === 1);
    worker.stop.abort();
    await until('it is started', async () => (await get(worker.ids('claimed')[0]!)).state === 'in_progress');
    finish();
    await worker.done;
    const states = await Promise.all(['drain-1', 'drain-2'].map(async (id) => (await get(id)).state));
    expect(states.sort()).toEqual(['available', 'completed']);
  });

  it('gives the task in hand back when it is told to stop and the work takes too long', async () => {
    await create('slow', ['slow-1']);
    let aborted = false;
    const worker = await start('w-slow', {
      taskTypes: ['slow'],
      drainMs: 20,
      work: async (_task, { signal }) => {
        signal.addEventListener('abort', () => {
          aborted = true;
        });
        return await new Promise(() => {});
      },
    });
    await until('it is started', async () => (await get('slow-1')).state === 'in_progress');
    worker.stop.abort();
    await worker.done;
    expect(aborted).toBe(true);
    expect(worker.ids('released')).toEqual(['slow-1']);
    expect(await get('slow-1')).toMatchObject({ state: 'available', attempt: 0 });
  });

  it('aborts the work on a task that was cancelled, and goes on with the next', async () => {
    await create('cancel', ['cancel-1']);
    const worker = await start('w-cancel', {
      taskTypes: ['cancel'],
      work: async ({ task_id }, { signal }) => {
        if (task_id === 'cancel-1')
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('told to stop'))));
        return task_id;
      },
    });
    await until('it is started', async () => (await get('cancel-1')).state === 'in_progress');
    await operator.request('task', 'cancel', { task_id: 'cancel-1' });
    await create('cancel', ['cancel-2']);
    await untilState('cancel-2', 'completed');
    expect(worker.ids('lost')).toEqual(['cancel-1']);
    expect((await get('cancel-1')).state).toBe('cancelled');
  });

  it('leaves a task alone for which it lacks a capability, and does what it may', async () => {
    await create('gated', ['gated-1'], { requires: ['rare'], priority: 9 });
    await create('gated', ['plain-1']);
    const worker = await start('w-gated', { taskTypes: ['gated'], work: async () => null });
    await untilState('plain-1', 'completed');
    expect(await get('gated-1')).toMatchObject({ state: 'available', n: 1 });
    expect(worker.ids('trouble')).toEqual([]);
  });

  it('is given the results of the tasks that its task depends on', async () => {
    await create('first', ['sum-1', 'sum-2'], { metadata: { value: 20 } });
    await create('then', ['sum'], { depends_on: ['sum-1', 'sum-2'] });
    await start('w-sum', {
      taskTypes: ['first', 'then'],
      work: async ({ metadata, dependency_results }) => {
        const values = Object.values(dependency_results).map(Number);
        return values.length === 0 ? metadata['value']! : values.reduce((a, b) => a + b, 2);
      },
    });
    await untilState('sum', 'completed');
    expect((await get('sum')).result).toBe(42);
  });

  it('does as many tasks at a time as it is told to, and all of them may finish when it is told to stop', async () => {
    const ids = number('many', 7);
    await create('many', ids);
    let [now, most] = [0, 0];
    const finish: Array<() => void> = [];
    const worker = await start('w-many', {
      taskTypes: ['many'],
      concurrency: 3,
      work: async () => {
        most = Math.max(most, ++now);
        await new Promise<void>((resolve) => finish.push(resolve));
        now--;
        return null;
      },
    });
    await until('three are in hand', () => finish.length === 3);
    finish.shift()!();
    await until('there is a fourth', () => finish.length === 3 && worker.ids('claimed').length === 4);
    worker.stop.abort();
    for (const one of finish) one();
    await worker.done;
    expect(most).toBe(3);
    expect(worker.ids('completed')).toHaveLength(4);
    const states = await Promise.all(ids.map(async (id) => (await get(id)).state));
    expect(states.filter((state) => state === 'available')).toHaveLength(3);
  });

  it('gives back a task that it is handed after it was told to stop', async () => {
    const worker = await start('w-late', { taskTypes: ['late'], drainMs: 1_000, work: async () => null });
    // It waits for a task once the first was done.
    await create('late', ['late-0']);
    await untilState('late-0', 'completed');
    worker.stop.abort();
    await create('late', ['late-1']);
    await worker.done;
    expect(await get('late-1')).toMatchObject({ state: 'available', attempt: 0 });
    expect(worker.ids('claimed')).toEqual(['late-0']);
  });

  it('goes on after a restart of the coordinator', async () => {
    const ids = number('restart', 30);
    await create('restart', ids);
    const worker = await start('w-restart', { taskTypes: ['restart'], work: async () => null });
    await until('some are done', () => worker.ids('completed').length > 3);
    await fabric.fabric.supervisor.restart('coordinator');
    await Promise.all(ids.map((id) => untilState(id, 'completed')));
    expect(await Promise.all(ids.map(async (id) => (await get(id)).n))).toEqual(ids.map(() => 4));
  });

  it('ends with the reason when its swarm was never registered', async () => {
    await create('nobody', ['nobody-1']);
    const client = await fabric.join('w-nobody');
    const signal = AbortSignal.timeout(20_000);
    const run = runWorker({ client, taskTypes: ['nobody'], signal, work: async () => null });
    await expect(run).rejects.toMatchObject({ code: 'SWARM_NOT_FOUND' });
  });

  it('refuses to do no task at a time', async () => {
    const client = await fabric.join('w-none');
    const run = runWorker({ client, concurrency: 0, signal: AbortSignal.abort(), work: async () => null });
    await expect(run).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  it('ends at once when it is told to stop before it began', async () => {
    const client = await fabric.join('w-never');
    await runWorker({ client, signal: AbortSignal.abort(), work: async () => null });
  });
});
