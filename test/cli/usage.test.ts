import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commands } from '../../src/cli/command-table.ts';
import { nameOf } from '../../src/cli/program.ts';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { tempDir } from '../support/temp.ts';
import { start } from './built-program.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
beforeAll(async () => {
  dir = await tempDir();
});
afterAll(async () => await dir.remove());

const run = async (...args: string[]) => await start(args, dir.path).finished;

describe('the page docs/command-line.md', () => {
  it('lists the commands of the program with all their options', async () => {
    const page = await readFile(new URL('../../docs/command-line.md', import.meta.url), 'utf8');
    const sections = page.split('\n### ').slice(1);
    expect(sections.map((section) => section.split('\n', 1)[0])).toEqual(
      expect.arrayContaining(commands.map(({ usage }) => `infrafabric ${usage}`)),
    );
    expect(sections).toHaveLength(commands.length);
    for (const { usage, options = [] } of commands) {
      const section = sections.find((text) => text.startsWith(`infrafabric ${usage}\n`))!;
      for (const { flags } of options) expect(section).toContain(flags.split(' ')[0]);
    }
  });
});

describe('help', () => {
  it('of every command ends with an example that is that command', async () => {
    for (const spec of commands) expect(spec.example).toMatch(new RegExp(`^${nameOf(spec)}( |$)`));
    const { code, stdout, stderr } = await run('task', 'claim', '--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/Example:\n {2}infrafabric task claim review-pr-123 --swarm reviewer-1\n$/);
  });

  it('and version go to stdout with exit code 0', async () => {
    expect(await run('--version')).toEqual({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: '' });
    expect((await run('--help')).code).toBe(0);
  });
});

describe('wrong usage is exit code 2 with nothing on stdout', () => {
  it.each([
    [['nonsense'], "unknown command 'nonsense'"],
    [['task', 'lst'], 'Did you mean list?'],
    [['status', '--nonsense'], "unknown option '--nonsense'"],
    [['task', 'show'], "missing required argument 'TASK_ID'"],
    [['task', 'show', 'a', 'b'], 'too many arguments'],
    [['task', 'create', 'a'], '--type <TYPE>'],
    [['up', '--port', 'x'], 'port is "x" (flag --port)'],
    [['up', '--nodes', '2'], 'nodes is "2"'],
    [['inspect', 'nothing'], '"nothing" is not an actor'],
    [['inspect', 'thing:1'], 'no kind of actor "thing"'],
    [['watch', '--kind', 'task.>'], '--kind "task.>"'],
    [['swarm', 'creds', 'operator'], 'operator'],
    [['swarm', 'creds', 'Bad Id'], 'not a swarm id'],
    [['swarm', 'creds', 'a', '--expires', '1 week'], 'not a duration'],
    [['swarm', 'revoke', 'operator'], 'operator'],
    [['witness', 'query', '--since', 'yesterday'], '--since must be a time'],
    [['task', 'create', 'a', '--type', 't', '--metadata', '{'], '--metadata must be JSON'],
    [['task', 'create', 'a', '--type', 't', '--priority', 'high'], '--priority must be a number'],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
  });

  it('with --json it is one line of JSON on stderr', async () => {
    const { code, stdout, stderr } = await run('status', '--nonsense', '--json');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(JSON.parse(stderr)).toEqual({
      error: { code: 'INVALID_REQUEST', message: "unknown option '--nonsense'", retryable: false },
    });
  });
});

describe('where no fabric runs', () => {
  it.each([
    [['status']],
    [['task', 'list']],
    [['watch']],
    [['serve']],
    [['restart', 'all']],
    [['swarm', 'creds', 'a', '--grant', 'system.process.execute']],
  ])('%j is exit code 3 and says what to do', async (args) => {
    const { code, stdout, stderr } = await run(...args, '--data-dir', 'nothing');
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toMatch(/^error: no fabric runs from \S+nothing: start one with `infrafabric up --data-dir /m);
  });

  it('servers that do not answer are exit code 3', async () => {
    await run('swarm', 'creds', 'a', '--out', 'a.creds', '--data-dir', 'keys-only');
    const args = ['--servers', '127.0.0.1:1', '--creds', 'a.creds', '--request-timeout-ms', '300', '--json'];
    const { code, stdout, stderr } = await run('task', 'list', ...args);
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'UNAVAILABLE', retryable: true } });
  });

  it('doctor finds nothing wrong, and says where each setting comes from', async () => {
    const { code, stdout } = await run('doctor', '--json', '--data-dir', 'nothing');
    const { ok, checks, settings } = JSON.parse(stdout) as { ok: boolean; checks: object[]; settings: object[] };
    expect({ code, ok }).toEqual({ code: 0, ok: true });
    expect(checks).toContainEqual(expect.objectContaining({ check: 'nats-server', result: 'ok' }));
    expect(settings).toContainEqual({ key: 'data_dir', value: join(dir.path, 'nothing'), source: 'flag --data-dir' });
    expect(settings).toContainEqual({ key: 'storage', value: 'memory', source: 'default' });
  });

  it('doctor is exit code 1 when a check fails, and says what to do', async () => {
    await mkdir(join(dir.path, 'open'), { mode: 0o755 });
    const { code, stdout } = await run('doctor', '--data-dir', 'open');
    expect(code).toBe(1);
    expect(stdout).toMatch(/data directory +failed .*mode 755/);
    expect(stdout).toContain(`chmod 700 ${join(dir.path, 'open')}`);
  });
});

describe('credentials without a fabric', () => {
  it('are made from the keys of the data directory, on stdout or in a new file of mode 0600', async () => {
    const text = await run('swarm', 'creds', 'amber', '--data-dir', 'offline');
    expect(text.code).toBe(0);
    expect(authFromCreds(text.stdout).callerId).toBe('amber');
    expect((await stat(join(dir.path, 'offline'))).mode & 0o777).toBe(0o700);

    const file = await run(
      'swarm',
      'creds',
      'amber',
      '--out',
      'amber.creds',
      '--expires',
      '1h',
      '--json',
      '--data-dir',
      'offline',
    );
    const { expires_at, ...rest } = JSON.parse(file.stdout) as { expires_at: number };
    expect(rest).toEqual({ swarm_id: 'amber', file: join(dir.path, 'amber.creds'), creds: null, swarm: null });
    expect(expires_at).toBeGreaterThan(Date.now() + 3_500_000);
    expect((await stat(join(dir.path, 'amber.creds'))).mode & 0o777).toBe(0o600);
    expect(authFromCreds(await readFile(join(dir.path, 'amber.creds'), 'utf8')).callerId).toBe('amber');
  });

  it('never replace a file', async () => {
    await writeFile(join(dir.path, 'precious'), 'mine');
    await symlink('precious', join(dir.path, 'link'));
    for (const name of ['precious', 'link']) {
      const { code, stderr } = await run('swarm', 'creds', 'amber', '--out', name, '--data-dir', 'offline');
      expect(code).toBe(2);
      expect(stderr).toContain('not overwritten');
    }
    expect(await readFile(join(dir.path, 'precious'), 'utf8')).toBe('mine');
  });

  it('of a bad id leave no keys behind', async () => {
    await run('swarm', 'creds', 'Bad Id', '--data-dir', 'untouched');
    await expect(stat(join(dir.path, 'untouched'))).rejects.toThrow('ENOENT');
  });

  it('can be revoked without a fabric, for the next start', async () => {
    await run('swarm', 'creds', 'ember', '--data-dir', 'offline');
    const { code, stdout } = await run('swarm', 'revoke', 'ember', '--json', '--data-dir', 'offline');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ swarm_id: 'ember', ended: 1, nodes: 0, swarm: null });
  });
});

describe('the witness without a fabric', () => {
  it('an empty database verifies; one that is none, or not there, is exit code 3', async () => {
    WitnessDatabase.open(join(dir.path, 'empty.db')).close();
    const empty = await run('witness', 'verify', '--db', 'empty.db', '--json');
    expect(empty.code).toBe(0);
    expect(JSON.parse(empty.stdout)).toEqual({ ok: true, chains: [], keys: [], checkpoints: 0 });
    await writeFile(join(dir.path, 'text.db'), 'hello');
    for (const name of ['text.db', 'missing.db']) {
      const { code, stdout } = await run('witness', 'verify', '--db', name, '--json');
      expect(code).toBe(3);
      expect(JSON.parse(stdout)).toMatchObject({ ok: false, chains: [{ errors: [{ code: 'UNREADABLE' }] }] });
      expect((await run('witness', 'query', '--db', name)).code).toBe(3);
    }
  });
});
