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
import type { BlockerEvent, ReportBlocker } from '../../machines/blocker/events.ts';
import { blockerMachine } from '../../machines/blocker/machine.ts';
import { blockerRules } from '../../machines/blocker/rules.ts';
import type { Snapshot } from '../../machines/record.ts';
import { meetings } from './agreement.ts';
import { decisions, fold, isPlainJson } from './fold.ts';

const t0 = 1_700_000_000_000;

const report = (fields: Partial<ReportBlocker> = {}): ReportBlocker => ({
  type: 'REPORT',
  at: t0,
  by: 'beta',
  task_id: 'task-1',
  token: 7,
  blocker_type: 'missing-access',
  description: 'no access to the staging database',
  severity: 'high',
  required_capabilities: ['ops:database', 'ops:database'],
  trace_id: 'trace-1',
  ...fields,
});
const invite = (...swarm_ids: string[]) => ({ type: 'INVITE', at: t0 + 1, swarm_ids }) as const;
const join = (by: string, at = t0 + 2) => ({ type: 'JOIN', at, by }) as const;
const decline = (by: string, at = t0 + 3) => ({ type: 'DECLINE', at, by }) as const;
const resolve = (by: string, resolution = 'access granted') =>
  ({ type: 'RESOLVE', at: t0 + 5, by, resolution }) as const;
const escalate = { type: 'ESCALATE', at: t0 + 4, reason: 'no one is qualified' } as const;

const having = (...events: BlockerEvent[]) => fold(blockerMachine, events);
const refused = (snapshot: Snapshot<BlockerContext>, event: BlockerEvent) => blockerMachine.explain(snapshot, event);

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
  const helpers = context.helpers.map(({ swarm_id, answer }) => `${swarm_id} ${answer}`);
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

describe('a blocker', () => {
  it('keeps what was reported, lists without repetitions', () => {
    expect(having(report())).toMatchObject({
      value: 'reported',
      context: {
        reported_by: 'beta',
        task_id: 'task-1',
        token: 7,
        required_capabilities: ['ops:database'],
        trace_id: 'trace-1',
        reported_at: t0,
        helpers: [],
      },
    });
  });

  it('names a task together with the ownership that is blocked, or neither, and shows no token', () => {
    const refusal = refused(blockerMachine.absent, report({ task_id: null, token: 4_242 }));
    expect(refusal?.code).toBe('INVALID_REQUEST');
    expect(JSON.stringify(refusal)).not.toContain('4242');
  });

  it('asks each swarm once, and never the blocked one', () => {
    const asked = having(report(), invite('gamma'));
    expect(refused(asked, invite('gamma'))?.code).toBe('CONFLICT');
    expect(refused(asked, invite('gamma', 'beta'))?.code).toBe('INVALID_REQUEST');
    expect(fold(blockerMachine, [invite('delta', 'gamma', 'delta')], asked).context.helpers).toEqual([
      { swarm_id: 'gamma', answer: 'invited', at: t0 + 1 },
      { swarm_id: 'delta', answer: 'invited', at: t0 + 1 },
    ]);
  });

  it('takes help from those who were asked only, also from one who declined first', () => {
    const asked = having(report(), invite('gamma'));
    expect(refused(asked, join('delta'))?.code).toBe('UNAUTHORIZED');
    expect(refused(asked, decline('delta'))?.code).toBe('UNAUTHORIZED');
    const declined = fold(blockerMachine, [decline('gamma')], asked);
    expect([declined.value, refused(declined, decline('gamma'))?.code]).toEqual(['reported', 'CONFLICT']);
    const joined = fold(blockerMachine, [join('gamma')], declined);
    expect([joined.value, refused(joined, join('gamma'))?.code]).toEqual(['helping', 'CONFLICT']);
  });

  it('is without help again when the last helper leaves', () => {
    const both = having(report(), invite('gamma', 'delta'), join('gamma'), join('delta'));
    const one = fold(blockerMachine, [decline('gamma')], both);
    expect([one.value, joinedHelpers(one.context)]).toEqual(['helping', ['delta']]);
    expect(fold(blockerMachine, [decline('delta')], one).value).toBe('reported');
  });

  it.each([
    ['its reporter', 'beta', undefined],
    ['a helper that joined', 'gamma', undefined],
    ['an operator', 'operator', undefined],
    ['a service', 'IF.coordinator', undefined],
    ['a helper that only was invited', 'delta', 'UNAUTHORIZED'],
    ['a stranger', 'if-coordinator', 'UNAUTHORIZED'],
  ])('may be resolved by %s or not', (_, by, code) => {
    const helping = having(report(), invite('gamma', 'delta'), join('gamma'));
    expect(refused(helping, resolve(by))?.code).toBe(code);
    const escalated = fold(blockerMachine, [escalate], helping);
    expect(refused(escalated, resolve(by))?.code).toBe(code);
  });

  it('tells a stranger nothing of its state', () => {
    const open = refused(having(report()), resolve('stranger'));
    expect(refused(having(report(), resolve('beta')), resolve('stranger'))).toEqual(open);
  });

  it('stays escalated while helpers come and go, and is escalated once', () => {
    const escalated = having(report(), escalate, invite('gamma'), join('gamma'));
    expect(escalated).toMatchObject({
      value: 'escalated',
      context: { escalation_reason: escalate.reason, escalated_at: t0 + 4 },
    });
    expect(refused(escalated, escalate)).toMatchObject({ code: 'CONFLICT', details: { state: 'escalated' } });
    expect(fold(blockerMachine, [resolve('gamma')], escalated)).toMatchObject({
      value: 'resolved',
      status: 'done',
      context: { resolution: 'access granted', resolved_by: 'gamma', resolved_at: t0 + 5 },
    });
  });
});

const swarm = fc.constantFrom('beta', 'gamma', 'delta', 'epsilon');
const anyEvent: fc.Arbitrary<BlockerEvent> = fc.oneof(
  { weight: 3, arbitrary: fc.uniqueArray(swarm, { maxLength: 3 }).map((ids) => invite(...ids)) },
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
