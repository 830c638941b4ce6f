import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StartChild } from '../../actors/supervisor/child.ts';
import { inlineChild } from '../../actors/supervisor/inline-child.ts';
import { processChild } from '../../actors/supervisor/process-child.ts';
import { ServiceRecorder } from '../../actors/supervisor/service-recorder.ts';
import { type ServiceStep, Supervisor } from '../../actors/supervisor/supervisor.ts';
import type { RestartPolicy } from '../../machines/service/context.ts';
import { systemClock } from '../../src/clock.ts';
import { FabricError } from '../../src/errors.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { MemoryRecordLog } from '../../src/store/memory-record-log.ts';
import type { RecordLog } from '../../src/store/record-log.ts';
import { newId } from '../../src/store/unique-id.ts';
import { all } from '../store/fixtures.ts';
import { tempDir, until } from '../support/temp.ts';

const program = fileURLToPath(new URL('./unruly.mjs', import.meta.url));
const log = pino({ level: 'silent' });
const quick: RestartPolicy = { max_restarts: 3, window_ms: 60_000, backoff_min_ms: 40, backoff_max_ms: 1_000 };

let dir: Awaited<ReturnType<typeof tempDir>>;
let supervisor: Supervisor;
let steps: Array<{ id: string; event: ServiceStep }>;
let escalations: string[];

beforeEach(async () => {
  dir = await tempDir();
  supervised({});
});
afterEach(async () => {
  await supervisor.stop();
  await dir.remove();
});

function supervised({ policy = quick, recorder }: { policy?: RestartPolicy; recorder?: ServiceRecorder }): void {
  steps = [];
  escalations = [];
  supervisor = new Supervisor({
    version: '0.0.0',
    log,
    policy,
    record: (id, event) => {
      steps.push({ id, event });
      recorder?.record(id, event);
    },
    ...(recorder ? { recorded: async () => await recorder.settled(1_000) } : {}),
    onEscalation: (id, reason) => escalations.push(`${id}: ${reason}`),
  });
}

const child = (label: string, stopTimeoutMs = 2_000): StartChild =>
  processChild({
    program,
    args: [label],
    instructions: async () => ({}),
    logFile: join(dir.path, `${label}.log`),
    stopTimeoutMs,
  });

const typesOf = (id: string) => steps.filter((step) => step.id === id).map(({ event }) => event.type);
const statusOf = (id: string) => supervisor.status().find((status) => status.id === id);
const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('a supervised service', () => {
  it('is started again when it ends, and no other service notices', async () => {
    await supervisor.supervise('one', child('steady'));
    await supervisor.supervise('two', child('steady'));
    const [one, two] = [statusOf('one')?.pid ?? 0, statusOf('two')?.pid ?? 0];
    process.kill(one, 'SIGKILL');
    await until('it runs again', () => statusOf('one')?.state === 'running' && statusOf('one')?.pid !== one);
    expect(typesOf('one')).toEqual(['START', 'READY', 'EXIT', 'RETRY', 'READY']);
    expect(statusOf('one')).toMatchObject({ restarts: 1, last_error: null });
    expect(steps.find(({ event }) => event.type === 'EXIT')?.event['reason']).toBe('ended by SIGKILL');
    expect(statusOf('two')).toMatchObject({ state: 'running', pid: two, restarts: 0 });
    expect(escalations).toEqual([]);
  });

  it('is started again after growing distances, and given up when it ends too often', async () => {
    await expect(supervisor.supervise('bad', child('exit-at-once'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('exit code 3'),
    });
    expect(typesOf('bad')).toEqual(['START', 'EXIT', 'RETRY', 'EXIT', 'RETRY', 'EXIT', 'RETRY', 'EXIT']);
    const times = steps.map(({ event }) => event['at'] as number);
    const waits = [1, 3, 5].map((exit) => times[exit + 1]! - times[exit]!);
    expect(waits.map((wait, i) => wait >= 40 * 2 ** i)).toEqual([true, true, true]);
    expect(escalations).toEqual(['bad: exit code 3']);
    expect(statusOf('bad')).toMatchObject({ state: 'failed', restarts: 3, last_error: 'exit code 3' });
  });

  it('that runs now and then is given up as well, once', async () => {
    await supervisor.supervise('flaky', child('short-lived'));
    await until('it is given up', () => escalations.length > 0);
    expect(typesOf('flaky').filter((type) => type === 'READY')).toHaveLength(4);
    expect(escalations).toEqual(['flaky: exit code 1']);
  });

  it('may say why it ends', async () => {
    await expect(supervisor.supervise('honest', child('says-why'))).rejects.toThrow('the database is not readable');
    expect(escalations).toEqual(['honest: the database is not readable']);
  });

  it('that cannot even be started counts as one that ended', async () => {
    let tries = 0;
    const impossible: StartChild = () => {
      tries++;
      throw new Error('no space left on device');
    };
    await expect(supervisor.supervise('impossible', impossible)).rejects.toThrow('no space left on device');
    expect(tries).toBe(4);
    expect(escalations).toEqual(['impossible: no space left on device']);
  });

  it('that was given up runs again when it is asked for', async () => {
    let works = false;
    const start: StartChild = () => (works ? child('steady') : child('exit-at-once'))();
    await expect(supervisor.supervise('mended', start)).rejects.toThrow();
    works = true;
    expect(await supervisor.restart('mended')).toEqual(['mended']);
    expect(statusOf('mended')).toMatchObject({ state: 'running', restarts: 0 });
  });

  it('is restarted by request, with those of its kind, and others are left alone', async () => {
    for (const id of ['coordinator-1', 'coordinator-2', 'witness']) await supervisor.supervise(id, child('steady'));
    const before = supervisor.status().map(({ pid }) => pid ?? 0);
    expect(await supervisor.restart('coordinator')).toEqual(['coordinator-1', 'coordinator-2']);
    const after = supervisor.status().map(({ pid }) => pid ?? 0);
    expect(after.map((pid, i) => pid !== before[i])).toEqual([true, true, false]);
    expect(before.map(isAlive)).toEqual([false, false, true]);
    expect(typesOf('coordinator-1')).toEqual(['START', 'READY', 'STOP', 'STOPPED', 'START', 'READY']);
    expect(await supervisor.restart('nobody')).toEqual([]);
  });

  it('is restarted once for all who ask at the same time, and leaves no process behind', async () => {
    const pids = new Set<number>();
    const start: StartChild = () => {
      const started = child('steady')();
      pids.add(started.pid);
      return started;
    };
    await supervisor.supervise('asked', start);
    await Promise.all([1, 2, 3, 4].map(async () => await supervisor.restart('asked')));
    expect(pids.size).toBe(2);
    expect([...pids].filter(isAlive)).toEqual([statusOf('asked')?.pid]);
    await supervisor.stop();
    expect([...pids].filter(isAlive)).toEqual([]);
  });

  it('that is stopped in the middle of a restart stays stopped', async () => {
    const pids: number[] = [];
    const start: StartChild = () => {
      const started = child('steady')();
      pids.push(started.pid);
      return started;
    };
    await supervisor.supervise('caught', start);
    const restart = supervisor.restart('caught').then(
      () => 'restarted',
      () => 'not restarted',
    );
    await supervisor.stop();
    expect(await restart).toBe('not restarted');
    expect(pids.filter(isAlive)).toEqual([]);
  });

  it('that is stopped while it starts, or waits for its restart, holds nobody up', async () => {
    const starting = supervisor.supervise('slow', child('never-ready')).catch((error: FabricError) => error.code);
    await until('it is there', () => statusOf('slow')?.state === 'starting');
    await supervisor.stop();
    expect(await starting).toBe('UNAVAILABLE');
    supervised({ policy: { ...quick, backoff_min_ms: 60_000, backoff_max_ms: 60_000 } });
    const waiting = supervisor.supervise('waiting', child('exit-at-once')).catch((error: FabricError) => error.code);
    await until('it waits', () => statusOf('waiting')?.state === 'backing_off');
    await supervisor.stop();
    expect(await waiting).toBe('UNAVAILABLE');
    expect(typesOf('waiting')).toEqual(['START', 'EXIT', 'STOP']);
  });

  it('that does not listen is ended by force', async () => {
    await supervisor.supervise('deaf', child('deaf', 200));
    const pid = statusOf('deaf')?.pid ?? 0;
    await supervisor.stop();
    expect(isAlive(pid)).toBe(false);
    expect(typesOf('deaf')).toEqual(['START', 'READY', 'STOP', 'STOPPED']);
  });

  it('may run in this process, and is told apart by nothing else', async () => {
    let fail: (error: Error) => void = () => {};
    let starts = 0;
    const start = inlineChild(async () => {
      starts++;
      const failed = new Promise<never>((_, reject) => {
        fail = reject;
      });
      return { failed, stop: async () => {} };
    });
    await supervisor.supervise('inline', start);
    fail(new Error('it broke'));
    await until('it runs again', () => starts === 2 && statusOf('inline')?.state === 'running');
    await supervisor.stop();
    expect(typesOf('inline')).toEqual(['START', 'READY', 'EXIT', 'RETRY', 'READY', 'STOP', 'STOPPED']);
  });
});

describe('the steps of a service', () => {
  /** A log that is away for a while. */
  class Away extends MemoryRecordLog {
    isAway = true;
    override async append(writes: Parameters<RecordLog['append']>[0]) {
      if (this.isAway) throw new FabricError('UNAVAILABLE', 'the log is away');
      return await super.append(writes);
    }
  }

  it('are in the log in order, also those of a time when the log was away', async () => {
    const records = new Away();
    const recorder = new ServiceRecorder(log);
    supervised({ recorder });
    await supervisor.supervise('early', child('steady'));
    recorder.writeTo(new ActorStore({ log: records, clock: systemClock, newId }));
    process.kill(statusOf('early')?.pid ?? 0, 'SIGKILL');
    await until('it runs again', () => typesOf('early').length === 5);
    const before = performance.now();
    await recorder.settled(100);
    expect(performance.now() - before, 'nobody waits for a log that is away').toBeLessThan(2_000);
    records.isAway = false;
    await until('all is recorded', () => records.all.length === 5);
    await supervisor.stop();
    await recorder.settled(5_000);
    const history = (await all(records.history({ kind: 'service', id: 'early' }))).map(({ record }) => [
      record.event.type,
      record.snapshot.value,
      record.by,
    ]);
    expect(history).toEqual([
      ['START', 'starting', 'IF.supervisor'],
      ['READY', 'running', 'IF.supervisor'],
      ['EXIT', 'backing_off', 'IF.supervisor'],
      ['RETRY', 'starting', 'IF.supervisor'],
      ['READY', 'running', 'IF.supervisor'],
      ['STOP', 'stopping', 'IF.supervisor'],
      ['STOPPED', 'stopped', 'IF.supervisor'],
    ]);
  });
});
