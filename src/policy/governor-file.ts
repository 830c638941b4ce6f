/**
 * Reads governor.yaml: a mapping of known keys, each of which may be left out. What a file does not say is as built in,
 * and each value keeps where it comes from.
 */
import { createHash } from 'node:crypto';
import { defaultPolicy, type GovernorPolicy, policyFields } from '../../machines/policy/values.ts';
import type { Json } from '../../machines/record.ts';
import { nearest } from '../config/nearest.ts';
import { canonicalJson } from '../data/canonical.ts';
import { type Finding, invalidPolicy, shownValue } from './findings.ts';
import { governorFields, isPolicyField, type PolicyField } from './governor-fields.ts';
import { type MappingEntry, parseMapping } from './yaml-mapping.ts';

/** A whole policy and where it comes from. */
export interface SourcedPolicy {
  readonly policy: GovernorPolicy;
  /** Of each value: `built-in`, or file and line as `policies/governor.yaml:12`. */
  readonly sources: Readonly<Record<PolicyField, string>>;
  /** As people name it; null when there is none. */
  readonly file: string | null;
  /** SHA-256 of values and sources as canonical JSON, 64 hex digits. */
  readonly digest: string;
}

/** The source of what no file says. */
export const builtIn = 'built-in';

/** What holds where there is no file. */
export function builtInPolicy(): SourcedPolicy {
  return sourced(defaultPolicy, () => builtIn, null);
}

/** `file` is what findings and sources call it. @throws FabricError INVALID_REQUEST with everything that is wrong */
export function parseGovernorPolicy(file: string, text: string): SourcedPolicy {
  const entries = parseMapping(file, text);
  const findings: Finding[] = [...entries].flatMap(([name, entry]) => {
    const message = problemOf(name, entry);
    return message === undefined ? [] : [{ file, line: entry.line, message }];
  });
  if (findings.length > 0) throw invalidPolicy(findings);
  const values = policyFields.map((name) => [name, readValue(name, entries.get(name))]);
  const sourceOf = (name: PolicyField) => {
    const entry = entries.get(name);
    return entry ? `${file}:${entry.line}` : builtIn;
  };
  return sourced(Object.fromEntries(values) as GovernorPolicy, sourceOf, file);
}

function problemOf(name: string, { value }: MappingEntry): string | undefined {
  if (!isPolicyField(name))
    return `unknown key ${JSON.stringify(name.slice(0, 64))}; did you mean ${nearest(name, policyFields)}?`;
  const { schema, allowed } = governorFields[name];
  return schema.safeParse(value).success ? undefined : `${name} is ${shownValue(value)}; allowed: ${allowed}`;
}

function readValue(name: PolicyField, entry: MappingEntry | undefined): unknown {
  return entry === undefined ? defaultPolicy[name] : entry.value;
}

function sourced(policy: GovernorPolicy, sourceOf: (name: PolicyField) => string, file: string | null): SourcedPolicy {
  const sources = Object.fromEntries(policyFields.map((name) => [name, sourceOf(name)]));
  const text = canonicalJson({ policy: policy as unknown as Json, sources });
  return {
    policy,
    sources: sources as Record<PolicyField, string>,
    file,
    digest: createHash('sha256').update(text).digest('hex'),
  };
}
