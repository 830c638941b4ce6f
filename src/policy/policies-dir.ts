/**
 * The folder of policy files. It need not be there, nor any file in it; one that was named must be, so that no
 * misspelled path quietly means the built-in values.
 */
import { stat } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import { readBoundedFile } from '../data/bounded-file.ts';
import { FabricError } from '../errors.ts';
import { invalidPolicy } from './findings.ts';
import { builtInPolicy, parseGovernorPolicy, type SourcedPolicy } from './governor-file.ts';

export const governorFile = 'governor.yaml';

/** A policy file is a page of text; what is larger is something else. */
const maxFileBytes = 65_536;

/** @throws FabricError INVALID_REQUEST when there is no such folder */
export async function requirePoliciesDir(dir: string): Promise<void> {
  const status = await stat(dir).catch(() => undefined);
  if (status?.isDirectory()) return;
  throw new FabricError(
    'INVALID_REQUEST',
    `there is no folder ${dir}: create it with a ${governorFile} in it, or name another`,
    { dir },
  );
}

/** The policy of the governor; the built-in one when the folder or the file is missing. @throws FabricError INVALID_REQUEST */
export async function readGovernorPolicy(dir: string): Promise<SourcedPolicy> {
  const path = join(dir, governorFile);
  const text = await readPolicyText(path);
  return text === undefined ? builtInPolicy() : parseGovernorPolicy(shownPath(path), text);
}

/** The text of a policy file; undefined when there is none. @throws FabricError INVALID_REQUEST */
export async function readPolicyText(path: string): Promise<string | undefined> {
  const file = shownPath(path);
  return await readBoundedFile(path, {
    maxBytes: maxFileBytes,
    refuse: (problem) => invalidPolicy([{ file, line: null, message: problem }]),
  });
}

/** As people name a file: from the working directory, where it is inside. */
export function shownPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near === '' || near.startsWith('..') || isAbsolute(near) ? path : near;
}
