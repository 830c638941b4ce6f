/** What the documents show is run, so that it stays true. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestFabric, type TestFabric } from '../support/fabric.ts';
import { type TempDir, tempDir, until } from '../support/temp.ts';

const readme = await readFile('README.md', 'utf8');

describe('the worker of the README', () => {
  let fabric: TestFabric;
  let dir: TempDir;

  beforeAll(async () => {
    fabric = await startTestFabric({ nodes: 1 });
    dir = await tempDir();
  });

  afterAll(async () => {
    await fabric?.stop();
    await dir?.remove();
  });

  it('registers, does what is there to do, and ends on SIGTERM', async () => {
    const program = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
    const runnable = program
      .replace("'infrafabric'", `'${pathToFileURL('dist/src/index.js')}'`)
      .replace('.infrafabric/fabric.json', join(fabric.dataDir, 'fabric.json'))
      .replace('swarm-7.creds', join(dir.path, 'swarm-7.creds'));
    expect(runnable).not.toBe(program);
    await writeFile(join(dir.path, 'worker.mjs'), runnable);
    await writeFile(join(dir.path, 'swarm-7.creds'), await fabric.credsOf('swarm-7'), { mode: 0o600 });
    const operator = await fabric.join('operator');
    await operator.request('task', 'create', { task_id: 'review-1', task_type: 'review' });

    const worker = spawn(process.execPath, [join(dir.path, 'worker.mjs')], { stdio: 'inherit' });
    const ended = once(worker, 'exit');
    await until('the task is completed', async () => {
      const task = await operator.request<{ state: string; owner: string; result: unknown }>('task', 'get', {
        task_id: 'review-1',
      });
      if (task.state === 'completed')
        expect(task).toMatchObject({ owner: 'swarm-7', result: { reviewed: 'review-1' } });
      return task.state === 'completed';
    });
    worker.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});

describe('the documents', () => {
  it('link to files that exist', async () => {
    for (const file of [
      'README.md',
      'docs/architecture.md',
      'docs/protocol.md',
      'docs/command-line.md',
      'docs/configuration.md',
      'docs/governor.md',
      'docs/witness.md',
      'docs/witness-chain.md',
      'docs/nats-server.md',
      'docs/dependencies.md',
    ]) {
      const text = await readFile(file, 'utf8');
      for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
        expect(existsSync(join(file, '..', target)), `${file} links to ${target}`).toBe(true);
      }
    }
  });

  it('name every package that is used, and no other', async () => {
    const { dependencies } = JSON.parse(await readFile('package.json', 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const text = await readFile('docs/dependencies.md', 'utf8');
    const named = [...text.matchAll(/^\| (.*?) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
    );
    expect(named.sort()).toEqual(Object.keys(dependencies).sort());
  });
});
