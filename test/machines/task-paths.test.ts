import { describe, expect, it } from 'vitest';
import { getShortestPaths } from 'xstate/graph';
import type { Snapshot } from '../../machines/record.ts';
import { finalStates, type TaskContext, taskStates } from '../../machines/task/context.ts';
import type { TaskEvent } from '../../machines/task/events.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { taskRules } from '../../machines/task/rules.ts';
import { meetings } from './agreement.ts';
import { isPlainJson } from './fold.ts';
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
  fitSwarm,
  ownerLost,
  release,
  start,
  t0,
  token,
  unblock,
} from './task-events.ts';

const content = { requires: ['code:ts'], max_attempts: 2 };

/** Tasks of every sort, and everything that two swarms, a stranger, timers and an operator can do to them. */
const events: TaskEvent[] = [
  create(content),
  create({ ...content, retry_backoff_ms: 50 }),
  create({ ...content, not_before: t0 + 100 }),
  create({ ...content, cost_estimate: 1 }),
  create({ ...content, depends_on: ['a', 'b'] }),
  create({ ...content, depends_on: ['a'], on_dependency_failure: 'wait' }),
  create({ ...content, depends_on: ['a'], failed_dependencies: ['a'] }),
  create({ lease_ms: 1 }),
  create({ ...content, assign: true, assign_timeout_ms: 100 }),
  create({ assign: true, assign_timeout_ms: 0 }),
  assignTo('beta'),
  assignTo('gamma', { at: t0 + 2_000, until: t0 + 3_000 }),
  assignTo('delta', { until: t0 }),
  assignTo('operator'),
  assignTo(null, { at: t0 + 4_000 }),
  done('a'),
  done('b'),
  dependencyFailed('a'),
  due(t0 + 99),
  due(t0 + 1_000_000),
  claim(),
  claim({ owner: 'gamma', epoch: 2, reserve_usd: 1 }),
  claim({ epoch: 0 }),
  claim({ swarm: { ...fitSwarm, registration: 'retired' } }),
  claim({ swarm: { ...fitSwarm, liveness: 'offline' } }),
  claim({ swarm: { ...fitSwarm, circuit: 'open', circuit_reasons: ['failures'] } }),
  claim({ swarm: { ...fitSwarm, capabilities: [] } }),
  ...[
    { by: 'beta', token: token(1) },
    { by: 'beta', token: token(2, 2) },
    { by: 'gamma', token: token(2, 2) },
    { by: 'delta', token: token(1) },
  ].flatMap((holder) => [start(holder), complete(holder), fail(holder), release(holder), block(holder)]),
  complete({ cost: { cost_usd: -1 } }),
  fail({ retryable: false }),
  expire(),
  expire({ at: t0 + 20 }),
  expire({ token: token(2) }),
  ownerLost('offline'),
  ownerLost('unregistered'),
  ownerLost('circuit_open'),
  ownerLost('offline', { owner: 'gamma' }),
  unblock(),
  unblock('blocker-2'),
  cancel(),
  cancel({ by: 'operator' }),
  cancel({ by: 'beta' }),
];

/** What tells states apart here: everything but times, and no more than two ownerships. */
function identity({ value, context }: Snapshot<TaskContext>): unknown {
  if (context.ownerships > 2) return 'further on';
  const {
    owner,
    token: held,
    attempt,
    open_dependencies,
    failed_dependencies,
    due_at,
    blocker_id,
    past_owners,
  } = context;
  const { max_attempts, retry_backoff_ms, cost_estimate, on_dependency_failure } = context;
  const progress = [owner, held, attempt, open_dependencies, failed_dependencies, due_at !== null, blocker_id];
  const { assignment } = context;
  return [
    value,
    progress,
    past_owners,
    max_attempts,
    retry_backoff_ms,
    cost_estimate,
    on_dependency_failure,
    assignment,
  ];
}

const met = meetings(taskMachine, events, identity);

describe('the state chart of a task', () => {
  it('agrees with its explanations in every state that can be reached, for every event', () => {
    expect(met.length).toBeGreaterThan(10_000);
    const disagreeing = met.filter((meeting) => meeting.taken !== (meeting.refusal === undefined));
    expect(disagreeing.slice(0, 3)).toEqual([]);
  });

  it('is stepped from records as XState steps it', () => {
    const differing = met.filter(({ next, expected }) => JSON.stringify(next) !== JSON.stringify(expected));
    expect(differing.slice(0, 3)).toEqual([]);
  });

  it('reaches every state and every refusal', () => {
    expect(new Set(met.map(({ snapshot }) => snapshot.value))).toEqual(new Set(taskStates));
    expect(new Set(met.flatMap(({ refusal }) => refusal?.code ?? []))).toEqual(
      new Set([
        'INVALID_REQUEST',
        'UNAUTHORIZED',
        'TASK_NOT_FOUND',
        'TASK_EXISTS',
        'TASK_NOT_AVAILABLE',
        'NOT_OWNER',
        'STALE_TOKEN',
        'SWARM_NOT_FOUND',
        'SWARM_OFFLINE',
        'CIRCUIT_OPEN',
        'BUDGET_EXHAUSTED',
        'CAPABILITY_MISSING',
        'UNAVAILABLE',
        'CONFLICT',
      ]),
    );
  });

  it('meets every event both accepted and refused', () => {
    for (const type of Object.keys(taskRules)) {
      const outcomes = new Set(met.filter(({ event }) => event.type === type).map(({ taken }) => taken));
      expect([type, outcomes]).toEqual([type, new Set([true, false])]);
    }
  });

  it('handles in each state exactly the events that the rules allow there', () => {
    for (const state of taskStates) {
      const handled = Object.keys(taskMachine.logic.states[state]?.config.on ?? {});
      const allowed = Object.entries(taskRules).flatMap(([type, rules]) =>
        (rules.states as readonly string[]).includes(state) ? type : [],
      );
      expect([state, handled.sort()]).toEqual([state, allowed.sort()]);
    }
  });

  it('never leaves a final state', () => {
    const final = met.filter(({ snapshot }) => (finalStates as readonly unknown[]).includes(snapshot.value));
    expect(final.length).toBeGreaterThan(100);
    expect(final.filter(({ snapshot, taken }) => taken || snapshot.status !== 'done')).toEqual([]);
  });

  it('has an owner with a token in every owned state, and none while it waits or is available', () => {
    const wrong = met.filter(({ next: { value, context } }) => {
      const owned = ['claimed', 'in_progress', 'blocked'].includes(String(value));
      const free = ['waiting', 'available'].includes(String(value));
      const leased = value === 'claimed' || value === 'in_progress';
      const hasOwner = context.owner !== null && context.token !== null;
      return (owned && !hasOwner) || (free && hasOwner) || leased !== (context.lease_expires_at !== null);
    });
    expect(wrong.slice(0, 3)).toEqual([]);
  });

  it('keeps attempts within their limit, and its context plain', () => {
    const wrong = met.filter(({ next }) => {
      const { attempt, max_attempts } = next.context;
      return attempt < 0 || attempt > max_attempts || !isPlainJson(next);
    });
    expect(wrong.slice(0, 3)).toEqual([]);
  });

  it('leads to completion on the shortest path by creating, claiming and completing', () => {
    const paths = getShortestPaths(taskMachine.logic, {
      events,
      serializeState: (state) => JSON.stringify(identity(state as unknown as Snapshot<TaskContext>)),
      toState: (state) => state.value === 'completed',
      limit: 1_000_000,
    });
    const shortest = paths.reduce((a, b) => (b.steps.length < a.steps.length ? b : a));
    const types = shortest.steps.map(({ event }) => event.type).filter((type) => type !== 'xstate.init');
    expect(types).toEqual(['CREATE', 'CLAIM', 'COMPLETE']);
  });
});
