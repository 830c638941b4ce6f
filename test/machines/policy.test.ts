import { describe, expect, it } from 'vitest';
import type { LoadPolicy, PolicyEvent } from '../../machines/policy/events.ts';
import { policyMachine } from '../../machines/policy/machine.ts';
import { defaultPolicy, type GovernorPolicy, invalidPolicy, policyFields } from '../../machines/policy/values.ts';
import { taskDefaults } from '../../machines/task/content.ts';
import { fold, isPlainJson } from './fold.ts';

const t0 = 1_700_000_000_000;
const load = (policy: Partial<GovernorPolicy> = {}, fields: Partial<LoadPolicy> = {}): LoadPolicy => ({
  type: 'LOAD',
  at: t0,
  by: 'IF.governor',
  policy: { ...defaultPolicy, ...policy },
  sources: { max_swarms_per_task: 'policies/governor.yaml:3' },
  file: 'policies/governor.yaml',
  digest: 'aa',
  ...fields,
});

describe('the policy in force', () => {
  it('is the last one that was loaded, with the source of its values', () => {
    const events = [load(), load({ max_swarms_per_task: 5 }, { digest: 'bb', at: t0 + 5 })];
    const loaded = fold(policyMachine, events);
    expect(loaded).toMatchObject({
      value: 'loaded',
      status: 'active',
      context: {
        policy: { ...defaultPolicy, max_swarms_per_task: 5 },
        sources: { max_swarms_per_task: 'policies/governor.yaml:3' },
        file: 'policies/governor.yaml',
        digest: 'bb',
        loaded_by: 'IF.governor',
        loaded_at: t0 + 5,
      },
    });
    expect(isPlainJson(loaded)).toBe(true);
  });

  it('is written down once, by whoever reads the same content of the same file first', () => {
    const loaded = fold(policyMachine, [load()]);
    expect(policyMachine.explain(loaded, load({}, { at: t0 + 9 }))?.code).toBe('CONFLICT');
    expect(policyMachine.explain(loaded, load({}, { file: null, digest: '' }))).toBeUndefined();
    expect(policyMachine.explain(loaded, load({ help_timeout_ms: 1 }))).toBeUndefined();
    expect(policyMachine.explain(fold(policyMachine, [load({}, { digest: 'bb' })], loaded), load())).toBeUndefined();
  });

  it('is never one with a value that no policy may have', () => {
    expect(policyMachine.explain(policyMachine.absent, load({ min_capability_match: 1.1 }))).toMatchObject({
      code: 'INVALID_REQUEST',
      details: { field: 'min_capability_match' },
    });
    expect(policyMachine.explain(policyMachine.absent, { type: '*', at: 0 } as unknown as PolicyEvent)?.code).toBe(
      'INVALID_REQUEST',
    );
  });
});

describe('the values of a policy', () => {
  it('are all there in the built-in one, and possible', () => {
    expect(invalidPolicy(defaultPolicy)).toBeUndefined();
    expect([...policyFields].sort()).toEqual(Object.keys(defaultPolicy).sort());
    expect(taskDefaults.assign_timeout_ms).toBe(defaultPolicy.assign_timeout_ms);
  });

  it.each<[keyof GovernorPolicy, unknown[], unknown[]]>([
    ['max_swarms_per_task', [1, 100], [0, 1.5, '3', null]],
    ['max_cost_per_task', [0, 0.000001], [-1, 0.0000001, null]],
    ['min_capability_match', [0, 0.7, 1], [-0.1, 1.1, Number.NaN, null]],
    ['max_cost_per_hour', [null, 0, 2.5], [-1]],
    ['circuit_breaker_failure_threshold', [1], [0, null]],
    ['circuit_breaker_cooldown_ms', [null, 1], [0, -1]],
    ['open_circuit_tasks', ['keep', 'return'], ['drop', null]],
    ['assign_tasks', [true, false], [1, null]],
    ['assign_timeout_ms', [1], [0, null]],
    ['help_timeout_ms', [1], [0, null]],
    ['blocker_escalation_ms', [null, 1], [0]],
    ['reputation_half_life_ms', [null, 1], [0, Number.POSITIVE_INFINITY]],
    ['approvals_required', [[], ['raise_budget', 'reset_circuit']], [['raise'], 'raise_budget', null]],
    ['approval_expiry_ms', [1], [0, null]],
  ])('%s may be %j and not %j', (field, allowed, forbidden) => {
    for (const value of allowed) expect(invalidPolicy({ ...defaultPolicy, [field]: value })).toBeUndefined();
    for (const value of forbidden)
      expect(invalidPolicy({ ...defaultPolicy, [field]: value })).toMatchObject({ field, value });
  });

  it('are refused where one is missing, or there is no policy at all', () => {
    const { help_timeout_ms: _, ...rest } = defaultPolicy;
    expect(invalidPolicy(rest)?.field).toBe('help_timeout_ms');
    for (const none of [null, undefined, 'policy', []]) expect(invalidPolicy(none)?.field).toBe('max_swarms_per_task');
  });
});
