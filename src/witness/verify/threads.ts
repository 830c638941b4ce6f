/**
 * Checks ranges of rows on all cores at once. The thread that asks does not return before the answers are there, so it can
 * be asked from anywhere.
 */
import { availableParallelism } from 'node:os';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { type LogPages, Unusual } from './pages.ts';
import { checkRange, type Range, type RangeResult } from './range.ts';
import type { RangeTask } from './worker.ts';

/** Of pages with some hundred leaves each, below which a thread costs more than it gives. */
const parentsPerThread = 8;
const maxThreads = 8;
/** When no thread has got any further for so long, in milliseconds, they are given up. */
const patienceMs = 60_000;

export interface RunningRanges {
  /** Waits. @throws Unusual unless every row is right */
  results(): RangeResult[];
}

/** Starts to check the rows below `parents`, with a thread for each `perThread` of them, up to one per core. */
export function startRanges(
  path: string,
  log: LogPages | undefined,
  parents: readonly number[],
  perThread = parentsPerThread,
): RunningRanges {
  const threads = Math.min(Math.max(availableParallelism(), 2), maxThreads, Math.floor(parents.length / perThread));
  // Only compiled programs can be started as threads.
  if (threads < 2 || !import.meta.url.endsWith('.js')) {
    return { results: () => [checkRange({ path, log, parents })] };
  }
  const share = parents.length / threads;
  const ranges = Array.from({ length: threads }, (_, at) =>
    parents.slice(Math.round(at * share), Math.round((at + 1) * share)),
  );
  return new Threads(ranges.map((part) => ({ path, log, parents: part })));
}

class Threads implements RunningRanges {
  readonly #signal = new Int32Array(new SharedArrayBuffer(8));
  readonly #threads: ReadonlyArray<{ worker: Worker; port: MessagePort }>;

  constructor(ranges: readonly Range[]) {
    this.#threads = ranges.map((range) => {
      const { port1, port2 } = new MessageChannel();
      const task: RangeTask = { range, signal: this.#signal, port: port2 };
      const worker = new Worker(new URL('./worker.js', import.meta.url), {
        workerData: task,
        transferList: [port2],
        execArgv: [],
      });
      // What a thread cannot do is done by the careful pass.
      worker.on('error', () => {});
      worker.unref();
      return { worker, port: port1 };
    });
  }

  results(): RangeResult[] {
    try {
      this.#wait();
      return this.#threads.map(({ port }) => {
        const result = receiveMessageOnPort(port)?.message as RangeResult | undefined;
        if (!result) throw new Unusual();
        return result;
      });
    } finally {
      for (const { worker, port } of this.#threads) {
        port.close();
        void worker.terminate();
      }
    }
  }

  #wait(): void {
    for (;;) {
      const ended = Atomics.load(this.#signal, 0);
      if (ended >= this.#threads.length) return;
      const progress = Atomics.load(this.#signal, 1);
      const woken = Atomics.wait(this.#signal, 0, ended, patienceMs);
      if (woken === 'timed-out' && Atomics.load(this.#signal, 1) === progress) throw new Unusual();
    }
  }
}
