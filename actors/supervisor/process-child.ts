/**
 * A service in a process of its own. What it needs, credentials included, goes to it over the IPC channel, never in its
 * arguments; when this process dies the channel closes and the child ends itself.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Child, StartChild } from './child.ts';

export interface ProcessChildOptions<Instructions> {
  /** The JavaScript file to run. */
  readonly program: string;
  /** Its arguments; everybody on the machine can read them. */
  readonly args: readonly string[];
  /** Sent to the process as soon as they are known; until then it can prepare itself. */
  readonly instructions: () => Promise<Instructions>;
  /** Where its output goes. */
  readonly logFile: string;
  /** How long a stop may take before it is forced, milliseconds. Default 8,000. */
  readonly stopTimeoutMs?: number;
}

/** What the child tells. */
export type ChildMessage = { readonly ready: true } | { readonly failed: string };

/** A log larger than this is set aside when a service starts, bytes. */
const logLimit = 10 * 1024 * 1024;

export function processChild<Instructions>(options: ProcessChildOptions<Instructions>): StartChild {
  return (): Child => {
    const log = openLog(options.logFile);
    // A group of its own: a Ctrl-C on the terminal is for the parent to handle.
    const child = spawn(process.execPath, ['--enable-source-maps', options.program, ...options.args], {
      stdio: ['ignore', log, log, 'ipc'],
      detached: true,
    });
    if (log !== 'ignore') closeSync(log);
    let lastWords: string | undefined;
    const ended = new Promise<string>((resolve) => {
      child.on('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => resolve(lastWords ?? (signal ? `ended by ${signal}` : `exit code ${code}`)));
    });
    const ready = new Promise<void>((resolve, reject) => {
      child.on('message', (message: ChildMessage) => {
        if ('failed' in message) lastWords = message.failed;
        else resolve();
      });
      void ended.then((reason) => reject(new Error(reason)));
    });
    ready.catch(() => {});
    instruct(child, options.instructions);
    return {
      pid: child.pid ?? 0,
      ready,
      ended,
      stop: async (graceMs) => await stop(child, ended, graceMs ?? options.stopTimeoutMs ?? 8_000),
    };
  };
}

function instruct<Instructions>(child: ChildProcess, instructions: () => Promise<Instructions>): void {
  instructions().then(
    (message) => child.connected && child.send(message as object),
    // Without instructions it can only end; its parent sees that and says why.
    () => child.kill('SIGKILL'),
  );
}

async function stop(child: ChildProcess, ended: Promise<string>, timeoutMs: number): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  await ended;
  clearTimeout(timer);
}

/** Without a log, as on a disk that cannot be written, a service is better than no service. */
function openLog(file: string): number | 'ignore' {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    if (size > logLimit) renameSync(file, `${file}.1`);
    return openSync(file, 'a', 0o600);
  } catch {
    return 'ignore';
  }
}
