import fc from 'fast-check';
import { describe, it } from 'vitest';
import { checkAnswers } from './answer-invariants.ts';
import { checkAtRest, checkLateness, comeToRest } from './at-rest.ts';
import { board, governance, rounds } from './commands.ts';
import { checkCommits } from './commit-invariants.ts';
import { Fabric } from './fabric.ts';
import { checkHistory } from './history-invariants.ts';
import { checkMoney } from './money-invariants.ts';
import { checkRefusals } from './refusal-invariants.ts';

/**
 * As many lives of a fabric as are asked for, such as `IF_PROPERTY_RUNS=5000`, or by default as fit into a short time.
 * `IF_PROPERTY_SEED` and `IF_PROPERTY_PATH` repeat what a failure printed.
 */
const { IF_PROPERTY_RUNS: asked, IF_PROPERTY_SEED: seed, IF_PROPERTY_PATH: path } = process.env;
const numRuns = Number(asked ?? 60);
const mostMs = asked === undefined ? 12_000 : Number.POSITIVE_INFINITY;
const repeated = { ...(seed === undefined ? {} : { seed: Number(seed) }), ...(path === undefined ? {} : { path }) };

describe('whatever happens to a fabric, in whatever order, and whoever dies on the way', () => {
  it(
    'a task has at most one valid owner, what was acknowledged holds, shared limits and budgets are kept, and nothing is lost or stuck',
    async () => {
      const until = performance.now() + mostMs;
      const life = fc.asyncProperty(
        board,
        rounds,
        governance,
        fc.scheduler(),
        async (tasks, steps, governed, scheduler) => {
          if (performance.now() > until) return;
          const fabric = new Fabric(scheduler, governed);
          const realTime = fabric.clock.install();
          let undisturbedFrom: number;
          try {
            await fabric.open(tasks);
            for (const round of steps) await fabric.round(round);
            undisturbedFrom = await comeToRest(fabric);
          } finally {
            realTime();
          }
          const { shared, observations } = fabric;
          checkHistory(shared.all);
          checkCommits(shared.commits);
          checkMoney(shared.commits);
          checkAnswers(observations, shared);
          checkRefusals(observations, shared);
          checkAtRest(fabric);
          checkLateness(fabric, undisturbedFrom);
        },
      );
      await fc.assert(life, { numRuns, ...repeated, endOnFailure: process.env['IF_PROPERTY_SHRINK'] === 'no' });
    },
    Math.max(60_000, numRuns * 5_000),
  );
});
