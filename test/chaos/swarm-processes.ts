/** The swarms of a chaos run, each a process that is started again whenever it ends before it was told to. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface SwarmOptions {
  readonly name: string;
  /** A file of `programs/`. */
  readonly program: string;
  /** What it is told besides its credentials. */
  readonly instructions: Readonly<Record<string, unknown>>;
  readonly servers: readonly string[];
  readonly credsOf: (name: string) => Promise<string>;
  /** Where the requests of its processes are written down. */
  readonly logDir: string;
  readonly onMessage?: (message: Readonly<Record<string, unknown>>) => void;
  /** It ended by itself, and says why. */
  readonly onFailure: (name: string, reason: string) => void;
}

/** How long a process may take to stop when it is told to, milliseconds. */
const graceMs = 10_000;

export class SwarmProcess {
  readonly #options: SwarmOptions;
  #child: ChildProcess | undefined;
  #processes = 0;
  /** A swarm whose circuit is open does nothing until an operator resets it: its successor has another name. */
  #generation = 0;
  #stopping = false;
  #restart: NodeJS.Timeout | undefined;
  #starting: Promise<void> = Promise.resolve();

  constructor(options: SwarmOptions) {
    this.#options = options;
    this.#start();
  }

  get name(): string {
    const { name } = this.#options;
    return this.#generation === 0 ? name : `${name}-${this.#generation}`;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Ends the process; the next one is another swarm. */
  succeed(): void {
    this.#generation++;
    this.#child?.kill('SIGKILL');
  }

  /** Lets it finish what it has in hand; resolves when its process is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    await this.#starting;
    const child = this.#child;
    if (!child) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    if (child.connected) child.send('stop', () => {});
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    await gone;
    clearTimeout(timer);
  }

  #start(): void {
    this.#starting = this.#launch().catch((error: unknown) => this.#options.onFailure(this.name, String(error)));
  }

  async #launch(): Promise<void> {
    const { program, instructions, servers, credsOf, logDir, onMessage } = this.#options;
    const { name } = this;
    const creds = await credsOf(name);
    if (this.#stopping) return;
    const path = fileURLToPath(new URL(`./programs/${program}`, import.meta.url));
    const child = fork(path, [name], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] });
    this.#child = child;
    const log = join(logDir, `${name}-${this.#processes++}.jsonl`);
    child.send({ ...instructions, servers, creds, log }, () => {});
    child.on('message', (message: Readonly<Record<string, unknown>>) => {
      if (typeof message['failed'] === 'string') this.#options.onFailure(name, message['failed']);
      if (message['done']) this.#stopping = true;
      onMessage?.(message);
    });
    child.once('exit', () => {
      this.#child = undefined;
      if (!this.#stopping) this.#restart = setTimeout(() => this.#start(), 300);
    });
  }
}
