/** The thread of a quick pass: checks its range, and says so where the waiting thread looks. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { checkRange, type Range, type RangeResult } from './range.ts';

export interface RangeTask {
  readonly range: Range;
  /** How many threads have ended, and how often one has got further. */
  readonly signal: Int32Array;
  /** Where the result goes; undefined when not every row is right. */
  readonly port: MessagePort;
}

const { range, signal, port } = workerData as RangeTask;
let result: RangeResult | undefined;
try {
  result = checkRange(range, () => Atomics.add(signal, 1, 1));
} catch {
  // The careful pass says what is wrong.
}
port.postMessage(result);
Atomics.add(signal, 0, 1);
Atomics.notify(signal, 0);
