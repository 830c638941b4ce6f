/** `task import`, `task list` and `inspect` on a real fabric, run in this process. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspect } from '../../src/cli/commands/inspect.ts';
import { list } from '../../src/cli/commands/task.ts';
import { importBoard } from '../../src/cli/commands/task-import.ts';
import { Output } from '../../src/cli/output.ts';
import type { CommandRun } from '../../src/cli/program.ts';
import { resolveConfig } from '../../src/config/resolve.ts';
import { startFabric, type TestFabric } from '../coordinator/in-process.ts';
import { freshId } from '../store/fixtures.ts';

let fabric: TestFabric;
let creds: string;

beforeAll(async () => {
  fabric = await startFabric();
  await fabric.coordinator();
  await fabric.witness();
  creds = join(fabric.cluster.dataDir, 'operator.creds');
  await writeFile(creds, await fabric.cluster.identity.operatorCreds(), { mode: 0o600 });
});
afterAll(async () => await fabric?.stop());

interface Ran {
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command as the operator; what it throws is told as the program would. */
async function run(command: CommandRun, args: string[], options: object = {}, json = false): Promise<Ran> {
  const written = { stdout: '', stderr: '' };
  const sink = (name: keyof typeof written) => ({
    write(text: string) {
      written[name] += text;
    },
  });
  const out = new Output({ json, stdout: sink('stdout'), stderr: sink('stderr') });
  const { dataDir, cluster } = fabric.cluster;
  const flags = { data_dir: dataDir, servers: cluster.servers.join(','), creds };
  const resolve = async () => await resolveConfig({ flags, env: {}, cwd: dataDir });
  const context = { out, resolve, signal: new AbortController().signal };
  const code = await command(context, args, options as never).catch((error: unknown) => out.error(error));
  return { code, ...written };
}

async function importText(text: string, json = false): Promise<Ran> {
  const path = join(fabric.cluster.dataDir, `${freshId('board')}.yaml`);
  await writeFile(path, text);
  try {
    return await run(importBoard, [path], {}, json);
  } finally {
    await rm(path);
  }
}

const importJson = async (text: string) => JSON.parse((await importText(text, true)).stdout);

async function stateOf(task_id: string): Promise<string | undefined> {
  const client = await fabric.client('operator');
  const task = await client.request<{ state: string }>('task', 'get', { task_id }).catch(() => undefined);
  return task?.state;
}

describe('a board', () => {
  it('is created in any order of its tasks, and not again', async () => {
    const id = freshId('b');
    const board = [
      `- {task_id: ${id}.ship, task_type: x, depends_on: [${id}.test, ${id}.docs]}`,
      `- {task_id: ${id}.test, task_type: x, depends_on: [${id}.build]}`,
      `- {task_id: ${id}.docs, task_type: x}`,
      `- {task_id: ${id}.build, task_type: x, priority: 3}`,
    ].join('\n');
    const first = await importText(board);
    expect(first).toMatchObject({ code: 0, stderr: '4 created\n' });
    expect(await Promise.all(['ship', 'test', 'docs', 'build'].map((name) => stateOf(`${id}.${name}`)))).toEqual([
      'waiting',
      'waiting',
      'available',
      'available',
    ]);
    expect(await importText(board)).toMatchObject({ code: 0, stderr: '0 created, 4 exist already\n' });
    expect(await importJson(`${board}\n- {task_id: ${id}.more, task_type: x, depends_on: [${id}.ship]}`)).toMatchObject(
      {
        created: 1,
        unchanged: 4,
        refused: 0,
      },
    );
  });

  it('may depend on tasks that exist, and creates nothing when one does not', async () => {
    const [id, there] = [freshId('b'), freshId('there')];
    const client = await fabric.client('operator');
    await client.request('task', 'create', { task_id: there, task_type: 'x' });
    expect(await importText(`- {task_id: ${id}.1, task_type: x, depends_on: [${there}]}`)).toMatchObject({ code: 0 });
    const bad = await importText(
      `- {task_id: ${id}.2, task_type: x}\n- task_id: ${id}.3\n  task_type: x\n  depends_on: [${there}, ${id}.none]\n`,
    );
    expect(bad.code).toBe(2);
    expect(bad.stderr).toContain('nothing was created');
    expect(bad.stderr).toMatch(
      new RegExp(`\\.yaml:4: ${id}\\.3 depends on ${id}\\.none, which is neither on the board nor in the fabric`),
    );
    expect(await stateOf(`${id}.2`)).toBeUndefined();
  });

  it('creates nothing when one of its tasks exists with other content, and names it', async () => {
    const id = freshId('b');
    await importText(`- {task_id: ${id}.1, task_type: x}`);
    const board = `- {task_id: ${id}.0, task_type: x}\n- {task_id: ${id}.1, task_type: other, depends_on: [${id}.0]}`;
    const clash = await importText(board);
    expect(clash.code).toBe(1);
    expect(clash.stderr).toContain(`${id}.1: it exists with other content`);
    expect(await stateOf(`${id}.0`)).toBeUndefined();
    expect(await importJson(board)).toMatchObject({
      created: 0,
      refused: 1,
      tasks: [
        { task_id: `${id}.0`, outcome: 'skipped' },
        { task_id: `${id}.1`, outcome: 'refused', code: 'TASK_EXISTS' },
      ],
    });
  });

  it('says what was created when it is refused on the way, and goes on when it is mended', async () => {
    const id = freshId('b');
    const board = (cost: number) =>
      [
        `- {task_id: ${id}.3, task_type: x, depends_on: [${id}.2]}`,
        `- {task_id: ${id}.2, task_type: x, depends_on: [${id}.1], cost_estimate: ${cost}}`,
        `- {task_id: ${id}.1, task_type: x}`,
      ].join('\n');
    const half = await importText(board(1_000));
    expect(half.code).toBe(1);
    expect(half.stderr).toContain('1 created, 1 refused, 1 not asked for');
    expect(half.stderr).toContain(`${id}.2: cost_estimate`);
    expect(half.stderr).toContain('importing the board again is safe');
    expect(await importText(board(1))).toMatchObject({ code: 0, stderr: '2 created, 1 exist already\n' });
  });

  it('of 200 tasks in one chain is created in order', async () => {
    const id = freshId('c');
    const chain = Array.from({ length: 200 }, (_, i) => ({
      task_id: `${id}.${i}`,
      task_type: 'x',
      depends_on: i < 199 ? [`${id}.${i + 1}`] : [],
    }));
    expect(await importJson(JSON.stringify(chain))).toMatchObject({ created: 200, refused: 0 });
    expect(await stateOf(`${id}.0`)).toBe('waiting');
    expect(await stateOf(`${id}.199`)).toBe('available');
  });
});

describe('a task that waits', () => {
  it('says for what, in lists and when it is inspected', async () => {
    const id = freshId('0');
    await importText(`- {task_id: ${id}.a, task_type: x, depends_on: [${id}.b]}\n- {task_id: ${id}.b, task_type: x}`);
    const { stdout } = await run(list, [], { state: 'waiting' });
    expect(stdout.split('\n')[0]).toMatch(/WAITING$/);
    expect(stdout).toMatch(new RegExp(`${id}\\.a .* waits for ${id}\\.b\n`));
    expect((await run(inspect, [`task:${id}.a`])).stdout.split('\n')[1]).toBe(`waits for ${id}.b`);
    expect((await run(inspect, [`task:${id}.b`])).stdout.split('\n')[1]).toBe('');
  });
});
