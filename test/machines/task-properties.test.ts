import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Json } from '../../machines/record.ts';
import type { TaskEvent } from '../../machines/task/events.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { decisions, fold, isPlainJson } from './fold.ts';
import {
  assignTo,
  block,
  cancel,
  claim,
  complete,
  create,
  dependencyFailed,
  done,
  due,
  expire,
  fail,
  ownerLost,
  release,
  start,
  t0,
  token,
  unblock,
} from './task-events.ts';

const at = fc.integer({ min: t0, max: t0 + 100_000 });
const swarm = fc.constantFrom('beta', 'gamma', 'delta');
const epoch = fc.constantFrom(1, 1, 1, 2);
/** Any token that may have been given out, so that some are right, some old, some of others. */
const anyToken = fc.tuple(fc.integer({ min: 1, max: 6 }), epoch).map(([n, e]) => token(n, e));
const dependency = fc.constantFrom('a', 'b', 'c');
const anyJson = fc.jsonValue() as fc.Arbitrary<Json>;

const creation = fc
  .record({
    at,
    depends_on: fc.uniqueArray(dependency),
    on_dependency_failure: fc.constantFrom('fail' as const, 'wait' as const),
    not_before: fc.constantFrom(null, t0 + 50_000),
    max_attempts: fc.integer({ min: 1, max: 4 }),
    retry_backoff_ms: fc.constantFrom(0, 0, 10),
    cost_estimate: fc.constantFrom(null, 0.5),
    assign: fc.constantFrom(false, false, true),
    assign_timeout_ms: fc.constantFrom(null, 5_000, 200_000),
    lease_ms: fc.constantFrom(1_000, 30_000),
    metadata: fc.dictionary(fc.string(), anyJson),
  })
  .map(create);

const byOwner = fc.record({ at, by: swarm, token: anyToken });

const event: fc.Arbitrary<TaskEvent> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        at,
        owner: swarm,
        epoch,
        reserve_usd: fc.constantFrom(null, 0.5),
        fleet_reserve_usd: fc.constantFrom(null, 0.5),
      })
      .map(claim),
  },
  fc
    .record({ at, to: fc.option(swarm), length: fc.integer({ min: 0, max: 50_000 }) })
    .map(({ at: time, to, length }) => assignTo(to, { at: time, until: time + length })),
  byOwner.map(start),
  fc.tuple(byOwner, anyJson).map(([fields, result]) => complete({ ...fields, result })),
  { weight: 2, arbitrary: fc.tuple(byOwner, fc.boolean()).map(([f, retryable]) => fail({ ...f, retryable })) },
  { weight: 2, arbitrary: byOwner.map(release) },
  byOwner.map((fields) => block(fields)),
  at.map((time) => unblock('blocker-1', time)),
  { weight: 2, arbitrary: fc.record({ at, token: anyToken, lease_expires_at: at }).map(expire) },
  fc
    .tuple(fc.constantFrom('offline' as const, 'unregistered' as const, 'circuit_open' as const), swarm, at)
    .map(([reason, owner, time]) => ownerLost(reason, { owner, at: time })),
  at.map(due),
  fc.tuple(dependency, at).map(([id, time]) => done(id, time)),
  fc.tuple(dependency, at).map(([id, time]) => dependencyFailed(id, 'failed', time)),
  fc.record({ at, by: fc.constantFrom('alpha', 'beta', 'operator') }).map(cancel),
  creation,
);

const life = fc
  .tuple(creation, fc.array(event, { maxLength: 60 }))
  .map(([first, others]) => decisions(taskMachine, [first, ...others]));

/** Swarms that the task would take work from at this point, each with the token that it shows. */
function validOwners(snapshot: typeof taskMachine.absent): string[] {
  const tokens = [1, 2, 3, 4, 5, 6].flatMap((n) => [token(n, 1), token(n, 2)]);
  return ['beta', 'gamma', 'delta'].flatMap((by) =>
    tokens
      .filter((held) => !taskMachine.explain(snapshot, complete({ by, token: held })))
      .map((held) => `${by} ${held}`),
  );
}

const runs = { numRuns: 400 };

describe('whatever happens to a task, in whatever order', () => {
  it('at most one swarm can complete it, with one token', () => {
    fc.assert(
      fc.property(life, (steps) => {
        for (const { after } of steps) expect(validOwners(after).length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 100 },
    );
  });

  it('each ownership has a token greater than all before', () => {
    fc.assert(
      fc.property(life, (steps) => {
        const claims = steps.filter(({ event: e, refusal }) => e.type === 'CLAIM' && !refusal);
        const tokens = claims.map(({ after }) => after.context.token ?? 0);
        for (const [i, given] of tokens.entries()) expect(given).toBeGreaterThan(i === 0 ? 0 : (tokens[i - 1] ?? 0));
        expect(tokens.every(Number.isSafeInteger)).toBe(true);
      }),
      runs,
    );
  });

  it('the token changes only with a claim, and the owner only with the token', () => {
    fc.assert(
      fc.property(life, (steps) => {
        for (const { before, after, event: e } of steps) {
          const { token: held } = after.context;
          if (held !== null && held !== before.context.token) expect(e.type).toBe('CLAIM');
          if (held !== null && held === before.context.token) expect(after.context.owner).toBe(before.context.owner);
        }
      }),
      runs,
    );
  });

  it('a final task never changes again', () => {
    fc.assert(
      fc.property(life, (steps) => {
        const end = steps.findIndex(({ after }) => after.status === 'done');
        for (const { refusal } of end < 0 ? [] : steps.slice(end + 1)) expect(refusal).toBeDefined();
      }),
      runs,
    );
  });

  it('a lease never ends before its deadline', () => {
    fc.assert(
      fc.property(life, (steps) => {
        for (const { before, event: e, refusal } of steps) {
          if (e.type !== 'LEASE_EXPIRED' || refusal) continue;
          expect(e.at).toBeGreaterThanOrEqual(before.context.lease_expires_at ?? Number.POSITIVE_INFINITY);
          expect(e.at).toBeGreaterThanOrEqual(e.lease_expires_at);
        }
      }),
      runs,
    );
  });

  it('it is not available before its time, nor while a dependency is open', () => {
    fc.assert(
      fc.property(life, (steps) => {
        for (const { after, event: e, refusal } of steps) {
          if (refusal || after.value !== 'available') continue;
          expect(after.context.open_dependencies).toEqual([]);
          expect(e.at >= (after.context.not_before ?? 0) || after.context.ownerships > 0).toBe(true);
          expect(after.context.due_at).toBeNull();
        }
      }),
      runs,
    );
  });

  it('nobody claims it while it is kept for another, and each swarm is asked once in a round', () => {
    fc.assert(
      fc.property(life, (steps) => {
        for (const { before, after, event: e, refusal } of steps) {
          const kept = before.context.assignment;
          if (e.type === 'CLAIM' && !refusal && kept) expect(e.owner === kept.to || e.at >= kept.until).toBe(true);
          const { assign, assignment } = after.context;
          if (after.value === 'available') expect(assignment !== null).toBe(assign);
          const asked = assignment?.asked.map(({ swarm_id }) => swarm_id) ?? [];
          expect(new Set(asked).size).toBe(asked.length);
        }
      }),
      runs,
    );
  });

  it('what it holds of money is held only while it is owned', () => {
    fc.assert(
      fc.property(life, (steps) => {
        for (const { after } of steps) {
          const isOwned = ['claimed', 'in_progress', 'blocked'].includes(String(after.value));
          const { reserved_usd, fleet_reserved_usd } = after.context;
          if (!isOwned) expect([reserved_usd, fleet_reserved_usd]).toEqual([null, null]);
        }
      }),
      runs,
    );
  });

  it('attempts are counted by claims, less those given back, and never exceed their limit', () => {
    fc.assert(
      fc.property(life, (steps) => {
        const accepted = steps.filter(({ refusal }) => !refusal).map(({ event: e }) => e);
        const given = accepted.filter(
          (e) => e.type === 'RELEASE' || (e.type === 'OWNER_LOST' && e.reason !== 'offline'),
        );
        const claims = accepted.filter((e) => e.type === 'CLAIM');
        const { attempt, max_attempts, ownerships } = steps.at(-1)?.after.context ?? taskMachine.absent.context;
        expect(ownerships).toBe(claims.length);
        expect(attempt).toBe(claims.length - given.length);
        expect(attempt).toBeLessThanOrEqual(max_attempts);
      }),
      runs,
    );
  });

  it('the accepted events alone, read back from JSON, lead to the same snapshot', () => {
    fc.assert(
      fc.property(life, (steps) => {
        const accepted = steps.filter(({ refusal }) => !refusal).map(({ event: e }) => e);
        const read = JSON.parse(JSON.stringify(accepted)) as TaskEvent[];
        expect(JSON.stringify(fold(taskMachine, read))).toBe(JSON.stringify(steps.at(-1)?.after));
      }),
      runs,
    );
  });

  it('any record of it can be gone on from, as read back from JSON', () => {
    fc.assert(
      fc.property(life, fc.nat(), (steps, n) => {
        const accepted = steps.filter(({ refusal }) => !refusal);
        const from = accepted[n % Math.max(1, accepted.length)];
        if (!from) return;
        const stored = JSON.parse(JSON.stringify(from.after)) as typeof from.after;
        const rest = accepted.slice(accepted.indexOf(from) + 1).map(({ event: e }) => e);
        expect(fold(taskMachine, rest, stored)).toEqual(JSON.parse(JSON.stringify(accepted.at(-1)?.after)));
      }),
      runs,
    );
  });

  it('its context is plain JSON, and a refused event leaves it alone', () => {
    fc.assert(
      fc.property(life, (steps) => {
        for (const { before, after, refusal } of steps) {
          expect(isPlainJson(after)).toBe(true);
          if (refusal) expect(after).toBe(before);
        }
      }),
      runs,
    );
  });
});
