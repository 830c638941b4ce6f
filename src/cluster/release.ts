/**
 * The release archive of the pinned server version. It is unpacked only after its SHA-256 equals the one that the
 * release publishes.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { FabricError } from '../errors.ts';
import { runProgram } from './program.ts';

/** Folder of the published releases; `v<version>/<file>` follows. */
export const releaseBaseUrl = 'https://github.com/nats-io/nats-server/releases/download';

const answerTimeoutMs = 5_000;
const transferTimeoutMs = 180_000;
const maxArchiveBytes = 128 * 1024 * 1024;

export interface ReleaseOptions {
  readonly baseUrl: string;
  readonly version: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
  readonly onProgress: (line: string) => void;
}

/** The name under which the release for this machine is published, without `.tar.gz`; undefined where there is none. */
export function releaseName(version: string, platform: string, arch: string): string | undefined {
  const machine = { x64: 'amd64', arm64: 'arm64' }[arch];
  if (!machine || !['linux', 'darwin'].includes(platform)) return undefined;
  return `nats-server-v${version}-${platform}-${machine}`;
}

/**
 * Downloads, verifies and unpacks into `dir`; resolves to the path of the binary there.
 * @throws FabricError UNAVAILABLE when it cannot be reached, is not what the release says, or does not unpack.
 */
export async function unpackRelease(dir: string, options: ReleaseOptions): Promise<string> {
  const name = releaseName(options.version, process.platform, process.arch);
  if (!name) throw new FabricError('UNAVAILABLE', `there is no release for ${process.platform} ${process.arch}`);
  const folder = `${options.baseUrl}/v${options.version}`;
  const expected = checksumOf(await readSums(`${folder}/SHA256SUMS`, options.signal), `${name}.tar.gz`);

  const url = `${folder}/${name}.tar.gz`;
  options.onProgress(`downloading ${url}`);
  const archive = join(dir, 'release.tar.gz');
  const actual = await download(url, archive, options.signal);
  if (actual !== expected) {
    throw new FabricError('UNAVAILABLE', `the checksum of ${url} is ${actual}, its release says ${expected}: not used`);
  }
  const member = `${name}/nats-server`;
  await runProgram('tar', ['-xzf', archive, '-C', dir, member], {
    timeoutMs: 60_000,
    env: { PATH: options.env['PATH'] },
    ...(options.signal ? { signal: options.signal } : {}),
  });
  return join(dir, member);
}

/** The line of a SHA256SUMS file that is about `file`. */
function checksumOf(sums: string, file: string): string {
  for (const line of sums.split('\n')) {
    const match = /^([0-9a-f]{64})[ \t]+\*?(\S+)\s*$/i.exec(line);
    if (match?.[1] && match[2] === file) return match[1].toLowerCase();
  }
  throw new FabricError('UNAVAILABLE', `the release publishes no checksum of ${file}`);
}

async function readSums(url: string, signal: AbortSignal | undefined): Promise<string> {
  const response = await request(url, signal);
  return (await response.text().catch((error: unknown) => unreachable(url, error))).slice(0, 1_000_000);
}

/** Writes the body to `file`; resolves to its SHA-256 in hex. */
async function download(url: string, file: string, signal: AbortSignal | undefined): Promise<string> {
  const response = await request(url, signal);
  const hash = createHash('sha256');
  const out = await open(file, 'wx', 0o600);
  let size = 0;
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.byteLength;
      if (size > maxArchiveBytes) throw new Error(`it is larger than ${maxArchiveBytes} bytes`);
      hash.update(chunk);
      await out.write(chunk);
    }
  } catch (error) {
    return unreachable(url, error);
  } finally {
    await out.close();
  }
  return hash.digest('hex');
}

/** The host must answer at once: a machine without a way out should not wait before the next source is tried. */
async function request(url: string, signal: AbortSignal | undefined): Promise<Response> {
  const slow = new AbortController();
  const timer = setTimeout(
    () => slow.abort(new Error(`no answer within ${answerTimeoutMs / 1000} s`)),
    answerTimeoutMs,
  );
  const signals = [slow.signal, AbortSignal.timeout(transferTimeoutMs), ...(signal ? [signal] : [])];
  try {
    const response = await fetch(url, { signal: AbortSignal.any(signals) });
    if (response.status !== 200) throw new Error(`the answer is HTTP ${response.status}`);
    return response;
  } catch (error) {
    return unreachable(url, error);
  } finally {
    clearTimeout(timer);
  }
}

function unreachable(url: string, error: unknown): never {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const why = cause instanceof Error ? cause.message : String(cause);
  throw new FabricError('UNAVAILABLE', `${url} cannot be read: ${why}`, undefined, { cause: error });
}
