/**
 * nats-server from the machine's own Debian mirror, unpacked without installing it. apt works on private lists and a
 * private cache, so that nothing of the machine changes: no source, no list, no package. apt still verifies signatures
 * and checksums as the machine's own entry demands.
 */
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FabricError } from '../errors.ts';
import { type DebianSource, describeMirror, readDebianSources, sourceList } from './debian-sources.ts';
import { runProgram } from './program.ts';

/** The suite that carries the newest packages. */
const suite = 'sid';
const maxMirrors = 3;

export interface DebianOptions {
  readonly aptDir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
  readonly onProgress: (line: string) => void;
}

/**
 * Calls `use` with the path of the unpacked binary, which exists during the call only.
 * @throws FabricError UNAVAILABLE when apt is missing, no entry of Debian is found, or no mirror has the package.
 */
export async function withDebianServer<T>(options: DebianOptions, use: (file: string) => Promise<T>): Promise<T> {
  if (process.platform !== 'linux') throw new FabricError('UNAVAILABLE', 'this machine is not a Linux');
  const sources = (await readDebianSources(options.aptDir)).slice(0, maxMirrors);
  if (sources.length === 0) {
    throw new FabricError('UNAVAILABLE', `${options.aptDir} names no mirror of Debian's main archive`);
  }
  const failures: string[] = [];
  for (const source of sources) {
    // Not inside the cache: root's apt downloads as a user of its own, who may not enter private folders.
    const dir = await mkdtemp(join(tmpdir(), 'infrafabric-apt-'));
    try {
      await chmod(dir, 0o755);
      return await use(await unpack(dir, source, options));
    } catch (error) {
      if (options.signal?.aborted || !(error instanceof FabricError)) throw error;
      failures.push(error.message);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
  throw new FabricError('UNAVAILABLE', failures.join('; '));
}

async function unpack(dir: string, source: DebianSource, options: DebianOptions): Promise<string> {
  const download = join(dir, 'download');
  await mkdir(download);
  await mkdir(join(dir, 'lists', 'partial'), { recursive: true });
  await mkdir(join(dir, 'cache', 'archives', 'partial'), { recursive: true });
  await writeFile(join(dir, 'private.sources'), sourceList(source, suite));
  const config = join(dir, 'private.conf');
  await writeFile(config, privateConfig(dir));

  const run = (program: string, args: string[], timeoutMs: number): Promise<unknown> =>
    runProgram(program, args, {
      timeoutMs,
      cwd: download,
      env: { ...options.env, LC_ALL: 'C' },
      ...(options.signal ? { signal: options.signal } : {}),
    });
  options.onProgress(`reading the package index of Debian ${suite} from ${describeMirror(source)}`);
  await run('apt-get', ['-c', config, '-q', 'update'], 120_000);
  options.onProgress('downloading the package nats-server, without installing it');
  await run('apt-get', ['-c', config, '-q', 'download', 'nats-server'], 120_000);
  const archive = (await readdir(download)).find((name) => name.endsWith('.deb'));
  if (!archive) throw new FabricError('UNAVAILABLE', `apt-get downloaded nothing from ${describeMirror(source)}`);
  const unpacked = join(dir, 'unpacked');
  await run('dpkg', ['-x', join(download, archive), unpacked], 60_000);
  return join(unpacked, 'usr', 'sbin', 'nats-server');
}

/**
 * Read by apt after the machine's own configuration, whose proxies and credentials stay in force. Hooks, pins and a
 * default release of the machine would act on the machine, or hide the package.
 */
function privateConfig(dir: string): string {
  const none = join(dir, 'none');
  const settings: Record<string, string> = {
    'Dir::Etc::SourceList': join(dir, 'private.sources'),
    'Dir::Etc::SourceParts': none,
    'Dir::Etc::Preferences': none,
    'Dir::Etc::PreferencesParts': none,
    'Dir::State::Lists': join(dir, 'lists'),
    'Dir::Cache': join(dir, 'cache'),
    'Dir::Cache::Archives': join(dir, 'cache', 'archives'),
    'Acquire::Languages': 'none',
    'Acquire::http::Timeout': '15',
    'Acquire::https::Timeout': '15',
    'APT::Update::Error-Mode': 'any',
  };
  const cleared = [
    'APT::Update',
    'APT::Default-Release',
    'APT::Get::Default-Release',
    'DPkg::Pre-Invoke',
    'DPkg::Post-Invoke',
  ];
  return [
    ...cleared.map((name) => `#clear ${name};`),
    ...Object.entries(settings).map(([name, value]) => `${name} ${JSON.stringify(value)};`),
    '',
  ].join('\n');
}
