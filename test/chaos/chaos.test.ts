/**
 * A short chaos run: nodes, coordinators, the witness and workers are killed and frozen at random while they work on a
 * board, and nothing that was promised is broken. `npm run chaos` runs a long one.
 */
import { rm } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { tempDir } from '../support/temp.ts';
import { runChaos } from './chaos-run.ts';
import { judge } from './judge.ts';
import { report } from './report.ts';

const seed = Number(process.env['CHAOS_SEED'] ?? 1 + (Date.now() % 1_000_000));

it(`a fabric under faults at random keeps its promises (CHAOS_SEED=${seed})`, async () => {
  process.stderr.write(`chaos: CHAOS_SEED=${seed}\n`);
  const { path: dir } = await tempDir('infrafabric-chaos-');
  const evidence = await runChaos({ seed, seconds: 20, tasks: 600, workers: 6, dir });
  // How fast it recovers is for a machine to show that does nothing else.
  const judgement = judge(evidence, 30_000);
  const { findings, counts } = judgement;
  if (findings.length > 0) process.stderr.write(`${report(judgement)}everything is kept in ${dir}\n`);
  expect(findings).toEqual([]);
  expect(counts['completions']).toBeGreaterThanOrEqual(600);
  await rm(dir, { recursive: true });
}, 240_000);
