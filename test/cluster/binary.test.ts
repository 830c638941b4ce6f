import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ObtainOptions, obtainServer, type ServerBinary } from '../../src/cluster/binary.ts';
import { defaultCacheDir } from '../../src/cluster/binary-cache.ts';
import { readDebianSources } from '../../src/cluster/debian-sources.ts';
import { pickPorts } from '../../src/cluster/ports.ts';
import { releaseName } from '../../src/cluster/release.ts';
import { compareVersions, pinnedVersion, versionOf } from '../../src/cluster/server-version.ts';
import { tempDir } from '../support/temp.ts';

const run = promisify(execFile);
const release = releaseName(pinnedVersion, process.platform, process.arch) ?? '';
const systemPath = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';
const hasDebianMirror = existsSync('/usr/bin/apt-get') && (await readDebianSources('/etc/apt')).length > 0;

let real: ServerBinary;
let nowhere: string;
let archive: Buffer;
let dir: Awaited<ReturnType<typeof tempDir>>;
let progress: string[];
const cleanUps: Array<() => unknown> = [];

beforeAll(async () => {
  real = await obtainServer();
  const [port] = await pickPorts(1);
  nowhere = `http://127.0.0.1:${port}`;
  archive = await packRelease();
});
beforeEach(async () => {
  dir = await tempDir();
  cleanUps.push(dir.remove);
  progress = [];
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** Obtains with an empty cache, no server on PATH, no release host and no mirror, but for what `options` gives. */
function obtain(options: ObtainOptions = {}): Promise<ServerBinary> {
  return obtainServer({
    cacheDir: join(dir.path, 'cache'),
    releaseBaseUrl: nowhere,
    aptDir: join(dir.path, 'no-apt'),
    onProgress: (line) => progress.push(line),
    ...options,
    env: { PATH: '/usr/bin:/bin', ...options.env },
  });
}

/** A folder with a `nats-server` in it that answers as the given version; returns the folder. */
async function serverSaying(answer: string, folder = 'bin'): Promise<string> {
  const path = join(dir.path, folder);
  await mkdir(path, { recursive: true });
  await writeFile(join(path, 'nats-server'), `#!/bin/sh\necho "${answer}"\n`);
  await chmod(join(path, 'nats-server'), 0o755);
  return path;
}

async function pathWithRealServer(): Promise<string> {
  const path = join(dir.path, 'real');
  await mkdir(path);
  await symlink(real.path, join(path, 'nats-server'));
  return path;
}

/** The real binary, packed as releases are. */
async function packRelease(): Promise<Buffer> {
  const folder = await tempDir();
  try {
    await mkdir(join(folder.path, release));
    await copyFile(real.path, join(folder.path, release, 'nats-server'));
    await chmod(join(folder.path, release, 'nats-server'), 0o755);
    const file = join(folder.path, 'release.tar.gz');
    await run('tar', ['-czf', file, '-C', folder.path, release]);
    return await readFile(file);
  } finally {
    await folder.remove();
  }
}

/** A release host with an archive of the real binary; `corrupt` changes the archive after its checksum was taken. */
async function releaseHost({ corrupt = false, sums = true } = {}): Promise<string> {
  const bytes = Buffer.from(archive);
  const sum = createHash('sha256').update(bytes).digest('hex');
  if (corrupt) bytes.writeUInt8(bytes.readUInt8(1_000) ^ 1, 1_000);
  const files = new Map<string, Buffer>([[`/v${pinnedVersion}/${release}.tar.gz`, bytes]]);
  const listing = `${'0'.repeat(64)}  nats-server-v${pinnedVersion}-plan9-amd64.zip\n${sum}  ${release}.tar.gz\n`;
  if (sums) files.set(`/v${pinnedVersion}/SHA256SUMS`, Buffer.from(listing));
  const server = createServer((request, response) => {
    const body = files.get(request.url ?? '');
    response.writeHead(body ? 200 : 404).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('the server binary', () => {
  it('is the one that IF_NATS_SERVER names, before any other', async () => {
    const path = await pathWithRealServer();
    const found = await obtain({ env: { IF_NATS_SERVER: real.path, PATH: path } });
    expect(found).toEqual({ path: real.path, version: real.version, source: 'env' });
  });

  it('is never another one when IF_NATS_SERVER is too old, is missing, or is something else', async () => {
    const path = await pathWithRealServer();
    const old = join(await serverSaying('nats-server: v2.11.9', 'old'), 'nats-server');
    const other = join(await serverSaying('hello', 'other'), 'nats-server');
    for (const [file, reason] of [
      [old, 'is version 2.11.9, 2.12.0 or newer is needed'],
      [join(dir.path, 'missing'), 'is not there'],
      [other, 'does not answer --version as a nats-server does'],
      [dir.path, 'cannot be run'],
    ] as const) {
      await expect(obtain({ env: { IF_NATS_SERVER: file, PATH: path } })).rejects.toMatchObject({
        code: 'INVALID_REQUEST',
        message: expect.stringContaining(`IF_NATS_SERVER cannot be used: ${file} ${reason}`),
      });
    }
  });

  it('is the first on PATH that is new enough and runs; others are skipped with a line each', async () => {
    const old = await serverSaying('nats-server: v2.10.24', 'old');
    const broken = join(dir.path, 'broken');
    await mkdir(broken);
    await writeFile(join(broken, 'nats-server'), 'not a program', { mode: 0o755 });
    const good = await pathWithRealServer();
    const found = await obtain({ env: { PATH: [old, broken, 'relative', good, '/usr/bin', '/bin'].join(':') } });
    expect(found).toEqual({ path: join(good, 'nats-server'), version: real.version, source: 'path' });
    expect(progress).toEqual([
      expect.stringMatching(/PATH: .*old.nats-server is version 2\.10\.24/),
      expect.stringMatching(/PATH: .*broken.nats-server/),
    ]);
  });

  it('comes from the cache before anything is downloaded, the pinned version first, unless it does not run', async () => {
    const cache = join(dir.path, 'cache');
    await mkdir(cache);
    const suffix = `-${process.platform}-${process.arch}`;
    const pinned = join(cache, `nats-server-${pinnedVersion}${suffix}`);
    const newer = join(cache, `nats-server-9.0.0${suffix}`);
    const foreign = join(cache, `nats-server-${pinnedVersion}-other-machine`);
    await copyFile(real.path, pinned);
    for (const [file, version] of [
      [newer, '9.0.0'],
      [foreign, pinnedVersion],
    ] as const) {
      await copyFile(join(await serverSaying(`nats-server: v${version}`, version), 'nats-server'), file);
    }
    for (const file of [pinned, newer, foreign]) await chmod(file, 0o755);
    expect(await obtain()).toEqual({ path: pinned, version: real.version, source: 'cache' });
    await writeFile(pinned, 'half a file');
    expect(await obtain()).toEqual({ path: newer, version: '9.0.0', source: 'cache' });
    expect(progress).toEqual([expect.stringContaining(`the cache: ${pinned}`)]);
  });

  it('comes from the release when its checksum holds, and from the cache the next time', async () => {
    const releaseBaseUrl = await releaseHost();
    const found = await obtain({ releaseBaseUrl });
    expect(found).toMatchObject({ version: pinnedVersion, source: 'release' });
    expect(await versionOf(found.path)).toBe(pinnedVersion);
    expect(progress).toEqual([expect.stringMatching(/^downloading http.*\.tar\.gz$/)]);
    expect(await obtain()).toEqual({ ...found, source: 'cache' });
    expect(await readdir(join(dir.path, 'cache'))).toHaveLength(1);
    expect((await stat(join(dir.path, 'cache'))).mode & 0o777).toBe(0o700);
  });

  it('is not taken from a release whose checksum does not hold, or that has none', async () => {
    for (const [host, reason] of [
      [await releaseHost({ corrupt: true }), /the checksum of .* is [0-9a-f]{64}, its release says/],
      [await releaseHost({ sums: false }), /SHA256SUMS cannot be read: the answer is HTTP 404/],
    ] as const) {
      await expect(obtain({ releaseBaseUrl: host })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringMatching(reason),
      });
      expect(await readdir(join(dir.path, 'cache'))).toEqual([]);
    }
  });

  it('can be obtained by several processes at once', async () => {
    const releaseBaseUrl = await releaseHost();
    const found = await Promise.all([1, 2, 3].map(() => obtain({ releaseBaseUrl })));
    expect(new Set(found.map((one) => one.path)).size).toBe(1);
    expect(await versionOf(found[0]?.path ?? '')).toBe(pinnedVersion);
    expect(await readdir(join(dir.path, 'cache'))).toHaveLength(1);
  });

  it.runIf(hasDebianMirror)(
    "comes from the machine's own Debian mirror when no release can be reached, without a change to the machine",
    async () => {
      const before = await aptState();
      const found = await obtain({ aptDir: '/etc/apt', env: { ...process.env, PATH: systemPath, IF_NATS_SERVER: '' } });
      expect(found.source).toBe('debian');
      expect(compareVersions(found.version, '2.12.0')).toBeGreaterThanOrEqual(0);
      expect(found.path.startsWith(join(dir.path, 'cache'))).toBe(true);
      expect(await aptState()).toEqual(before);
    },
  );

  it('is missing with one message that lists what was tried and what to do', async () => {
    const old = await serverSaying('nats-server: v2.9.0');
    const error = await obtain({ env: { PATH: `${old}:/usr/bin:/bin` } }).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: 'UNAVAILABLE' });
    const lines = (error as Error).message.split('\n');
    expect(lines).toEqual([
      'no nats-server 2.12.0 or newer was found, and none could be obtained:',
      expect.stringMatching(/^ {2}- PATH: .*is version 2\.9\.0/),
      expect.stringMatching(/^ {2}- the cache: .*has no nats-server/),
      expect.stringMatching(/^ {2}- the release: .*cannot be read: .*ECONNREFUSED/),
      expect.stringMatching(/^ {2}- the machine's Debian mirror: .*names no mirror/),
      'Install nats-server and put it on PATH, or give the path of a binary in IF_NATS_SERVER.',
    ]);
  });

  it('is not waited for after an abort', async () => {
    const abort = new AbortController();
    const hanging = createServer(() => abort.abort());
    await new Promise<void>((resolve) => hanging.listen(0, '127.0.0.1', resolve));
    cleanUps.push(() => {
      hanging.closeAllConnections();
      return new Promise((resolve) => hanging.close(resolve));
    });
    const releaseBaseUrl = `http://127.0.0.1:${(hanging.address() as AddressInfo).port}`;
    await expect(obtain({ releaseBaseUrl, signal: abort.signal })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'obtaining the nats-server was interrupted',
    });
  });
});

describe('the cache', () => {
  it('is where the environment says', () => {
    expect(defaultCacheDir({ IF_CACHE_DIR: '/c', XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/c');
    expect(defaultCacheDir({ XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/x/infrafabric');
    expect(defaultCacheDir({ XDG_CACHE_HOME: 'relative', HOME: '/h' })).toBe('/h/.cache/infrafabric');
  });

  it('is cleared of what an earlier process left half unpacked', async () => {
    const abandoned = join(dir.path, 'cache', '.unpack-abc');
    await mkdir(abandoned, { recursive: true });
    await utimes(abandoned, new Date(0), new Date(0));
    await obtain({ releaseBaseUrl: await releaseHost() });
    expect(await readdir(join(dir.path, 'cache'))).toHaveLength(1);
  });
});

describe('versions', () => {
  it('are compared by number', () => {
    expect(compareVersions('v2.9.0', '2.12.0')).toBeLessThan(0);
    expect(compareVersions('2.15.1-RC.2', '2.12.0')).toBeGreaterThan(0);
    expect(compareVersions('nonsense', '0.0.0')).toBeLessThan(0);
  });
});

/** Names, sizes and times of everything that apt keeps on this machine. */
async function aptState(): Promise<string> {
  const places = ['/etc/apt', '/var/lib/apt', '/var/cache/apt', '/var/lib/dpkg'];
  const { stdout } = await run('find', [...places, '-type', 'f', '-printf', '%p %s %T@\n'], { maxBuffer: 2 ** 26 });
  return stdout;
}
