/** The commands of policy, and a running fabric that follows its file. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { join as joinFabric } from '../../src/sdk/join.ts';
import { type Fabric, start, startFabric } from '../cli/built-program.ts';
import { type TempDir, tempDir, until } from '../support/temp.ts';

let dir: TempDir;
beforeEach(async () => {
  dir = await tempDir();
  await mkdir(join(dir.path, 'policies'));
});
afterEach(async () => await dir.remove());

const write = async (text: string, name = 'policies/governor.yaml') => await writeFile(join(dir.path, name), text);
const run = async (...args: string[]) => await start(args, dir.path).finished;

interface Shown {
  readonly from: string;
  readonly loaded_at: number | null;
  readonly values: ReadonlyArray<{ key: string; value: unknown; source: string }>;
}

describe('infrafabric policy check', () => {
  it('says of each file whether it is valid', async () => {
    await write('assign_tasks: true\n');
    expect(await run('policy', 'check')).toEqual({
      code: 0,
      stdout: 'policies/governor.yaml: valid\npolicies/capabilities.yaml: not there\n',
      stderr: '',
    });
  });

  it('names every mistake with file and line, and exits with 1', async () => {
    await write('assign_task: true\nmax_cost_per_task: -1\n');
    const { code, stdout } = await run('policy', 'check');
    expect(code).toBe(1);
    expect(stdout).toContain('policies/governor.yaml:1: unknown key "assign_task"; did you mean assign_tasks?\n');
    expect(stdout).toContain('policies/governor.yaml:2: max_cost_per_task is -1; allowed: ');
    const { stdout: json } = await run('policy', 'check', 'policies', '--json');
    expect(JSON.parse(json)).toMatchObject({
      ok: false,
      files: [
        { file: 'policies/governor.yaml', present: true, findings: [{ line: 1 }, { line: 2 }] },
        { file: 'policies/capabilities.yaml', present: false, findings: [] },
      ],
    });
  });

  it('of a folder that is not there is exit code 2', async () => {
    for (const args of [['nowhere'], ['--policies', 'nowhere']]) {
      const { code, stderr } = await run('policy', 'check', ...args);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('there is no folder') });
    }
  });
});

describe('infrafabric policy show', () => {
  it('without a fabric shows the values of the files, each with its source', async () => {
    await write('\nmax_cost_per_task: 2.5\n');
    const { code, stdout, stderr } = await run('policy', 'show');
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('no fabric was asked') });
    expect(stdout).toMatch(/^max_cost_per_task +2\.5 +policies\/governor\.yaml:2$/m);
    expect(stdout).toMatch(/^assign_tasks +false +built-in$/m);
  });

  it('of files that are not valid is exit code 2', async () => {
    await write('[');
    expect((await run('policy', 'show')).code).toBe(2);
  });
});

describe('infrafabric up', () => {
  it.each([
    ['max_cost_per_task: much', [], 'policies/governor.yaml:1: max_cost_per_task is "much"; allowed: US dollars'],
    ['', ['--policies', 'nowhere'], 'there is no folder'],
  ])(
    'refuses to start with a policy that is not valid, or a folder that is not there: %j %j',
    async (text, args, says) => {
      await write(text);
      const { code, stdout, stderr } = await run('up', '--data-dir', 'data', ...args);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toContain(says);
    },
  );
});

describe('a running fabric', () => {
  let policies: TempDir;
  let fabric: Fabric;
  const file = () => join(policies.path, 'governor.yaml');
  const shown = async () => await fabric.json<Shown>('policy', 'show');
  const entryOf = ({ values }: Shown, name: string) => values.find(({ key }) => key === name);

  beforeAll(async () => {
    policies = await tempDir();
    await writeFile(file(), 'max_cost_per_task: 2\n');
    fabric = await startFabric('--nodes', '1', '--policies', policies.path);
  });
  afterAll(async () => {
    await fabric?.stop();
    await policies?.remove();
  });

  it('has the policy of its file from the start, and says where each value comes from', async () => {
    const policy = await shown();
    expect(policy).toMatchObject({ from: 'fabric', loaded_at: expect.any(Number) });
    expect(entryOf(policy, 'max_cost_per_task')).toMatchObject({ value: 2, source: `${file()}:1` });
    const refused = await fabric.run('task', 'create', 'dear', '--type', 'x', '--cost-estimate', '3');
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('POLICY_VIOLATION') });
  });

  it('takes a change without a restart', async () => {
    await writeFile(file(), '# dearer\nmax_cost_per_task: 5\n');
    await until('the change is in force', async () => entryOf(await shown(), 'max_cost_per_task')?.value === 5);
    await until('the coordinator heeds it', async () => {
      return (await fabric.run('task', 'create', 'dear', '--type', 'x', '--cost-estimate', '3')).code === 0;
    });
    expect(entryOf(await shown(), 'max_cost_per_task')?.source).toBe(`${file()}:2`);
    const { actor, transitions } = await fabric.json<{ actor: string; transitions: Array<{ event: string }> }>(
      'witness',
      'replay',
      'policy:governor',
    );
    expect({ actor, events: transitions.map(({ event }) => event) }).toEqual({
      actor: 'policy:governor',
      events: ['LOAD', 'LOAD'],
    });
  });

  it('keeps the policy in force when a change is not valid, and tells the operator', async () => {
    const creds = await readFile(join(fabric.dataDir, 'operator.creds'), 'utf8');
    const facts = await readFile(join(fabric.dataDir, 'fabric.json'), 'utf8');
    const { servers } = JSON.parse(facts) as { servers: string[] };
    const { client, close } = await joinFabric({ servers, creds });
    try {
      const told = client.connection.subscribe('if.inbox.operator.escalation', { max: 1 });
      await client.connection.flush();
      await writeFile(file(), 'max_cost_per_task: 5\nmax_cost: 1\n');
      for await (const message of told) {
        expect(message.json()).toMatchObject({
          type: 'escalation',
          from: 'IF.governor',
          notice: { type: 'policy_invalid', file: file(), findings: [{ line: 2 }] },
        });
      }
      expect(entryOf(await shown(), 'max_cost_per_task')?.value).toBe(5);
    } finally {
      await close();
    }
  });
});
