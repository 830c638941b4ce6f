/** YAML as people write it for the fabric: version 1.2, no repeated keys, every finding with its place in the text. */
import { type Document, LineCounter, parseDocument } from 'yaml';

export interface YamlText {
  readonly document: Document.Parsed;
  /** What is wrong with the text itself, with the offset of each. */
  readonly findings: ReadonlyArray<{ readonly offset: number; readonly message: string }>;
  /** The line of an offset, from 1. */
  lineAt(offset: number): number;
}

export function parseYaml(text: string): YamlText {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    strict: true,
    uniqueKeys: true,
    lineCounter: lines,
    prettyErrors: false,
  });
  const findings = [...document.errors, ...document.warnings].map(({ pos, message }) => ({ offset: pos[0], message }));
  return { document, findings, lineAt: (offset) => lines.linePos(offset).line };
}
