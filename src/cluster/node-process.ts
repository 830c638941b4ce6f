/**
 * One running nats-server, either started here or found running. It is started in a session of its own with its output
 * in files: a Ctrl-C on the terminal does not reach it, and it outlives this process, since its memory is the state.
 */
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { FabricError } from '../errors.ts';
import { readProcess } from './process-table.ts';

const pollMs = 200;

/** How a process ended. Both are null for one that is not our child. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface NodeProcess {
  readonly pid: number;
  /** As {@link ProcessInfo.start_time}; null when it ended before it could be read. */
  readonly start_time: string | null;
  readonly exited: Promise<Exit>;
  send(signal: NodeJS.Signals): void;
}

/** @throws FabricError UNAVAILABLE when the binary cannot be run. */
export async function spawnProcess(
  binary: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  outputFile: string,
): Promise<NodeProcess> {
  const output = await open(outputFile, 'a', 0o600);
  try {
    const child = spawn(binary, args, { env, detached: true, stdio: ['ignore', output.fd, output.fd] });
    const exited = new Promise<Exit>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => {
        reject(new FabricError('UNAVAILABLE', `the server ${binary} cannot be run: ${error.message}`));
      });
    });
    child.unref();
    const pid = child.pid ?? 0;
    const info = await readProcess(pid);
    return { pid, start_time: info?.start_time ?? null, exited, send: (signal) => void child.kill(signal) };
  } finally {
    await output.close();
  }
}

/** A process found running, which is watched by asking for it; `startTime` tells it from a later one of the same id. */
export function adoptProcess(pid: number, startTime: string): NodeProcess {
  const exited = (async (): Promise<Exit> => {
    while ((await readProcess(pid))?.start_time === startTime) await delay(pollMs, undefined, { ref: false });
    return { code: null, signal: null };
  })();
  let ended = false;
  void exited.then(() => {
    ended = true;
  });
  const send = (signal: NodeJS.Signals): void => {
    if (ended) return;
    try {
      process.kill(pid, signal);
    } catch {
      // It ended since it was last asked for.
    }
  };
  return { pid, start_time: startTime, exited, send };
}
