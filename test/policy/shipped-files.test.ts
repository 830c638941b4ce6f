/** The policy files of this package are what the documents and the built-in values say. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isPrivilege } from '../../machines/capability.ts';
import { defaultPolicy, policyFields } from '../../machines/policy/values.ts';
import { packageRoot } from '../../src/package-root.ts';
import { policyMarkdown } from '../../src/policy/governor-fields.ts';
import { parseGovernorPolicy } from '../../src/policy/governor-file.ts';
import { governorSchemaText } from '../../src/policy/governor-schema.ts';
import { capabilitiesOf, parseTaxonomy } from '../../src/policy/taxonomy.ts';

const read = async (name: string) => await readFile(join(packageRoot(), name), 'utf8');

describe('policies/governor.yaml', () => {
  it('writes out every built-in value', async () => {
    const { policy, sources } = parseGovernorPolicy('governor.yaml', await read('policies/governor.yaml'));
    expect(policy).toEqual(defaultPolicy);
    for (const name of policyFields) expect(sources[name]).toMatch(/^governor\.yaml:\d+$/);
  });

  it('and each example are valid and name the schema that is there', async () => {
    for (const folder of ['', '/examples/development', '/examples/production', '/examples/high-stakes']) {
      const name = `policies${folder}/governor.yaml`;
      const text = await read(name);
      expect(parseGovernorPolicy(name, text).file).toBe(name);
      const schema = /^# yaml-language-server: \$schema=(\S+)\n/.exec(text)?.[1] ?? '';
      expect(join(`policies${folder}`, schema)).toBe('policies/governor.schema.json');
    }
  });

  it('has examples that are stricter the more is at stake', async () => {
    const of = async (stakes: string) => {
      const name = `policies/examples/${stakes}/governor.yaml`;
      return parseGovernorPolicy(name, await read(name)).policy;
    };
    const [development, production, high] = [await of('development'), await of('production'), await of('high-stakes')];
    const ordered = (value: (policy: typeof high) => number) =>
      expect([value(development), value(production), value(high)]).toEqual(
        [value(development), value(production), value(high)].toSorted((a, b) => a - b),
      );
    ordered((policy) => policy.min_capability_match);
    ordered((policy) => -policy.circuit_breaker_failure_threshold);
    ordered((policy) => policy.approvals_required.length);
  });
});

describe('policies/governor.schema.json', () => {
  it('is the schema that the reader of the file has (`npx vitest run -u test/policy` writes it anew)', async () => {
    await expect(governorSchemaText()).toMatchFileSnapshot(join(packageRoot(), 'policies/governor.schema.json'));
  });
});

describe('docs/governor.md', () => {
  it('has the table of all values', async () => {
    expect(await read('docs/governor.md')).toContain(policyMarkdown());
  });

  it('has an example that is valid, with the sources that it shows', async () => {
    const page = await read('docs/governor.md');
    const example = /```yaml\n(# policies\/governor\.yaml[\s\S]*?)```/.exec(page)?.[1] ?? '';
    const { policy, sources } = parseGovernorPolicy('policies/governor.yaml', example);
    const shown = [...page.matchAll(/^(\w+_\w+) {2,}(\S+) {2,}(\S+)$/gm)];
    expect(shown.length).toBeGreaterThanOrEqual(2);
    for (const [, name, value, source] of shown) {
      expect([name, JSON.stringify(policy[name as 'assign_tasks']), sources[name as 'assign_tasks']]).toEqual([
        name,
        value,
        source,
      ]);
    }
  });
});

describe('policies/capabilities.yaml', () => {
  it('has the categories of the taxonomy, each with a description and common names', async () => {
    const taxonomy = parseTaxonomy('capabilities.yaml', await read('policies/capabilities.yaml'));
    expect(Object.keys(taxonomy.categories)).toEqual([
      'code-analysis',
      'testing',
      'integration',
      'infra',
      'cli',
      'architecture',
      'docs',
      'security',
      'data',
      'devops',
      'system',
      'network',
      'governance',
    ]);
    for (const { description, names } of Object.values(taxonomy.categories)) {
      expect(description).not.toBe('');
      expect(Object.keys(names).length).toBeGreaterThanOrEqual(5);
    }
    const all = capabilitiesOf(taxonomy);
    expect(all).toContain('code-analysis:python');
    expect(new Set(all).size).toBe(all.length);
    expect(all.filter(isPrivilege)).toEqual(['system.process.execute', 'network.http.proxy.external']);
  });

  it.each([
    ['categories:\n  Code: {description: x, names: {}}', 2, 'categories.Code: must be lower-case letters'],
    ['categories:\n  code:\n    names: {}', 2, 'categories.code.description'],
    ['categories:\n  code:\n    description: x\n    names:\n      a b: c', 5, 'categories.code.names.a b: must be'],
    ['categories:\n  code:\n    description: x\n    names: {}\n    more: 1', 2, 'more'],
    ['categories: []', 1, 'categories: '],
    ['# privileges\nprivileges:\n  execute: x', 3, 'privileges.execute: must be a dotted name'],
    ['capabilities: []', 1, 'unknown key "capabilities"'],
  ])('that is not one is refused with its place: %j', (text, line, message) => {
    expect(() => parseTaxonomy('c.yaml', text)).toThrow(`c.yaml:${line}: `);
    expect(() => parseTaxonomy('c.yaml', text)).toThrow(message);
  });
});
