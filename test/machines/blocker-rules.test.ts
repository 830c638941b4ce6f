import { describe, expect, it } from 'vitest';
import { joinedHelpers } from '../../machines/blocker/context.ts';
import type { InviteHelpers } from '../../machines/blocker/events.ts';
import { blockerMachine } from '../../machines/blocker/machine.ts';
import { decline, escalate, having, instead, invite, join, refused, report, resolve, t0 } from './blocker-events.ts';
import { fold } from './fold.ts';

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
      { swarm_id: 'gamma', answer: 'invited', at: t0 + 1, why: null, answer_by: null, reason: null },
      { swarm_id: 'delta', answer: 'invited', at: t0 + 1, why: null, answer_by: null, reason: null },
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

  it('keeps why each was asked and until when it can answer, whatever it answers', () => {
    const factors = { match_score: 1, combined_score: 0.4, reputation: 0.5, cost_per_hour: 1.25 };
    const asking: InviteHelpers = { ...invite('gamma', 'delta'), why: { gamma: factors }, answer_by: t0 + 50 };
    const asked = having(report(), asking);
    expect(asked.context.helpers).toMatchObject([
      { why: factors, answer_by: t0 + 50, reason: null },
      { why: null, answer_by: t0 + 50 },
    ]);
    const declined = fold(blockerMachine, [{ ...decline('gamma'), reason: 'no access either' }], asked);
    expect(declined.context.helpers[0]).toEqual({
      swarm_id: 'gamma',
      answer: 'declined',
      at: t0 + 3,
      why: factors,
      answer_by: t0 + 50,
      reason: 'no access either',
    });
    expect(fold(blockerMachine, [join('gamma')], declined).context.helpers[0]).toMatchObject({
      answer: 'joined',
      why: factors,
      reason: null,
    });
  });

  it('takes nobody for silent who has answered, or still has time to', () => {
    const asked = having(report(), { ...invite('gamma', 'delta'), answer_by: t0 + 50 }, join('delta'));
    expect(refused(asked, instead(['gamma'], ['epsilon'], t0 + 49))).toMatchObject({
      code: 'CONFLICT',
      details: { answer_by: t0 + 50 },
    });
    const silent = fold(blockerMachine, [instead(['gamma', 'delta'], [], t0 + 50)], asked);
    expect(silent.context.helpers.map(({ answer }) => answer)).toEqual(['silent', 'joined']);
    expect(refused(silent, instead(['gamma', 'delta'], [], t0 + 51))?.code).toBe('CONFLICT');
  });

  it('is helped by who answers late, and not asked of them again', () => {
    const silent = having(report(), invite('gamma'), instead(['gamma'], ['delta']));
    expect(refused(silent, invite('gamma'))?.code).toBe('CONFLICT');
    const joined = fold(blockerMachine, [join('gamma', t0 + 200)], silent);
    expect([joined.value, joinedHelpers(joined.context)]).toEqual(['helping', ['gamma']]);
  });

  it('made progress when it was reported, and whenever a helper joined', () => {
    const asked = having(report(), invite('gamma', 'delta'));
    expect(asked.context.progress_at).toBe(t0);
    const joined = fold(blockerMachine, [join('gamma', t0 + 7)], asked);
    expect(joined.context.progress_at).toBe(t0 + 7);
    expect(fold(blockerMachine, [decline('delta', t0 + 9)], joined).context.progress_at).toBe(t0 + 7);
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
