/** Checks a folder of policy files as a whole: every file that is there, and everything that is wrong in it. */
import { join } from 'node:path';
import { FabricError } from '../errors.ts';
import type { Finding } from './findings.ts';
import { parseGovernorPolicy } from './governor-file.ts';
import { governorFile, readPolicyText, requirePoliciesDir, shownPath } from './policies-dir.ts';
import { parseTaxonomy, taxonomyFile } from './taxonomy.ts';

export interface CheckedFile {
  readonly file: string;
  readonly present: boolean;
  readonly findings: readonly Finding[];
}

const parsers: Readonly<Record<string, (file: string, text: string) => unknown>> = {
  [governorFile]: parseGovernorPolicy,
  [taxonomyFile]: parseTaxonomy,
};

/** Every kind of policy file, also those that are not there. @throws FabricError INVALID_REQUEST when there is no such folder */
export async function checkPolicies(dir: string): Promise<CheckedFile[]> {
  await requirePoliciesDir(dir);
  return await Promise.all(Object.keys(parsers).map(async (name) => await checkFile(dir, name)));
}

async function checkFile(dir: string, name: string): Promise<CheckedFile> {
  const path = join(dir, name);
  const file = shownPath(path);
  try {
    const text = await readPolicyText(path);
    if (text !== undefined) parsers[name]?.(file, text);
    return { file, present: text !== undefined, findings: [] };
  } catch (error) {
    if (!(error instanceof FabricError)) throw error;
    const findings = error.details?.['findings'] as Finding[] | undefined;
    return { file, present: true, findings: findings ?? [{ file, line: null, message: error.message }] };
  }
}
