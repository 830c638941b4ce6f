/** The checker against histories of a simulated task: those as they happened pass, most of those that were altered do not. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { numbers } from '../chaos/numbers.mjs';
import { checkHistory } from './check.ts';
import { simulate } from './simulated-task.ts';
import { taskModel } from './task-model.ts';
import type { ClaimOutput, TaskOperation } from './task-operation.ts';

const check = (history: readonly TaskOperation[]) => checkHistory(history, taskModel());

const simulation = fc.record({
  seed: fc.integer(),
  swarms: fc.integer({ min: 1, max: 6 }),
  operations: fc.integer({ min: 1, max: 12 }),
  lost: fc.constantFrom(0, 0.05, 0.2),
});

type Mutation = (operation: TaskOperation) => TaskOperation | undefined;

const claims =
  (change: (answer: ClaimOutput) => ClaimOutput | undefined): Mutation =>
  (operation) => {
    if (operation.op !== 'claim' || !operation.output || 'refused' in operation.output) return undefined;
    const output = change(operation.output);
    return output && { ...operation, output };
  };

/** What a fabric that is wrong in one place would have answered; undefined where it would have been right. */
const mutations: Readonly<Record<string, Mutation>> = {
  'a lost race was won': claims((answer) => (answer.claimed ? undefined : { claimed: true, token: 1_000 })),
  'a token was given out that is an old one': claims((answer) =>
    answer.claimed && answer.token > 1 ? { claimed: true, token: answer.token - 1 } : undefined,
  ),
  'a stale token was accepted': (operation) => {
    if (operation.op !== 'complete' || !operation.output || !('refused' in operation.output)) return undefined;
    return operation.output.refused === 'STALE_TOKEN'
      ? { ...operation, output: { state: 'completed', owner: operation.process } }
      : undefined;
  },
  'a present token was refused': (operation) => {
    if (operation.op !== 'start' && operation.op !== 'heartbeat' && operation.op !== 'complete') return undefined;
    if (!operation.output || 'refused' in operation.output) return undefined;
    return { ...operation, output: { refused: 'STALE_TOKEN' } };
  },
  'a read was stale': (operation) =>
    operation.op === 'get' && operation.output && 'state' in operation.output && operation.output.state !== 'available'
      ? { ...operation, output: { state: 'available', owner: null } }
      : undefined,
  'an acknowledged effect was lost': (operation) => {
    if (operation.op !== 'get' || !operation.output || 'refused' in operation.output) return undefined;
    return { ...operation, output: { refused: 'TASK_NOT_FOUND' } };
  },
};

describe('histories of a simulated task', () => {
  it('are accepted as they happened', () => {
    fc.assert(
      fc.property(simulation, ({ seed, ...rest }) => {
        const verdict = check(simulate({ random: numbers(seed), ...rest }));
        expect(verdict).toMatchObject({ ok: true });
      }),
      { numRuns: 300 },
    );
  });

  it.each(Object.entries(mutations))('are mostly rejected when %s', (_, mutate) => {
    const random = numbers(20_260);
    let rejected = 0;
    let mutated = 0;
    for (let tries = 0; mutated < 100 && tries < 2_000; tries++) {
      const history = simulate({ random, swarms: 3, operations: 12, lost: 0.05 });
      const places = history.flatMap((operation, i) => (mutate(operation) ? [i] : []));
      const place = places[Math.floor(random() * places.length)];
      if (place === undefined) continue;
      mutated++;
      if (check(history.map((operation, i) => (i === place ? mutate(operation)! : operation))).ok === false) rejected++;
    }
    expect(mutated).toBeGreaterThanOrEqual(50);
    expect(rejected / mutated).toBeGreaterThan(0.8);
  });

  it('are checked in seconds when there are thousands', () => {
    const random = numbers(7);
    const history = Array.from({ length: 4_000 }, (_, i) =>
      simulate({ random, swarms: 3, operations: 4, lost: 0.02 }, `task-${i}`),
    ).flat();
    const begun = performance.now();
    const verdict = check(history);
    expect(verdict).toMatchObject({ ok: true, keys: 4_000 });
    expect(verdict.operations).toBeGreaterThan(40_000);
    expect(performance.now() - begun).toBeLessThan(20_000);
  });

  it('of one task that hundreds of operations race for are checked as well', () => {
    const history = simulate({ random: numbers(3), swarms: 20, operations: 30, lost: 0.02 });
    expect(history.length).toBeGreaterThan(500);
    expect(check(history)).toMatchObject({ ok: true });
  });
});
