import { describe, expect, it } from 'vitest';
import { type ApprovalContext, approvalStates } from '../../machines/approval/context.ts';
import type { ApprovalEvent, Approve, AskApproval, Reject } from '../../machines/approval/events.ts';
import { approvalMachine } from '../../machines/approval/machine.ts';
import { approvalRules } from '../../machines/approval/rules.ts';
import type { Snapshot } from '../../machines/record.ts';
import { meetings } from './agreement.ts';
import { fold, isPlainJson } from './fold.ts';

const t0 = 1_700_000_000_000;
const ask = (fields: Partial<AskApproval> = {}): AskApproval => ({
  type: 'ASK',
  at: t0,
  by: 'operator',
  action: 'raise_budget',
  target: 'swarm:beta',
  request: { budget_usd: 50 },
  reason: null,
  expires_at: t0 + 1_000,
  trace_id: 'trace-1',
  ...fields,
});
const approve = (fields: Partial<Approve> = {}): Approve => ({
  type: 'APPROVE',
  at: t0 + 10,
  by: 'operator',
  name: 'Ada',
  ...fields,
});
const reject = (fields: Partial<Reject> = {}): Reject => ({ ...approve(), ...fields, type: 'REJECT' });
const expire = (at: number) => ({ type: 'EXPIRE', at }) as const;

const having = (...events: ApprovalEvent[]) => fold(approvalMachine, events);
const refused = (snapshot: Snapshot<ApprovalContext>, event: ApprovalEvent) => approvalMachine.explain(snapshot, event);

const events: ApprovalEvent[] = [
  ask(),
  ask({ action: '' }),
  ask({ expires_at: t0 }),
  approve(),
  approve({ at: t0 + 1_000 }),
  approve({ name: ' ' }),
  approve({ by: 'beta' }),
  reject(),
  reject({ by: 'IF.governor' }),
  expire(t0 + 999),
  expire(t0 + 1_000),
];
const met = meetings(approvalMachine, events, ({ value, context }) => [value, context.decided_by]);

describe('the state chart of an approval', () => {
  it('agrees with its explanations in every state that can be reached, for every event', () => {
    expect(met.filter(({ taken, refusal }) => taken !== (refusal === undefined))).toEqual([]);
    expect(met.filter(({ next, expected }) => JSON.stringify(next) !== JSON.stringify(expected))).toEqual([]);
    expect(met.filter(({ next }) => !isPlainJson(next))).toEqual([]);
  });

  it('reaches every state and every refusal, and meets every event both accepted and refused', () => {
    expect(new Set(met.map(({ snapshot }) => snapshot.value))).toEqual(new Set(approvalStates));
    expect(new Set(met.flatMap(({ refusal }) => refusal?.code ?? []))).toEqual(
      new Set(['INVALID_REQUEST', 'UNAUTHORIZED', 'TARGET_NOT_FOUND', 'CONFLICT']),
    );
    for (const type of Object.keys(approvalRules)) {
      const outcomes = new Set(met.filter(({ event }) => event.type === type).map(({ taken }) => taken));
      expect([type, outcomes]).toEqual([type, new Set([true, false])]);
    }
  });

  it('is decided once: in a final state nothing is accepted', () => {
    const final = met.filter(({ snapshot }) => !['absent', 'pending'].includes(String(snapshot.value)));
    expect(final.filter(({ taken, snapshot }) => taken || snapshot.status !== 'done')).toEqual([]);
  });
});

describe('an approval', () => {
  it('keeps who asked for what, and the name of the person who decided', () => {
    const approved = having(ask(), approve({ comment: 'for this week' }));
    expect(approved).toMatchObject({
      value: 'approved',
      context: {
        action: 'raise_budget',
        target: 'swarm:beta',
        request: { budget_usd: 50 },
        asked_by: 'operator',
        asked_at: t0,
        expires_at: t0 + 1_000,
        decided_by: 'operator',
        decided_name: 'Ada',
        comment: 'for this week',
        decided_at: t0 + 10,
      },
    });
  });

  it('is given by an operator alone, with a name', () => {
    expect(refused(having(ask()), approve({ by: 'beta' }))?.code).toBe('UNAUTHORIZED');
    expect(refused(having(ask()), reject({ by: 'IF.governor' }))?.code).toBe('UNAUTHORIZED');
    expect(refused(having(ask()), approve({ name: '' }))).toMatchObject({ details: { field: 'name' } });
  });

  it('cannot be given any more from the moment it expires, but can be refused until it is expired', () => {
    const pending = having(ask());
    expect(refused(pending, approve({ at: t0 + 999 }))).toBeUndefined();
    expect(refused(pending, approve({ at: t0 + 1_000 }))?.code).toBe('CONFLICT');
    expect(refused(pending, reject({ at: t0 + 1_000 }))).toBeUndefined();
    expect(having(ask(), expire(t0 + 1_000))).toMatchObject({
      value: 'expired',
      context: { decided_by: null, decided_name: null, decided_at: t0 + 1_000 },
    });
  });

  it('tells a stranger nothing of what was decided', () => {
    const stranger = approve({ by: 'beta' });
    expect(refused(having(ask(), approve()), stranger)).toEqual(refused(having(ask()), stranger));
  });
});
