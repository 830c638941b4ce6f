/** What is wrong with a policy file, place by place: all of it at once, each with file and line. */
import { FabricError } from '../errors.ts';

export interface Finding {
  /** As people name it. */
  readonly file: string;
  /** From 1; null where it concerns the file as a whole. */
  readonly line: number | null;
  readonly message: string;
}

const mostShown = 10;

/** `policies/governor.yaml:12: what is wrong`. */
export function findingText({ file, line, message }: Finding): string {
  return `${file}${line === null ? '' : `:${line}`}: ${message}`;
}

/** INVALID_REQUEST with one line per finding; `details.findings` has them one by one. */
export function invalidPolicy(findings: readonly Finding[]): FabricError {
  const shown = findings.slice(0, mostShown);
  const more = findings.length - shown.length;
  const lines = shown.map(findingText);
  if (more > 0) lines.push(`and ${more} more`);
  const [only] = lines;
  return new FabricError(
    'INVALID_REQUEST',
    lines.length === 1 && only !== undefined
      ? `the policy is not valid: ${only}`
      : ['the policy is not valid:', ...lines].join('\n'),
    { findings: shown },
  );
}

/** A value as it stands in a message: JSON, cut to a length that fits a line. */
export function shownValue(value: unknown): string {
  const plain = value instanceof Map ? Object.fromEntries(value) : value;
  const text = JSON.stringify(plain) ?? String(plain);
  return text.length > 120 ? `${text.slice(0, 120)}...` : text;
}
