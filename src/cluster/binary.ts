/**
 * Where the server binary comes from: `IF_NATS_SERVER`, else PATH, else the cache, else the published release, else the
 * machine's own Debian mirror. What is returned has run on this machine and is new enough.
 */
import { access, constants } from 'node:fs/promises';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { FabricError } from '../errors.ts';
import { BinaryCache, defaultCacheDir } from './binary-cache.ts';
import { withDebianServer } from './debian.ts';
import { releaseBaseUrl, unpackRelease } from './release.ts';
import { minimumVersion, pinnedVersion, versionOf } from './server-version.ts';

export interface ServerBinary {
  readonly path: string;
  readonly version: string;
  readonly source: 'env' | 'path' | 'cache' | 'release' | 'debian';
}

export interface ObtainOptions {
  /** Read for IF_NATS_SERVER, PATH and the place of the cache; default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Default: `$IF_CACHE_DIR`, else `infrafabric` in `$XDG_CACHE_HOME` or `~/.cache`. */
  readonly cacheDir?: string;
  /** Told what is skipped and why, and what is being downloaded. */
  readonly onProgress?: (line: string) => void;
  readonly signal?: AbortSignal;
  /** The folder of the published releases; default github.com. */
  readonly releaseBaseUrl?: string;
  /** The machine's apt configuration; default /etc/apt. */
  readonly aptDir?: string;
}

/**
 * @throws FabricError INVALID_REQUEST when IF_NATS_SERVER names something unusable (nothing else is tried then);
 * UNAVAILABLE when no source has a server, or when interrupted.
 */
export async function obtainServer(options: ObtainOptions = {}): Promise<ServerBinary> {
  const env = options.env ?? process.env;
  const signal = options.signal;
  const cache = new BinaryCache(options.cacheDir ?? defaultCacheDir(env));
  const progress = options.onProgress ?? (() => {});
  const failures: string[] = [];

  const named = env['IF_NATS_SERVER'];
  if (named) return fromEnvironment(resolve(named), signal);

  /** The result of one source; undefined, with the reason kept, when it has none. */
  const attempt = async <T>(name: string, use: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await use();
    } catch (error) {
      if (signal?.aborted) throw interrupted(error);
      const reason = `${name}: ${error instanceof Error ? error.message : String(error)}`;
      failures.push(reason);
      progress(`no server from ${reason}`);
      return undefined;
    }
  };

  for (const path of await onPath(env['PATH'] ?? '')) {
    const version = await attempt('PATH', () => versionOf(path, signal));
    if (version !== undefined) return { path, version, source: 'path' };
  }
  if (failures.length === 0) failures.push('PATH: has no nats-server');

  const cached = await cache.versions();
  for (const { path } of cached) {
    const version = await attempt('the cache', () => versionOf(path, signal));
    if (version !== undefined) return { path, version, source: 'cache' };
  }
  if (cached.length === 0) failures.push(`the cache: ${cache.dir} has no nats-server`);

  const shared = { env, onProgress: progress, ...(signal ? { signal } : {}) };
  const released = await attempt('the release', () =>
    cache.withTemporary(async (dir) => {
      const baseUrl = options.releaseBaseUrl ?? releaseBaseUrl;
      return cache.add(await unpackRelease(dir, { ...shared, baseUrl, version: pinnedVersion }), signal);
    }),
  );
  if (released) return { ...released, source: 'release' };

  const packaged = await attempt("the machine's Debian mirror", () =>
    withDebianServer({ ...shared, aptDir: options.aptDir ?? '/etc/apt' }, (file) => cache.add(file, signal)),
  );
  if (packaged) return { ...packaged, source: 'debian' };

  throw new FabricError(
    'UNAVAILABLE',
    [
      `no nats-server ${minimumVersion} or newer was found, and none could be obtained:`,
      ...failures.map((failure) => `  - ${failure}`),
      'Install nats-server and put it on PATH, or give the path of a binary in IF_NATS_SERVER.',
    ].join('\n'),
  );
}

async function fromEnvironment(path: string, signal: AbortSignal | undefined): Promise<ServerBinary> {
  try {
    return { path, version: await versionOf(path, signal), source: 'env' };
  } catch (error) {
    if (signal?.aborted) throw interrupted(error);
    const why = error instanceof Error ? error.message : String(error);
    throw new FabricError(
      'INVALID_REQUEST',
      `IF_NATS_SERVER cannot be used: ${why}. Give the path of a nats-server ${minimumVersion} or newer, or unset it to have one found.`,
      undefined,
      { cause: error },
    );
  }
}

function interrupted(cause: unknown): FabricError {
  return new FabricError('UNAVAILABLE', 'obtaining the nats-server was interrupted', undefined, { cause });
}

/** Every nats-server on the path, in its order. Relative entries are left out: what they mean depends on the folder. */
async function onPath(path: string): Promise<string[]> {
  const found: string[] = [];
  for (const dir of new Set(path.split(delimiter))) {
    if (!isAbsolute(dir)) continue;
    const file = join(dir, 'nats-server');
    if (
      await access(file, constants.X_OK).then(
        () => true,
        () => false,
      )
    ) {
      found.push(file);
    }
  }
  return found;
}
