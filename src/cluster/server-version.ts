/**
 * Which version of nats-server a file is, and whether it is new enough. A version is known only by running the file, so
 * that one which cannot run on this machine is never chosen.
 */
import { FabricError } from '../errors.ts';
import { runProgram } from './program.ts';

/** Atomic batches and message schedules, on which every commit and deadline rests, exist since this version. */
export const minimumVersion = '2.12.0';

/** The release that is downloaded when the machine has no server of its own. */
export const pinnedVersion = '2.15.1';

/** The numbers of `v2.15.1`, `2.15.1` or `2.16.0-RC.1`; undefined for anything else. */
function numbersOf(version: string): readonly [number, number, number] | undefined {
  const match = /^v?(\d+)\.(\d+)\.(\d+)(?:[-+].*)?$/.exec(version);
  return match ? [Number(match[1]), Number(match[2]), Number(match[3])] : undefined;
}

/** Negative, zero or positive, as for sorting. What is not a version counts as older than every version. */
export function compareVersions(a: string, b: string): number {
  const left = numbersOf(a) ?? [-1, 0, 0];
  const right = numbersOf(b) ?? [-1, 0, 0];
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
}

export function isNewEnough(version: string): boolean {
  return compareVersions(version, minimumVersion) >= 0;
}

/**
 * Runs `file --version`; resolves to the version without a leading `v`.
 * @throws FabricError UNAVAILABLE when it does not run, is no nats-server or is older than {@link minimumVersion}.
 */
export async function versionOf(file: string, signal?: AbortSignal): Promise<string> {
  const { stdout } = await runProgram(file, ['--version'], {
    timeoutMs: 10_000,
    env: {},
    ...(signal ? { signal } : {}),
  });
  const version = /nats-server:?\s+v?(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1];
  if (!version) {
    throw new FabricError('UNAVAILABLE', `${file} does not answer --version as a nats-server does`);
  }
  if (!isNewEnough(version)) {
    throw new FabricError('UNAVAILABLE', `${file} is version ${version}, ${minimumVersion} or newer is needed`);
  }
  return version;
}
