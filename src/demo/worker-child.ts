/** A worker of the demo as a child process: started, instructed, listened to, and ended by its id. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FabricError } from '../errors.ts';
import { packageRoot } from '../package-root.ts';
import type { WorkerEvent } from '../sdk/worker.ts';
import type { FromWorker, Raced, ToWorker } from './worker-messages.ts';

export interface WorkerChildOptions {
  readonly swarmId: string;
  readonly onEvent: (event: WorkerEvent) => void;
  /** It ended without being told to. */
  readonly onCrash: (reason: FabricError) => void;
}

/** How long a worker may take to stop by itself, milliseconds. */
const graceMs = 3_000;

export class WorkerChild {
  readonly swarmId: string;
  /** Resolves when the swarm is registered; never when the process ends before that, which `onCrash` tells. */
  readonly joined: Promise<void>;
  /** Resolves when it has run in a race, as `joined` does. */
  readonly raced: Promise<Raced>;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #stopping = false;

  /** @throws FabricError INTERNAL when the package was not built */
  constructor({ swarmId, onEvent, onCrash }: WorkerChildOptions) {
    this.swarmId = swarmId;
    const program = join(packageRoot(), 'dist', 'src', 'demo', 'worker-process.js');
    if (!existsSync(program))
      throw new FabricError('INTERNAL', `${program} is missing; build the package with \`npm run build\``);
    this.#child = spawn(process.execPath, [program, swarmId], {
      // A group of its own: a Ctrl-C on the terminal is for the parent to handle.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let lastWords = '';
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      lastWords = (lastWords + text).slice(-2_000);
    });
    let hasJoined: () => void = () => {};
    this.joined = new Promise((resolve) => {
      hasJoined = resolve;
    });
    let hasRaced: (raced: Raced) => void = () => {};
    this.raced = new Promise((resolve) => {
      hasRaced = resolve;
    });
    this.#child.on('message', (message: FromWorker) => {
      if ('joined' in message) hasJoined();
      else if ('raced' in message) hasRaced(message.raced);
      else if ('event' in message) onEvent(message.event);
      else lastWords = message.failed;
    });
    this.#ended = new Promise((resolve) => {
      const end = (how: string) => {
        resolve();
        const words = lastWords.trim() === '' ? '' : `: ${lastWords.trim()}`;
        if (!this.#stopping)
          onCrash(
            new FabricError(
              'INTERNAL',
              `the worker ${swarmId} (process ${this.pid}) ended before its work was done: ${how}${words}`,
            ),
          );
      };
      this.#child.once('error', (error) => end(error.message));
      this.#child.once('close', (code, signal) => end(signal ? `ended by ${signal}` : `exit code ${code}`));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  send(message: ToWorker): void {
    // A worker that is just ending is told of by `onCrash`.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  /** Ends it at once, in the middle of whatever it does. */
  kill(): void {
    this.#stopping = true;
    this.#child.kill('SIGKILL');
  }

  /** Resolves when the process is gone: after the task in hand, or by force. */
  async stop(graceful: boolean): Promise<void> {
    this.#stopping = true;
    if (graceful) this.send({ stop: true });
    else this.#child.kill('SIGKILL');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), graceMs);
    await this.#ended;
    clearTimeout(timer);
  }
}
