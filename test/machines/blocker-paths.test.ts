import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { getShortestPaths } from 'xstate/graph';
import {
  type BlockerContext,
  blockerStates,
  joinedHelpers,
  openBlockerStates,
  type Severity,
} from '../../machines/blocker/context.ts';
import type { BlockerEvent } from '../../machines/blocker/events.ts';
import { blockerMachine } from '../../machines/blocker/machine.ts';
import { blockerRules } from '../../machines/blocker/rules.ts';
import type { Snapshot } from '../../machines/record.ts';
import { meetings } from './agreement.ts';
import { decline, escalate, instead, invite, join, refused, report, resolve, t0 } from './blocker-events.ts';
import { decisions, fold, isPlainJson } from './fold.ts';

/** Everything that the reporter, two helpers, a stranger, an operator and a service can do. */
const events: BlockerEvent[] = [
  report(),
  report({ task_id: null, token: null }),
  report({ token: null }),
  report({ task_id: 'a..b' }),
  report({ severity: 'awful' as Severity }),
  report({ blocker_type: '' }),
  invite('gamma'),
  invite('gamma', 'delta'),
  invite(),
  { ...invite('gamma'), answer_by: t0 + 50 },
  { ...invite('gamma'), answer_by: t0 },
  instead(['gamma'], ['delta']),
  instead(['gamma'], [], t0 + 2),
  invite('beta'),
  invite('operator'),
  invite('Not A Swarm'),
  ...['beta', 'gamma', 'delta', 'operator'].flatMap((by) => [join(by), decline(by), resolve(by)]),
  resolve('IF.coordinator'),
  resolve('stranger'),
  escalate,
];

/** What tells states apart here: everything but times. */
function identity({ value, context }: Snapshot<BlockerContext>): unknown {
  const helpers = context.helpers.map(({ swarm_id, answer, answer_by }) => `${swarm_id} ${answer} ${answer_by}`);
  return [value, context.task_id, helpers, context.resolved_by, context.escalation_reason];
}

const met = meetings(blockerMachine, events, identity);

describe('the state chart of a blocker', () => {
  it('agrees with its explanations in every state that can be reached, for every event', () => {
    expect(met.length).toBeGreaterThan(2_000);
    expect(met.filter(({ taken, refusal }) => taken !== (refusal === undefined)).slice(0, 3)).toEqual([]);
  });

  it('is stepped from records as XState steps it', () => {
    const differing = met.filter(({ next, expected }) => JSON.stringify(next) !== JSON.stringify(expected));
    expect(differing.slice(0, 3)).toEqual([]);
  });

  it('reaches every state and every refusal', () => {
    expect(new Set(met.map(({ snapshot }) => snapshot.value))).toEqual(new Set(blockerStates));
    expect(new Set(met.flatMap(({ refusal }) => refusal?.code ?? []))).toEqual(
      new Set(['INVALID_REQUEST', 'UNAUTHORIZED', 'TARGET_NOT_FOUND', 'CONFLICT']),
    );
  });

  it('meets every event both accepted and refused', () => {
    for (const type of Object.keys(blockerRules)) {
      const outcomes = new Set(met.filter(({ event }) => event.type === type).map(({ taken }) => taken));
      expect([type, outcomes]).toEqual([type, new Set([true, false])]);
    }
  });

  it('handles in each state exactly the events that the rules allow there', () => {
    for (const state of blockerStates) {
      const handled = Object.keys(blockerMachine.logic.states[state]?.config.on ?? {});
      const allowed = Object.entries(blockerRules).flatMap(([type, rules]) =>
        (rules.states as readonly string[]).includes(state) ? type : [],
      );
      expect([state, handled.sort()]).toEqual([state, allowed.sort()]);
    }
  });

  it('never changes once it is resolved, and can be resolved until then', () => {
    const resolved = met.filter(({ snapshot }) => snapshot.value === 'resolved');
    expect(resolved.length).toBeGreaterThan(100);
    expect(resolved.filter(({ snapshot, taken }) => taken || snapshot.status !== 'done')).toEqual([]);
    const open = met.filter(({ snapshot }) => (openBlockerStates as readonly unknown[]).includes(snapshot.value));
    expect(open.filter(({ event, taken }) => event.type === 'RESOLVE' && event.by === 'operator' && !taken)).toEqual(
      [],
    );
  });

  it('is helping exactly while someone helps, unless a person was asked', () => {
    const wrong = met.filter(({ next: { value, context } }) => {
      if (value === 'absent' || value === 'resolved') return false;
      const expected =
        context.escalated_at !== null ? 'escalated' : joinedHelpers(context).length > 0 ? 'helping' : 'reported';
      return value !== expected;
    });
    expect(wrong.slice(0, 3)).toEqual([]);
  });

  it('keeps its context plain', () => {
    expect(met.filter(({ next }) => !isPlainJson(next)).slice(0, 3)).toEqual([]);
  });

  it('leads to help and resolution on the shortest path by inviting and joining', () => {
    const paths = getShortestPaths(blockerMachine.logic, {
      events,
      serializeState: (state) => JSON.stringify(identity(state as unknown as Snapshot<BlockerContext>)),
      toState: (state) => state.value === 'resolved' && state.context.resolved_by === 'gamma',
    });
    const shortest = paths.reduce((a, b) => (b.steps.length < a.steps.length ? b : a));
    const types = shortest.steps.map(({ event }) => event.type).filter((type) => type !== 'xstate.init');
    expect(types).toEqual(['REPORT', 'INVITE', 'JOIN', 'RESOLVE']);
  });

  it('refuses a type that it does not know', () => {
    for (const type of ['NONSENSE', '*', 'toString'])
      expect(refused(blockerMachine.absent, { type, at: 0 } as unknown as BlockerEvent)?.code).toBe('INVALID_REQUEST');
  });
});

const swarm = fc.constantFrom('beta', 'gamma', 'delta', 'epsilon');
const anyEvent: fc.Arbitrary<BlockerEvent> = fc.oneof(
  { weight: 3, arbitrary: fc.uniqueArray(swarm, { maxLength: 3 }).map((ids) => invite(...ids)) },
  fc.tuple(fc.uniqueArray(swarm), fc.uniqueArray(swarm)).map(([lapsed, ids]) => instead(lapsed, ids)),
  { weight: 4, arbitrary: swarm.map((by) => join(by)) },
  { weight: 3, arbitrary: swarm.map((by) => decline(by)) },
  swarm.map((by) => resolve(by)),
  fc.constant(escalate),
  fc.constant(report()),
);
const life = fc
  .array(anyEvent, { maxLength: 40 })
  .map((later) => decisions(blockerMachine, [report(), ...later] as BlockerEvent[]));

describe('whatever happens to a blocker, in whatever order', () => {
  it('each swarm is on the list once, only who was asked, and never the blocked one', () => {
    fc.assert(
      fc.property(life, (steps) => {
        const asked = new Set<string>();
        for (const { after, event, refusal } of steps) {
          if (event.type === 'INVITE' && !refusal) for (const id of event.swarm_ids) asked.add(id);
          expect(after.context.helpers.map(({ swarm_id }) => swarm_id)).toEqual([...asked]);
          expect(asked.has('beta')).toBe(false);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('the accepted events alone, read back from JSON, lead to the same snapshot', () => {
    fc.assert(
      fc.property(life, (steps) => {
        const accepted = steps.filter(({ refusal }) => !refusal).map(({ event }) => event);
        const read = JSON.parse(JSON.stringify(accepted)) as BlockerEvent[];
        expect(JSON.stringify(fold(blockerMachine, read))).toBe(JSON.stringify(steps.at(-1)?.after));
      }),
      { numRuns: 200 },
    );
  });
});
