import { describe, expect, it } from 'vitest';
import { defaultPolicy, policyFields } from '../../machines/policy/values.ts';
import { FabricError } from '../../src/errors.ts';
import { type Finding, findingText } from '../../src/policy/findings.ts';
import { builtInPolicy, parseGovernorPolicy } from '../../src/policy/governor-file.ts';

const parse = (text: string) => parseGovernorPolicy('p/governor.yaml', text);

function findings(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    expect(error).toBeInstanceOf(FabricError);
    expect((error as FabricError).code).toBe('INVALID_REQUEST');
    return (((error as FabricError).details?.['findings'] ?? []) as Finding[]).map(findingText);
  }
  return [];
}

describe('a policy file', () => {
  it('may leave out any value, which is then as built in; each value tells where it comes from', () => {
    const { policy, sources, file } = parse('# strict\n\nmin_capability_match: 1\nassign_tasks: true\n');
    expect(policy).toEqual({ ...defaultPolicy, min_capability_match: 1, assign_tasks: true });
    expect(file).toBe('p/governor.yaml');
    expect(sources).toMatchObject({
      min_capability_match: 'p/governor.yaml:3',
      assign_tasks: 'p/governor.yaml:4',
      max_cost_per_task: 'built-in',
    });
    expect(Object.keys(sources)).toEqual(policyFields);
  });

  it.each(['', '# nothing\n', '---\n', '{}'])('may be empty: %j', (text) => {
    const { policy, sources } = parse(text);
    expect(policy).toEqual(defaultPolicy);
    expect(new Set(Object.values(sources))).toEqual(new Set(['built-in']));
  });

  it('with an unknown key names its line and the key that was probably meant', () => {
    expect(findings('max_cost_per_task: 1\nmax_swarm_per_task: 2\n')).toEqual([
      'p/governor.yaml:2: unknown key "max_swarm_per_task"; did you mean max_swarms_per_task?',
    ]);
  });

  it('is told everything that is wrong at once, each with its line, the value and what is allowed', () => {
    const text = 'max_swarms_per_task: 0\nmin_capability_match: 0.7\nopen_circuit_tasks: drop\nassign_tasks: yes\n';
    expect(findings(text)).toEqual([
      'p/governor.yaml:1: max_swarms_per_task is 0; allowed: a whole number from 1 to 100',
      'p/governor.yaml:3: open_circuit_tasks is "drop"; allowed: keep or return',
      'p/governor.yaml:4: assign_tasks is "yes"; allowed: true or false',
    ]);
    expect(() => parse(text)).toThrow(/the policy is not valid:\np\/governor\.yaml:1: /);
  });

  it.each([
    ['max_swarms_per_task', ['0', '1.5', '101', '"3"', 'null'], ['1', '100']],
    [
      'max_cost_per_task',
      ['-1', '0.0000001', '.inf', '.nan', '1000000000.5', 'null', '"10"'],
      ['0', '0.000001', '12.5'],
    ],
    ['min_capability_match', ['-0.1', '1.01', 'null'], ['0', '0.7', '1']],
    ['max_cost_per_hour', ['-1', 'free'], ['null', '~', '0', '20']],
    ['circuit_breaker_failure_threshold', ['0', 'null'], ['1', '1000000']],
    ['circuit_breaker_cooldown_ms', ['0', '99', '5m'], ['null', '100', '300000']],
    ['open_circuit_tasks', ['null', 'KEEP'], ['keep', 'return']],
    ['assign_tasks', ['1', 'null', '"true"'], ['true', 'false']],
    ['assign_timeout_ms', ['0', 'null', '86400001'], ['5000']],
    ['help_timeout_ms', ['99', 'null'], ['100']],
    ['blocker_escalation_ms', ['999'], ['null', '1000']],
    ['reputation_half_life_ms', ['1'], ['null', '86400000']],
    [
      'approvals_required',
      ['reset_circuit', '[reset]', '[raise_budget, raise_budget]', 'null'],
      ['[]', '[raise_budget]'],
    ],
    ['approval_expiry_ms', ['0', 'null'], ['1000']],
  ])('tells bad values of %s from good ones', (name, bad, good) => {
    for (const value of bad) expect(findings(`${name}: ${value}`), value).toHaveLength(1);
    for (const value of good) expect(findings(`${name}: ${value}`), value).toEqual([]);
  });

  it.each([
    ['a: [', 'not valid YAML'],
    ['max_cost_per_task: 1\nmax_cost_per_task: 2', ':2: not valid YAML: Map keys must be unique'],
    ['max_cost_per_task: !!js/function x', 'not valid YAML'],
    ['max_cost_per_task: 1\n---\nassign_tasks: true', 'not valid YAML'],
    ['max_cost_per_task: &a 1\nmax_cost_per_hour: *a', ':2: a YAML alias is not allowed'],
    ['- assign_tasks', 'must be a mapping'],
    ['hello', 'must be a mapping'],
    ['<<: {assign_tasks: true}', 'unknown key "<<"'],
    ['__proto__: {assign_tasks: true}', 'unknown key "__proto__"'],
    ['constructor: 1', 'unknown key "constructor"'],
  ])('that is no plain mapping of known keys is refused with its line: %j', (text, message) => {
    const found = findings(text);
    expect(found.length).toBeGreaterThan(0);
    expect(found[0]).toMatch(/^p\/governor\.yaml:\d+: /);
    expect(found.join('\n')).toContain(message);
  });

  it('with a value of any length gives a message of bounded length', () => {
    const [found = ''] = findings(`open_circuit_tasks: "${'x'.repeat(10_000)}"`);
    expect(found.length).toBeLessThan(300);
  });

  it('has a digest that its values and their places decide, and nothing else', () => {
    expect(parse('assign_tasks: true # why').digest).toBe(parse('assign_tasks:   true').digest);
    expect(parse('assign_tasks: true').digest).not.toBe(parse('assign_tasks: false').digest);
    expect(parse('assign_tasks: true').digest).not.toBe(parse('\nassign_tasks: true').digest);
    expect(builtInPolicy().digest).toMatch(/^[0-9a-f]{64}$/);
    expect(builtInPolicy()).toMatchObject({ policy: defaultPolicy, file: null });
  });
});
