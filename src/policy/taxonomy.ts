/**
 * The capability taxonomy, capabilities.yaml: the categories that capabilities are usually named in, `category:name`, and
 * the privileges, dotted names that only operators grant. It is a common language, not a limit: swarms may declare others.
 */
import { z } from 'zod';
import { isPrivilege } from '../../machines/capability.ts';
import { type Finding, invalidPolicy } from './findings.ts';
import { type MappingEntry, parseMapping } from './yaml-mapping.ts';

export const taxonomyFile = 'capabilities.yaml';

export interface Category {
  readonly description: string;
  /** What each common name of the category means. */
  readonly names: Readonly<Record<string, string>>;
}

export interface Taxonomy {
  readonly categories: Readonly<Record<string, Category>>;
  /** What each privilege allows. */
  readonly privileges: Readonly<Record<string, string>>;
}

const part = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and hyphens');
const description = z.string().min(1).max(400);
const sections = {
  categories: z.record(part, z.strictObject({ description, names: z.record(part, description) })),
  privileges: z.record(
    z.string().refine(isPrivilege, 'must be a dotted name without a category, such as system.process.execute'),
    description,
  ),
} as const;

/** `file` is what findings call it. @throws FabricError INVALID_REQUEST with everything that is wrong */
export function parseTaxonomy(file: string, text: string): Taxonomy {
  const entries = parseMapping(file, text);
  const findings = [...entries].flatMap(([name, entry]) => findingsIn(file, name, entry));
  if (findings.length > 0) throw invalidPolicy(findings);
  const section = (entry: MappingEntry | undefined) => entry?.value ?? {};
  return {
    categories: section(entries.get('categories')) as Taxonomy['categories'],
    privileges: section(entries.get('privileges')) as Taxonomy['privileges'],
  };
}

function findingsIn(file: string, name: string, { line, lineOf, value }: MappingEntry): Finding[] {
  if (name !== 'categories' && name !== 'privileges')
    return [{ file, line, message: `unknown key ${JSON.stringify(name.slice(0, 64))}; use categories or privileges` }];
  const parsed = sections[name].safeParse(value);
  if (parsed.success) return [];
  return parsed.error.issues.map((issue) => {
    const why = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message;
    return { file, line: lineOf(issue.path), message: `${[name, ...issue.path].map(String).join('.')}: ${why}` };
  });
}

/** All capabilities of the taxonomy, as swarms declare and tasks require them. */
export function capabilitiesOf({ categories, privileges }: Taxonomy): string[] {
  const named = Object.entries(categories).flatMap(([category, { names }]) =>
    Object.keys(names).map((name) => `${category}:${name}`),
  );
  return [...named, ...Object.keys(privileges)];
}
