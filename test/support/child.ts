/** Runs a TypeScript program of the tests in a process of its own, for what only a real process can show. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const loader = fileURLToPath(new URL('./typescript-loader.mjs', import.meta.url));

/** In a process group of its own. Standard output is piped, errors go to the test's own. */
export function spawnTypeScript(
  program: URL,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): ChildProcess {
  return spawn(process.execPath, ['--import', loader, fileURLToPath(program), ...args], {
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** The first line of standard output; fails when the process ends without one. */
export function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end >= 0) resolve(text.slice(0, end));
    });
    child.once('error', reject);
    child.once('close', (code, signal) => reject(new Error(`the process ended (${code ?? signal}) after: ${text}`)));
  });
}

/** Resolves with the exit code, or the name of the signal. */
export function ended(child: ChildProcess): Promise<number | string> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve(child.exitCode ?? child.signalCode ?? -1);
  }
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal ?? -1)));
}
