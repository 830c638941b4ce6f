import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { checkPolicies } from '../../src/policy/check.ts';
import { readGovernorPolicy, requirePoliciesDir, shownPath } from '../../src/policy/policies-dir.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

let dir: TempDir;
beforeEach(async () => {
  dir = await tempDir();
});
afterEach(async () => await dir.remove());

const write = async (text: string | Buffer, name = 'governor.yaml') => await writeFile(join(dir.path, name), text);

describe('a folder of policies', () => {
  it('need not be there, nor any file in it: the built-in values hold', async () => {
    expect(await readGovernorPolicy(join(dir.path, 'none'))).toMatchObject({ policy: defaultPolicy, file: null });
    expect(await readGovernorPolicy(dir.path)).toMatchObject({ policy: defaultPolicy, file: null });
  });

  it('that somebody named has to be there', async () => {
    await requirePoliciesDir(dir.path);
    await expect(requirePoliciesDir(join(dir.path, 'none'))).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringContaining('there is no folder'),
    });
    await write('');
    await expect(requirePoliciesDir(join(dir.path, 'governor.yaml'))).rejects.toThrow('there is no folder');
  });

  it('is read with the path in sources and findings that people would type', async () => {
    await write('assign_tasks: true\n');
    const { sources, file } = await readGovernorPolicy(dir.path);
    expect(file).toBe(join(dir.path, 'governor.yaml'));
    expect(sources.assign_tasks).toBe(`${file}:1`);
    expect(shownPath(join(process.cwd(), 'policies/governor.yaml'))).toBe('policies/governor.yaml');
    expect(relative(process.cwd(), shownPath(join(process.cwd(), '..', 'x')))).toBe(join('..', 'x'));
  });

  it.each([
    [Buffer.from([0x61, 0xff]), 'is not UTF-8 text'],
    [`# ${'x'.repeat(70_000)}`, 'at most 65536 are allowed'],
  ])('with a file that is no page of text is refused: %#', async (text, message) => {
    await write(text);
    await expect(readGovernorPolicy(dir.path)).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringContaining(message),
    });
  });

  it('with a folder or a pipe in place of the file is refused, and never waited for', async () => {
    await mkdir(join(dir.path, 'a/governor.yaml'), { recursive: true });
    await expect(readGovernorPolicy(join(dir.path, 'a'))).rejects.toThrow('is not a regular file');
    await mkdir(join(dir.path, 'b'));
    execFileSync('mkfifo', [join(dir.path, 'b/governor.yaml')]);
    await expect(readGovernorPolicy(join(dir.path, 'b'))).rejects.toThrow('is not a regular file');
  });

  it('is checked file by file, with everything that is wrong', async () => {
    await write('assign_tasks: 1\nnonsense: 2\n');
    await write('categories: {}\n', 'capabilities.yaml');
    const [governor, taxonomy] = await checkPolicies(dir.path);
    expect(governor).toMatchObject({ present: true, findings: [{ line: 1 }, { line: 2 }] });
    expect(taxonomy).toEqual({ file: join(dir.path, 'capabilities.yaml'), present: true, findings: [] });
    expect(
      (await checkPolicies(join(import.meta.dirname, '../../policies'))).flatMap(({ findings }) => findings),
    ).toEqual([]);
  });
});
