/**
 * `npm run chaos -- [--seed N] [--seconds S] [--tasks N] [--workers N]`: a fabric under faults at random, and whether it
 * kept its promises. Exit code 1, and the data is kept, when it did not.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runChaos } from './chaos-run.ts';
import { judge } from './judge.ts';
import { report } from './report.ts';

const text = { type: 'string' } as const;
const { values } = parseArgs({ options: { seed: text, seconds: text, tasks: text, workers: text } });

function whole(name: keyof typeof values, fallback: number): number {
  const value = Number(values[name] ?? fallback);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  process.stderr.write(`--${name} is ${JSON.stringify(values[name])}; give a whole number from 1\n`);
  process.exit(2);
}

const seed = whole('seed', 1 + (Date.now() % 1_000_000));
const seconds = whole('seconds', 60);
const tasks = whole('tasks', 50 * seconds);
const workers = whole('workers', 20);
process.stdout.write(`seed ${seed}: ${seconds} s of faults, ${tasks} tasks, ${workers} workers\n`);

const early = new AbortController();
process.once('SIGINT', () => early.abort());
const dir = await mkdtemp(join(tmpdir(), 'infrafabric-chaos-'));
let isSound = false;
try {
  const begun = performance.now();
  const onProgress = (line: string) =>
    process.stdout.write(`${((performance.now() - begun) / 1_000).toFixed(1).padStart(6)} s  ${line}\n`);
  const judgement = judge(await runChaos({ seed, seconds, tasks, workers, dir, signal: early.signal, onProgress }));
  process.stdout.write(report(judgement));
  isSound = judgement.findings.length === 0;
} finally {
  if (isSound) await rm(dir, { recursive: true, force: true });
  else process.stdout.write(`seed ${seed}; everything is kept in ${dir}\n`);
}
process.exitCode = isSound ? 0 : 1;
