/**
 * The project's cache of server binaries, one file per version and platform. Files appear by an atomic rename, so that
 * any number of processes may fill it at once and nobody ever runs half a file.
 */
import { chmod, copyFile, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { FabricError } from '../errors.ts';
import { compareVersions, pinnedVersion, versionOf } from './server-version.ts';

const temporaryPrefix = '.unpack-';
const abandonedAfterMs = 60 * 60 * 1000;

/** `IF_CACHE_DIR`, else `infrafabric` in the user's cache folder. */
export function defaultCacheDir(env: NodeJS.ProcessEnv): string {
  if (env['IF_CACHE_DIR']) return env['IF_CACHE_DIR'];
  const base = env['XDG_CACHE_HOME'];
  // The XDG rules say that a relative path there is to be ignored.
  return join(base && isAbsolute(base) ? base : join(env['HOME'] || homedir(), '.cache'), 'infrafabric');
}

export class BinaryCache {
  readonly dir: string;
  readonly #suffix: string;

  constructor(dir: string) {
    this.dir = dir;
    this.#suffix = `-${process.platform}-${process.arch}`;
  }

  /** Versions in the cache for this machine: the pinned one first, then newest first. */
  async versions(): Promise<Array<{ version: string; path: string }>> {
    const names = await readdir(this.dir).catch(() => []);
    return names
      .filter((name) => name.startsWith('nats-server-') && name.endsWith(this.#suffix))
      .map((name) => ({
        version: name.slice('nats-server-'.length, -this.#suffix.length),
        path: join(this.dir, name),
      }))
      .sort(
        (a, b) =>
          Number(b.version === pinnedVersion) - Number(a.version === pinnedVersion) ||
          compareVersions(b.version, a.version),
      );
  }

  /** A folder of one's own inside the cache, removed after `use`. Folders that a crash left behind are removed too. */
  async withTemporary<T>(use: (dir: string) => Promise<T>): Promise<T> {
    await mkdir(this.dir, { recursive: true, mode: 0o700 }).catch((error: Error) => {
      throw new FabricError('UNAVAILABLE', `the cache ${this.dir} cannot be made: ${error.message}`);
    });
    await this.#removeAbandoned();
    const dir = await mkdtemp(join(this.dir, temporaryPrefix));
    try {
      return await use(dir);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }

  /**
   * Takes a binary into the cache after running it once.
   * @throws FabricError UNAVAILABLE when it does not run here or is too old.
   */
  async add(file: string, signal?: AbortSignal): Promise<{ version: string; path: string }> {
    return this.withTemporary(async (dir) => {
      const candidate = join(dir, 'nats-server');
      await copyFile(file, candidate);
      await chmod(candidate, 0o755);
      const version = await versionOf(candidate, signal);
      const path = join(this.dir, `nats-server-${version}${this.#suffix}`);
      await rename(candidate, path);
      return { version, path };
    });
  }

  async #removeAbandoned(): Promise<void> {
    for (const name of await readdir(this.dir)) {
      if (!name.startsWith(temporaryPrefix)) continue;
      const path = join(this.dir, name);
      const age = await stat(path).then(
        (found) => Date.now() - found.mtimeMs,
        () => 0,
      );
      if (age > abandonedAfterMs) await rm(path, { recursive: true, force: true });
    }
  }
}
