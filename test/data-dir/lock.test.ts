import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { readProcess } from '../../src/cluster/process-table.ts';
import { readFabricFile, removeFabricFile, writeFabricFile } from '../../src/data-dir/fabric-file.ts';
import { lockDataDir } from '../../src/data-dir/lock.ts';
import { tempDir } from '../support/temp.ts';

const folders: Array<{ remove(): Promise<void> }> = [];

async function newDir(): Promise<string> {
  const folder = await tempDir();
  folders.push(folder);
  return folder.path;
}

afterEach(async () => {
  for (const folder of folders.splice(0)) await folder.remove();
});

describe('the lock of a data directory', () => {
  it('is held by one process at a time, and the refusal names it', async () => {
    const dir = await newDir();
    const lock = await lockDataDir(dir);
    await expect(lockDataDir(dir)).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { pid: process.pid },
      message: expect.stringContaining(String(process.pid)),
    });
    await lock.release();
    await (await lockDataDir(dir)).release();
    expect(await readdir(dir)).toEqual([]);
  });

  it('is taken over from a process that is gone', async () => {
    const dir = await newDir();
    const child = spawn('sleep', ['60']);
    const start_time = (await readProcess(child.pid!))!.start_time;
    child.kill('SIGKILL');
    await once(child, 'exit');
    await writeFile(join(dir, 'fabric.lock'), JSON.stringify({ pid: child.pid, start_time }));
    const lock = await lockDataDir(dir);
    expect(JSON.parse(await readFile(join(dir, 'fabric.lock'), 'utf8'))).toMatchObject({ pid: process.pid });
    await lock.release();
  });

  it('is taken over when its process id belongs to another process by now', async () => {
    const dir = await newDir();
    await writeFile(join(dir, 'fabric.lock'), JSON.stringify({ pid: process.pid, start_time: 'long ago' }));
    await (await lockDataDir(dir)).release();
  });

  it.each(['', '{', '{"pid":"x"}', 'null'])('is taken over when the file holds %j', async (content) => {
    const dir = await newDir();
    await writeFile(join(dir, 'fabric.lock'), content);
    await (await lockDataDir(dir)).release();
  });

  it('goes to one of many that want it at once', async () => {
    const dir = await newDir();
    const won = await Promise.allSettled(Array.from({ length: 16 }, async () => await lockDataDir(dir)));
    const locks = won.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(locks).toHaveLength(1);
    await locks[0]!.release();
  });
});

describe('fabric.json', () => {
  const content = {
    pid: 1,
    namespace: 'IF',
    servers: ['nats://127.0.0.1:1'],
    console_url: null,
    metrics_url: null,
    version: '0.1.0',
    started_at: 5,
  };

  it('tells where a running fabric is, until it is removed', async () => {
    const dir = await newDir();
    expect(await readFabricFile(dir)).toBeUndefined();
    await writeFabricFile(dir, content);
    expect(await readFabricFile(dir)).toEqual(content);
    await removeFabricFile(dir);
    expect(await readFabricFile(dir)).toBeUndefined();
  });

  it('says what to do when it is damaged', async () => {
    const dir = await newDir();
    await writeFile(join(dir, 'fabric.json'), '{"pid":');
    await expect(readFabricFile(dir)).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringContaining('remove it'),
    });
  });
});
