import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nearest } from '../../src/config/nearest.ts';
import { optionOf, settingsMarkdown } from '../../src/config/reference.ts';
import { type ConfigInput, resolveConfig } from '../../src/config/resolve.ts';
import { settingKeys } from '../../src/config/settings.ts';
import { FabricError } from '../../src/errors.ts';

let cwd: string;
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'if-config-'));
});
afterEach(() => rm(cwd, { recursive: true, force: true }));

const run = (input: Partial<ConfigInput> = {}) =>
  resolveConfig({ flags: {}, env: { HOME: '/home/ada' }, cwd, ...input });
const file = async (text: string | Buffer, name = 'infrafabric.yaml'): Promise<string> => {
  await writeFile(join(cwd, name), text);
  return join(cwd, name);
};

async function refusal(input: Partial<ConfigInput>): Promise<FabricError> {
  const error: unknown = await run(input).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(FabricError);
  expect((error as FabricError).code).toBe('INVALID_REQUEST');
  return error as FabricError;
}

describe('precedence', () => {
  it('uses the built-in defaults when nobody says anything, paths absolute', async () => {
    const { config, sources } = await run();
    expect(config).toMatchObject({
      namespace: 'IF',
      servers: [],
      nodes: 3,
      storage: 'memory',
      port: 0,
      lease_ms: 30_000,
    });
    expect(config.data_dir).toBe(join(cwd, '.infrafabric'));
    expect(config.cache_dir).toBe('/home/ada/.cache/infrafabric');
    expect(config.creds).toBeUndefined();
    expect(sources.map(({ key }) => key)).toEqual(settingKeys);
    expect(new Set(sources.map(({ source }) => source))).toEqual(new Set(['default']));
    expect(JSON.parse(JSON.stringify(sources))).toEqual(sources);
  });

  it('prefers flags to the environment, the environment to the file, the file to the default, and tells the source', async () => {
    const path = await file('port: 1\nconsole_port: 2\nnodes: 1\n');
    const env = { IF_PORT: '3', IF_CONSOLE_PORT: '4' };
    const { config, sources } = await run({ flags: { port: '5' }, env });
    expect(config).toMatchObject({ port: 5, console_port: 4, nodes: 1, storage: 'memory' });
    const of = (key: string) => sources.find((entry) => entry.key === key)?.source;
    expect([of('port'), of('console_port'), of('nodes'), of('storage')]).toEqual([
      'flag --port',
      'env IF_CONSOLE_PORT',
      `file ${path}`,
      'default',
    ]);
  });

  it('reads flags as they are spelled on the command line, in a file, or by a parser', async () => {
    for (const name of ['data_dir', 'data-dir', 'dataDir']) {
      expect((await run({ flags: { [name]: '/x', json: true, lease_ms: undefined } })).config).toMatchObject({
        data_dir: '/x',
        lease_ms: 30_000,
      });
    }
  });

  it('takes an empty environment variable as not set, and an empty flag of a list as none', async () => {
    const { config } = await run({ env: { IF_SERVERS: 'a:1', IF_NODES: '', IF_CONFIG: '' }, flags: { servers: '' } });
    expect(config).toMatchObject({ servers: [], nodes: 3 });
  });

  it('reads a list from commas, from a repeated flag and from a list of the file', async () => {
    const servers = ['nats://a:1', 'b:2'];
    expect((await run({ env: { IF_SERVERS: 'nats://a:1, b:2' } })).config.servers).toEqual(servers);
    expect((await run({ flags: { servers } })).config.servers).toEqual(servers);
    await file('servers: [nats://a:1, "b:2"]');
    expect((await run()).config.servers).toEqual(servers);
  });

  it('does not change what it was given', async () => {
    const flags = Object.freeze({ dataDir: 'x' });
    const env = Object.freeze({ HOME: '/h' });
    expect(await run({ flags, env })).toEqual(await run({ flags, env }));
  });
});

describe('the configuration file', () => {
  it('is infrafabric.yaml of the working directory, or --config, or IF_CONFIG, in the order --config, IF_CONFIG', async () => {
    await file('port: 1');
    await file('port: 2', 'two.yaml');
    await file('port: 3', 'three.yaml');
    expect((await run()).config.port).toBe(1);
    expect((await run({ env: { IF_CONFIG: 'two.yaml' } })).config.port).toBe(2);
    expect((await run({ env: { IF_CONFIG: 'two.yaml' }, configFile: join(cwd, 'three.yaml') })).config.port).toBe(3);
  });

  it('must exist when it is named', async () => {
    expect((await refusal({ configFile: 'no.yaml' })).message).toMatch(
      /no configuration file .*no\.yaml \(flag --config\)/,
    );
    expect((await refusal({ env: { IF_CONFIG: 'no.yaml' } })).message).toContain('(env IF_CONFIG)');
  });

  it('gives its relative paths from its own folder', async () => {
    await mkdir(join(cwd, 'etc'));
    await file('data_dir: data\ncreds: ~/me.creds', 'etc/if.yaml');
    const { config } = await run({ configFile: 'etc/if.yaml' });
    expect(config).toMatchObject({
      data_dir: join(cwd, 'etc/data'),
      creds: '/home/ada/me.creds',
      policies: join(cwd, 'policies'),
    });
  });

  it.each(['', '# nothing\n', '---\n'])('may be empty: %j', async (text) => {
    await file(text);
    expect((await run()).config.port).toBe(0);
  });

  it.each([
    ['prot: 1', 'the nearest valid key is port'],
    ['data-dir: x', 'the nearest valid key is data_dir'],
    ['consolePort: 1', 'the nearest valid key is console_port'],
    ['__proto__: {port: 1}', 'unknown key "__proto__"'],
    ['7: 1', 'unknown key "7"'],
  ])('with an unknown key is refused and names the nearest valid one: %j', async (text, message) => {
    await file(text);
    expect((await refusal({})).message).toContain(message);
  });

  it.each([
    ['port: 1\nport: 2', 'not valid YAML: Map keys must be unique at line 2'],
    ['port: [', 'not valid YAML'],
    ['port: !!js/function x', 'not valid YAML'],
    ['port: 1\n---\nport: 2', 'not valid YAML'],
    ['servers: &a [x:1]\ncreds: *a', 'YAML alias'],
    ['- port', 'must be a mapping'],
    ['hello', 'must be a mapping'],
    [Buffer.from([0x61, 0xff]), 'not UTF-8'],
    [`# ${'x'.repeat(70_000)}`, 'at most 65536'],
  ])('that is not a plain mapping is refused: %#', async (text, message) => {
    await file(text);
    const error = await refusal({});
    expect(error.message).toContain(message);
    expect(error.message).toContain(join(cwd, 'infrafabric.yaml'));
    expect(error.message).not.toContain('\n');
  });

  it('that is a folder or a named pipe is refused and never waited for', async () => {
    await mkdir(join(cwd, 'infrafabric.yaml'));
    expect((await refusal({})).message).toContain('not a regular file');
    execFileSync('mkfifo', [join(cwd, 'pipe')]);
    expect((await refusal({ configFile: 'pipe' })).message).toContain('not a regular file');
  });
});

describe('a bad value', () => {
  it('is refused with key, value received, source and what is allowed', async () => {
    expect((await refusal({ env: { IF_NODES: '2' } })).message).toBe(
      'the configuration is not valid: nodes is "2" (env IF_NODES); allowed: 1 or 3',
    );
  });

  it('is one of several that are told together', async () => {
    const error = await refusal({ env: { IF_PORT: 'x' }, flags: { storage: 'tape' } });
    expect(error.details?.['problems']).toEqual([
      { key: 'storage', received: '"tape"', source: 'flag --storage', allowed: 'memory, file' },
      { key: 'port', received: '"x"', source: 'env IF_PORT', allowed: 'a whole number from 0 to 65533' },
    ]);
  });

  it.each([
    ['namespace', ['if', '', 'A'.repeat(17), '9A', 'A-B', 'A\n'], ['A', 'IF2_X']],
    [
      'servers',
      ['nats://', 'http://a:1', 'a b', 'a:1,,b:2', 'a:99999', 'nats://a:1?x', 'nats://a/x'],
      ['a', 'tls://a:1', '[::1]:4222', 'wss://a/'],
    ],
    ['nodes', ['2', '0', 'three'], ['1', 3]],
    ['port', ['-1', '65534', '1.5', '1e3', '0x10', ' 1', Number.NaN], ['0', '65533', 7]],
    ['console_port', ['65536', true, null], ['65535']],
    ['coordinators', ['0', '17'], ['1', '16']],
    ['lease_ms', ['999', '86400001'], ['1000', '86400000']],
    ['data_dir', ['', 'a\0b', 5], ['x']],
    ['log_level', ['loud', 'INFO'], ['silent']],
  ])('of %s is told from a good one', async (key, bad, good) => {
    for (const value of bad)
      expect((await refusal({ flags: { [key]: value } })).message, String(value)).toContain(`${key} is `);
    for (const value of good) await run({ flags: { [key]: value } });
  });

  it('of a number is also text in a file: a file has types of its own', async () => {
    await file('port: "4222"');
    expect((await refusal({})).message).toContain('port is "4222" (file ');
  });

  it('that holds a password is not shown', async () => {
    for (const servers of ['nats://ada:se,cr@et@a:1', 'ada:secret@a:1', ['nats://secret@a:1']]) {
      const error = await refusal({ flags: { servers } });
      expect(error.message + JSON.stringify(error.details)).not.toMatch(/se,?cr/);
    }
  });

  it('of any length gives a message of one line', async () => {
    const { message } = await refusal({ flags: { storage: `${'x'.repeat(10_000)}\n` } });
    expect(message.length).toBeLessThan(400);
    expect(message).not.toContain('\n');
  });
});

describe('the names of settings', () => {
  it('are found again when they are mistyped', () => {
    expect(nearest('namspace', settingKeys)).toBe('namespace');
    expect(nearest('archive-after', settingKeys)).toBe('archive_after_ms');
  });

  it('give the options of a command line', () => {
    expect(optionOf('data_dir').flags).toBe('--data-dir <DIR>');
    expect(optionOf('nodes').description).toMatch(/\(IF_NODES; default: 3\)$/);
  });

  it('and their table are those of the documents', async () => {
    const page = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    const table = page.split('\n').filter((line) => line.startsWith('| '));
    expect(table.join('\n')).toBe(settingsMarkdown());
  });

  it('and the example of the documents is a valid file', async () => {
    const page = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    await file(/```yaml\n([\s\S]*?)```/.exec(page)![1]!);
    expect((await run()).config).toMatchObject({ storage: 'file', servers: [] });
  });
});
