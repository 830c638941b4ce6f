/** Whom a task is assigned to next, and how it is said why. Pure. */
import { describe, expect, it } from 'vitest';
import { type ChoiceParts, chooseSwarm } from '../../actors/governor/assignment/choice.ts';
import { KeptTasks } from '../../actors/governor/assignment/kept-tasks.ts';
import type { MatchFactors, MatchRequest } from '../../machines/governance/matching.ts';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { type Assignment, absentTask, maxAsked, type TaskContext } from '../../machines/task/context.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';

const now = 1_000_000;
const factors = (swarm_id: string, facts: Partial<MatchFactors> = {}): MatchFactors => ({
  swarm_id,
  match_score: 1,
  combined_score: 0.1,
  reputation: 0.5,
  cost_per_hour: 5,
  matched: [],
  missing: [],
  remaining_usd: 0,
  free_slots: null,
  ...facts,
});
const assignment = (asked: string[], more: Partial<Assignment> = {}): Assignment => ({
  to: null,
  until: now,
  asked: asked.map((swarm_id) => ({ swarm_id, at: 0, until: now, match_score: 1, combined_score: 1 })),
  reason: null,
  ...more,
});
const task = (asked: string[] = []): TaskContext => ({
  ...absentTask,
  assign: true,
  assign_timeout_ms: 700,
  assignment: assignment(asked),
});

/** Ranked as given, without those that a request excludes. */
function parts(ranked: MatchFactors[], offered: Record<string, number> = {}): ChoiceParts & { limits: unknown[] } {
  const limits: unknown[] = [];
  return {
    limits,
    swarms: {
      match({ exclude = [] }: MatchRequest, { limit }) {
        limits.push(limit);
        return ranked.filter(({ swarm_id }) => !exclude.includes(swarm_id)).slice(0, limit);
      },
    },
    policy: defaultPolicy,
    offeredTo: (swarm_id) => offered[swarm_id] ?? 0,
    now,
  };
}

describe('the next assignment of a task', () => {
  it('is the best swarm, for the time that the task was created with', () => {
    expect(chooseSwarm(task(), parts([factors('a'), factors('b')]))).toEqual({
      type: 'ASSIGN',
      to: 'a',
      until: now + 700,
      match_score: 1,
      combined_score: 0.1,
      reason: 'the best: match 1, reputation 0.5, 5 dollars per hour, combined score 0.1',
    });
  });

  it('says of a free swarm that it is free, which has no combined score', () => {
    const free = factors('a', { cost_per_hour: 0, combined_score: null, match_score: 2 / 3 });
    expect(chooseSwarm(task(), parts([free]))).toMatchObject({
      combined_score: null,
      reason: 'the best: match 0.666667, reputation 0.5, free',
    });
  });

  it('passes those by that were asked, and names the last of them', () => {
    expect(chooseSwarm(task(['a']), parts([factors('a'), factors('b')]))).toMatchObject({
      to: 'b',
      reason: expect.stringMatching(/^the next best after a: /),
    });
  });

  it('says why one is passed over before its time was over', () => {
    const over = (why: 'offline' | 'circuit_open' | 'unregistered') => ({ passedOver: { swarm_id: 'a', why } });
    const one = [factors('a'), factors('b')];
    expect(chooseSwarm(task(['a']), { ...parts(one), ...over('offline') })).toMatchObject({
      to: 'b',
      passed_over: { swarm_id: 'a', why: 'offline' },
      reason: expect.stringMatching(/^the next best after a, which is offline: /),
    });
    expect(chooseSwarm(task(['a']), { ...parts([factors('a')]), ...over('circuit_open') })).toMatchObject({
      to: null,
      passed_over: { swarm_id: 'a', why: 'circuit_open' },
      reason: 'open to all: a has an open circuit, and no other qualifies and can take one more',
    });
  });

  it('passes those by that were offered as many tasks as they can take', () => {
    const ranked = [factors('a', { free_slots: 2 }), factors('b', { free_slots: 1 })];
    expect(chooseSwarm(task(), parts(ranked, { a: 1 })).to).toBe('a');
    expect(chooseSwarm(task(), parts(ranked, { a: 2 })).to).toBe('b');
    expect(chooseSwarm(task(), parts(ranked, { a: 2, b: 1 })).to).toBeNull();
  });

  it('looks at all swarms only where the first ones have no room', () => {
    const ranked = Array.from({ length: 40 }, (_, i) => factors(`s${i}`, { free_slots: 1 }));
    const offered = Object.fromEntries(ranked.slice(0, 30).map(({ swarm_id }) => [swarm_id, 1]));
    const busy = parts(ranked, offered);
    expect(chooseSwarm(task(), busy).to).toBe('s30');
    expect(busy.limits).toHaveLength(2);
    const idle = parts(ranked);
    expect(chooseSwarm(task(), idle).to).toBe('s0');
    expect(idle.limits).toHaveLength(1);
  });

  it('is everyone when nobody is left, and says after how many', () => {
    expect(chooseSwarm(task(['a']), parts([factors('a')]))).toEqual({
      type: 'ASSIGN',
      to: null,
      until: now,
      reason:
        'open to all: the one swarm that was asked did not claim it in time, and no other qualifies and can take one more',
    });
  });

  it('is everyone after as many swarms as one round asks', () => {
    const asked = Array.from({ length: maxAsked }, (_, i) => `s${i}`);
    expect(chooseSwarm(task(asked), parts([factors('other')]))).toMatchObject({
      to: null,
      reason: `open to all: none of the ${maxAsked} swarms that were asked claimed it in time`,
    });
  });
});

describe('the tasks that are kept', () => {
  const stored = (id: string, revision: number, kept: Assignment | null, state = 'available') =>
    ({
      revision,
      record: {
        kind: 'task',
        id,
        snapshot: { status: 'active', value: state, context: { ...task(), assignment: kept } },
      },
    }) as unknown as StoredRecord;

  it('are those that are available and not yet open to all', () => {
    const kept = new KeptTasks();
    kept.apply(stored('fresh', 1, assignment([], { until: now + 1 })));
    kept.apply(stored('lapsed', 2, assignment(['a'], { to: 'a', reason: 'the best', until: now })));
    kept.apply(stored('offered', 3, assignment(['a'], { to: 'a', reason: 'the best', until: now + 1 })));
    kept.apply(stored('open', 4, assignment([], { reason: 'open to all' })));
    kept.apply(stored('plain', 5, null));
    kept.apply(stored('claimed', 6, assignment(['a'], { to: 'a', reason: 'the best' }), 'claimed'));
    expect([...kept.unassigned(now)]).toEqual(['fresh', 'lapsed']);
    expect(kept.offeredTo('a', 'other')).toBe(2);
    expect(kept.offeredTo('a', 'offered')).toBe(1);
  });

  it('are forgotten with what comes after, and old news does not bring them back while they are known', () => {
    const kept = new KeptTasks();
    kept.apply(stored('t', 5, assignment(['a'], { to: 'a', reason: 'the best', until: now })));
    expect(kept.apply(stored('t', 4, assignment([])))).toBeUndefined();
    expect(kept.offeredTo('a', 'other')).toBe(1);
    kept.remove('t', 4);
    expect([...kept.unassigned(now)]).toEqual(['t']);
    kept.apply(stored('t', 6, assignment(['a'], { to: 'a', reason: 'the best' }), 'claimed'));
    expect([...kept.unassigned(now)]).toEqual([]);
    expect(kept.offeredTo('a', 'other')).toBe(0);
  });
});
