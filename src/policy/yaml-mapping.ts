/**
 * A YAML file that is one mapping, with the line of every key. Strict: YAML 1.2, no repeated keys, no aliases, no tags;
 * whatever is wrong is a finding with its line.
 */
import { isMap, isSeq, type Node, type Scalar, visit } from 'yaml';
import { checkIJson } from '../data/ijson.ts';
import { parseYaml } from '../data/yaml-document.ts';
import { type Finding, invalidPolicy } from './findings.ts';

export interface MappingEntry {
  /** Mappings inside are plain objects. */
  readonly value: unknown;
  /** Of the key, from 1. */
  readonly line: number;
  /** Of what lies at this path inside the value, or of the nearest thing around it that is there. */
  lineOf(path: readonly PropertyKey[]): number;
}

/** The entries of the mapping, in their order; none in an empty file. @throws FabricError INVALID_REQUEST with findings */
export function parseMapping(file: string, text: string): Map<string, MappingEntry> {
  const { document, findings: faults, lineAt: lineOfOffset } = parseYaml(text);
  const findings: Finding[] = [];
  const lineAt = (offset: number | undefined) => (offset === undefined ? null : lineOfOffset(offset));
  const lineOfNode = (node: unknown) => lineAt((node as Node | null)?.range?.[0]);
  const note = (offset: number | undefined, message: string) => findings.push({ file, line: lineAt(offset), message });
  for (const { offset, message } of faults) note(offset, `not valid YAML: ${message}`);
  visit(document, {
    Alias: (_, alias) => {
      note(alias.range?.[0], 'a YAML alias is not allowed: write the value out');
    },
  });
  const { contents } = document;
  const isEmpty = contents === null || (contents as Scalar).value === null;
  if (findings.length === 0 && !isEmpty && !isMap(contents))
    note(contents.range?.[0], 'must be a mapping of keys, such as "max_cost_per_task: 10"');
  if (findings.length > 0) throw invalidPolicy(findings);
  if (!isMap(contents)) return new Map();

  const entries = new Map<string, MappingEntry>();
  for (const { key, value } of contents.items) {
    const line = lineOfNode(key) ?? 1;
    const lineOf = (path: readonly PropertyKey[]) => lineOfNode(keyNodes(value, path).at(-1) ?? key) ?? line;
    try {
      const plain: unknown = value === null ? null : (value as Node).toJS(document, { maxAliasCount: 0 });
      entries.set(String(key), { line, lineOf, value: checkIJson(plain, String(key)) });
    } catch (error) {
      findings.push({ file, line, message: error instanceof Error ? error.message : String(error) });
    }
  }
  if (findings.length > 0) throw invalidPolicy(findings);
  return entries;
}

/** The keys, or items of lists, that a path leads over, as far as they are there. */
function keyNodes(value: unknown, path: readonly PropertyKey[]): unknown[] {
  const passed: unknown[] = [];
  let node = value;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => String(key) === String(step));
      if (!pair) break;
      passed.push(pair.key);
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      if (node === undefined) break;
      passed.push(node);
    } else break;
  }
  return passed;
}
