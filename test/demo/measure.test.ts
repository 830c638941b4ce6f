import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isId } from '../../machines/address.ts';
import { boardFor, measureTaskId } from '../../src/demo/board.ts';
import { longestFunction } from '../../src/demo/longest-function.ts';
import { measureFolder, planFolders, summarise } from '../../src/demo/measure.ts';
import { FabricError } from '../../src/errors.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'if-measure-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function write(files: Record<string, string | Buffer>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), content);
  }
}

describe('measuring a folder', () => {
  it('counts files, lines and bytes of the files directly in it', async () => {
    await write({ 'a.txt': 'one\ntwo\n', 'b.md': 'one\ntwo\nthree', 'sub/c.txt': 'x\n', empty: '' });
    expect(await measureFolder(root, '.')).toEqual({
      folder: '.',
      files: 3,
      text_files: 3,
      binary_files: 0,
      unreadable_files: 0,
      lines: 5,
      bytes: 21,
      longest_file: { path: 'b.md', lines: 3 },
      longest_function: null,
    });
  });

  it('counts binary files in bytes only, and text that is not UTF-8 as text', async () => {
    await write({ 'd/a.bin': Buffer.from([1, 0, 10, 10, 10]), 'd/latin.txt': Buffer.from([0xe9, 0x0a, 0xff, 0x0a]) });
    expect(await measureFolder(root, 'd')).toMatchObject({
      files: 2,
      binary_files: 1,
      text_files: 1,
      lines: 2,
      bytes: 9,
    });
  });

  it('measures an empty folder as nothing', async () => {
    await mkdir(join(root, 'none'));
    expect(await measureFolder(root, 'none')).toMatchObject({
      files: 0,
      lines: 0,
      bytes: 0,
      longest_file: null,
      longest_function: null,
    });
  });

  it('gives the same result for the same tree, and another one after a change', async () => {
    await write({ 'a.ts': 'function a() {\n}\n', 'b.ts': 'function b() {\n}\n' });
    const before = await measureFolder(root, '.');
    expect(await measureFolder(root, '.')).toEqual(before);
    expect(before.longest_function).toEqual({ path: 'a.ts', name: 'a', line: 1, lines_estimate: 2 });
    await write({ 'b.ts': 'function b() {\n  return 1;\n}\n' });
    const after = await measureFolder(root, '.');
    expect(after.longest_function).toEqual({ path: 'b.ts', name: 'b', line: 1, lines_estimate: 3 });
    expect(after.bytes).toBeGreaterThan(before.bytes);
  });

  it('reads a huge file as a stream', async () => {
    await write({ 'big.log': Buffer.alloc(40_000_000, `${'x'.repeat(99)}\n`) });
    const before = process.memoryUsage.rss();
    expect(await measureFolder(root, '.')).toMatchObject({ lines: 400_000, bytes: 40_000_000 });
    expect(process.memoryUsage.rss() - before).toBeLessThan(38_000_000);
  });

  it('counts files that it may not read, and never waits for a named pipe or follows a link', async () => {
    await write({ secret: 'x\n', open: 'y\n' });
    await chmod(join(root, 'secret'), 0);
    await symlink('/etc/passwd', join(root, 'link'));
    execFileSync('mkfifo', [join(root, 'pipe')]);
    const isRoot = process.geteuid?.() === 0;
    await chmod(root, 0o755);
    if (isRoot) await chown(join(root, 'secret'), 0, 0);
    // The rights of files do not stop root, so the test takes the place of another user.
    if (isRoot) process.seteuid?.(65_534);
    try {
      expect(await measureFolder(root, '.')).toMatchObject({ files: 1, unreadable_files: 1, bytes: 2 });
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });

  it.each(['..', '../x', 'a/../..', '/etc', 'no-such', 'a\0b', 'file', 'out'])(
    'refuses what is no folder inside the root: %j',
    async (folder) => {
      await write({ file: '' });
      await symlink('/etc', join(root, 'out'));
      const error: unknown = await measureFolder(root, folder).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(FabricError);
      expect(error).toMatchObject({ code: 'INVALID_REQUEST' });
    },
  );
});

describe('the estimate of the longest function', () => {
  const sources: [string, string, string, { name: string; line: number; lines_estimate: number } | undefined][] = [
    [
      'a function with braces in strings, comments and patterns',
      'ts',
      'function f(a = "}") {\n // }\n return /[}]"/.test(`}`);\n}\n',
      { name: 'f', line: 1, lines_estimate: 4 },
    ],
    [
      'an arrow function',
      'ts',
      'x();\nexport const go = async (\n  { a, b }: P,\n): Promise<void> => {\n  a(b);\n};\n',
      { name: 'go', line: 2, lines_estimate: 5 },
    ],
    [
      'a method',
      'ts',
      'class A {\n  private async run(): Promise<{ a: string }> {\n    if (x) {\n    }\n  }\n}',
      { name: 'run', line: 2, lines_estimate: 4 },
    ],
    [
      'a generic function',
      'ts',
      'export function map<T, U>(a: T[]): U[] {\n  return a;\n}',
      { name: 'map', line: 1, lines_estimate: 3 },
    ],
    [
      'calls, declarations and control flow, which are no functions',
      'js',
      'if (a) {\n b();\n}\ndescribe("x", () => {\n});\nlet z = (1);\n',
      undefined,
    ],
    [
      'an outer function rather than the one in it',
      'mjs',
      'function a() {\n  function b() {\n  }\n}',
      { name: 'a', line: 1, lines_estimate: 4 },
    ],
    [
      'the body of a def',
      'py',
      'def short(): pass\n\nclass A:\n    async def f(\n        self,\n    ):\n        """\ndoc\n"""\n\n        return 1\n\nx = 1\n',
      { name: 'f', line: 4, lines_estimate: 8 },
    ],
    [
      'a Go method',
      'go',
      'type T struct {\n}\n\nfunc (t *T) Run(a int) (string, error) {\n\treturn "{", nil\n}\n',
      { name: 'Run', line: 4, lines_estimate: 3 },
    ],
    [
      "a Rust function with lifetimes and '{'",
      'rs',
      "trait T {\n fn no(&self);\n}\npub fn f<'a>(x: &'a str) -> char\nwhere\n{\n  '{'\n}\n",
      { name: 'f', line: 4, lines_estimate: 5 },
    ],
    [
      'a Java method',
      'java',
      'public class A {\n  public int f(int a) throws E {\n    if (a > 1) {\n    }\n    return a;\n  }\n}',
      { name: 'f', line: 2, lines_estimate: 5 },
    ],
    [
      'a C function, not its prototype',
      'c',
      '#define X {\nint f(int);\nstatic int *f(int a)\n{\n  return 0;\n}\n',
      { name: 'f', line: 3, lines_estimate: 4 },
    ],
    [
      'a C++ method',
      'cpp',
      'int A::f(std::string s) const {\n  return s == "}";\n}\n',
      { name: 'A::f', line: 1, lines_estimate: 3 },
    ],
    [
      'a shell function',
      'sh',
      'f() {\n  echo "{$x" # }\n}\nfunction g {\n  :\n  :\n}\n',
      { name: 'g', line: 4, lines_estimate: 4 },
    ],
    ['a body that never ends', 'ts', 'function f() {\n', undefined],
  ];
  it.each(sources)('finds %s (%s)', (_, extension, text, expected) => {
    expect(longestFunction(text, extension)).toEqual(expected);
  });

  it('takes time in proportion to the text, also for text made to mislead it', () => {
    const many = (text: string): string => text.repeat(Math.floor(300_000 / text.length));
    const hostile = [
      'function a() {\n',
      'a(\n',
      '"\\',
      '`',
      '/',
      'a ',
      '{',
      "'''",
      'def f():\n',
      '/* * ',
      'f(a) {}\n',
      '\n',
    ];
    const started = performance.now();
    for (const extension of ['ts', 'c', 'rs', 'sh', 'py'])
      for (const text of hostile) longestFunction(many(text), extension);
    longestFunction(`"${'x'.repeat(1_000_000)}`, 'ts');
    longestFunction(`int f() {\n}\n${'a'.repeat(1_900)} \n${'a '.repeat(900)}`, 'c');
    // Quadratic time would be minutes.
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

describe('planning', () => {
  it('lists the folders that hold files, sorted, without hidden and generated ones and links', async () => {
    await write({
      'src/a/x': '',
      'src/b.c/x': '',
      '.git/x': '',
      '.hidden/x': '',
      'node_modules/m/x': '',
      'a/dist/x': '',
      'empty/deeper/x': '',
    });
    await symlink(join(root, 'src'), join(root, 'linked'));
    await mkdir(join(root, 'void'));
    expect(await planFolders(root)).toEqual(['.', 'empty/deeper', 'src/a', 'src/b.c']);
  });

  it('is bounded, and takes the folders nearest to the root', async () => {
    await write({ 'a/deep/x': '', 'a/x': '', 'b/x': '', 'c/x': '' });
    expect(await planFolders(root, 4)).toEqual(['.', 'a', 'b', 'c']);
    for (let index = 0; index < 210; index++)
      await mkdir(join(root, `d${index}`)).then(() => write({ [`d${index}/x`]: '' }));
    expect(await planFolders(root)).toHaveLength(200);
  });

  it('refuses a root that is none', async () => {
    await expect(planFolders(join(root, 'none'))).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });
});

describe('the summary', () => {
  it('adds the folders up and lists the largest, whatever the order of the results', async () => {
    await write({ 'a/x.ts': 'function x() {\n}\n', 'b/y.ts': '\nfunction y() {\n}\n', 'c/z.bin': Buffer.from([0]) });
    const results = await Promise.all((await planFolders(root)).map((folder) => measureFolder(root, folder)));
    const summary = summarise(results, 2);
    expect(summary).toEqual({
      folders: 4,
      files: 3,
      text_files: 2,
      binary_files: 1,
      unreadable_files: 0,
      lines: 5,
      bytes: 36,
      largest_folders: [
        { folder: 'b', lines: 3, bytes: 18 },
        { folder: 'a', lines: 2, bytes: 17 },
      ],
      longest_files: [
        { path: 'b/y.ts', lines: 3 },
        { path: 'a/x.ts', lines: 2 },
      ],
      longest_functions: [
        { path: 'a/x.ts', name: 'x', line: 1, lines_estimate: 2 },
        { path: 'b/y.ts', name: 'y', line: 2, lines_estimate: 2 },
      ],
    });
    expect(summarise([...results].reverse(), 2)).toEqual(summary);
    expect(JSON.parse(JSON.stringify(summary))).toEqual(summary);
    await rename(join(root, 'a'), join(root, 'z'));
    expect((await planFolders(root)).includes('a')).toBe(false);
  });
});

describe('the board', () => {
  it('has one measure task per folder, one summary that depends on all of them, and a check that depends on it', async () => {
    await write({ 'src/cli/x': '', 'a b/x': '' });
    const board = await boardFor(root);
    expect(board.map(({ task_type }) => task_type)).toEqual(['measure', 'measure', 'measure', 'summarise', 'recheck']);
    expect(board.at(2)).toEqual({
      task_id: 'measure.src.cli',
      task_type: 'measure',
      priority: 1,
      metadata: { root, folder: 'src/cli' },
    });
    expect(board.at(-2)).toMatchObject({
      depends_on: board.slice(0, -2).map(({ task_id }) => task_id),
      metadata: { root },
    });
    expect(board.at(-1)).toMatchObject({ depends_on: ['summarise'], metadata: { root } });
    expect(await boardFor(root)).toEqual(board);
  });

  it('makes valid and different ids of whatever folders are called', () => {
    const folders = [
      '.',
      'a',
      'a/b',
      'a.b',
      'a b',
      'a_b',
      'a/b.',
      '..a',
      'é',
      'e\u0301',
      '💾',
      '\n',
      '-',
      'measure',
      'x'.repeat(200),
      `${'x'.repeat(200)}y`,
      'a\\b',
      'summarise',
    ];
    const ids = folders.map(measureTaskId);
    expect(ids.filter((id) => !isId(id))).toEqual([]);
    expect(new Set(ids).size).toBe(folders.length);
    expect(ids.filter((id) => ['summarise', 'recheck', 'race'].includes(id))).toEqual([]);
  });
});
