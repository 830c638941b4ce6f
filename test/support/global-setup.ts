/**
 * Once before all tests: obtains the nats-server, so that test files running at once do not all download it, and gives the
 * run a temporary folder of its own, in which everything lies that tests make; also when the run is interrupted, nothing
 * of it is left.
 */
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { obtainServer } from '../../src/cluster/binary.ts';

const reaper = fileURLToPath(new URL('./reaper.mjs', import.meta.url));

export default async function setup(): Promise<() => Promise<void>> {
  const { version, path } = await obtainServer({
    onProgress: (line) => process.stderr.write(`nats-server: ${line}\n`),
  });
  process.stderr.write(`nats-server ${version} (${path})\n`);
  const folder = await mkdtemp(join(tmpdir(), 'infrafabric-tests-'));
  // Some tests act as another user.
  await chmod(folder, 0o755);
  const child = spawn(process.execPath, [reaper, folder], { detached: true, stdio: ['pipe', 'ignore', 'inherit'] });
  child.unref();
  process.env['TMPDIR'] = folder;
  return async () => {
    const left = await readdir(folder);
    if (left.length > 0) process.stderr.write(`left behind by tests, and removed: ${left.join(', ')}\n`);
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    child.stdin.end('done');
  };
}
