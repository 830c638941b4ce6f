/**
 * Runs one program of the machine (tar, apt-get, a server that is asked for its version) to its end. Output is bounded,
 * time is limited, and an abort or a time-out ends the program with everything that it started.
 */
import { spawn } from 'node:child_process';
import { FabricError } from '../errors.ts';

const maxOutput = 64 * 1024;

export interface ProgramOptions {
  readonly timeoutMs: number;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly signal?: AbortSignal;
}

/**
 * Resolves with what the program printed (the last 64 KiB of each stream) when it exits with 0.
 * @throws FabricError UNAVAILABLE when it is missing, fails, takes too long or is aborted; the message ends with its last
 * line of complaint.
 */
export function runProgram(
  file: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    if (options.signal?.aborted) return reject(new FabricError('UNAVAILABLE', `${file} was not run: interrupted`));
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let stdout = '';
    let stderr = '';
    let stopped: string | undefined;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout = (stdout + text).slice(-maxOutput);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-maxOutput);
    });
    const stop = (why: string): void => {
      stopped = why;
      killGroup(child.pid);
    };
    const timer = setTimeout(() => stop(`took longer than ${options.timeoutMs / 1000} s`), options.timeoutMs);
    const onAbort = (): void => stop('was interrupted');
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const settle = (failure: string | undefined): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      if (failure === undefined) resolve({ stdout, stderr });
      else reject(new FabricError('UNAVAILABLE', `${file} ${failure}`));
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      settle(error.code === 'ENOENT' ? 'is not there' : `cannot be run: ${error.message}`);
    });
    child.once('close', (code, signal) => {
      if (stopped) settle(stopped);
      else if (code === 0) settle(undefined);
      else settle(`failed (${code === null ? signal : `exit code ${code}`})${complaint(stderr || stdout)}`);
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself in the meantime.
  }
}

function complaint(output: string): string {
  const lines = output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const line = lines.find((candidate) => /^(E:|Err:|error)/i.test(candidate)) ?? lines.at(-1);
  return line === undefined ? '' : `: ${line.slice(0, 300)}`;
}
