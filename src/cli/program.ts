/** Runs one command of a command table: options common to all, help, signals, errors and exit codes. */
import { Command, CommanderError } from 'commander';
import { optionOf } from '../config/reference.ts';
import { type ResolvedConfig, resolveConfig } from '../config/resolve.ts';
import { type SettingKey, settingKeys } from '../config/settings.ts';
import { packageVersion } from '../version.ts';
import { type ExitCode, exitCodes, Output } from './output.ts';

/** What every command is given. */
export interface CommandContext {
  readonly out: Output;
  /** The configuration, from flags, environment and file. @throws FabricError INVALID_REQUEST */
  resolve(): Promise<ResolvedConfig>;
  /** Aborted by Ctrl-C or SIGTERM; another signal after a second ends the process at once. */
  readonly signal: AbortSignal;
}

/** Signals so close to each other count as one, milliseconds. */
const repeatedMs = 1_000;

export type CommandRun = (
  context: CommandContext,
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
) => Promise<ExitCode | undefined>;

/**
 * How a command ends early. A `request` has nothing to clean up: a signal, or a reader of its output that went away, ends
 * it at once. A `run` ends itself when its signal is aborted, which both do. A `service` does so at a signal only.
 */
export type Lifetime = 'request' | 'run' | 'service';

export interface CommandOption {
  /** As the parser takes it: `--name <VALUE>`; `[VALUE]` when the value may be left out. */
  readonly flags: string;
  readonly description: string;
  readonly required?: boolean;
}

/** Of commands that answer page by page. */
export const pageOptions: readonly CommandOption[] = [
  { flags: '--limit <N>', description: 'how many at most, 1 to 1000 (default: 100)' },
  { flags: '--cursor <CURSOR>', description: 'go on after the page before' },
];

export interface CommandSpec {
  /** The words of the command, in lower case, then its arguments, such as `task show <TASK_ID>`. */
  readonly usage: string;
  readonly description: string;
  /** What follows `infrafabric` in the example of its help. */
  readonly example: string;
  /** Settings that only this command depends on. */
  readonly settings?: readonly SettingKey[];
  readonly options?: readonly CommandOption[];
  /** Default `request`. */
  readonly lifetime?: Lifetime;
  /** A command is loaded when it is run. */
  readonly load: () => Promise<CommandRun>;
}

const common: readonly SettingKey[] = ['data_dir', 'servers', 'creds', 'namespace', 'request_timeout_ms', 'log_level'];

/** The words of a command: `task show` of `task show <TASK_ID>`. */
export function nameOf(spec: CommandSpec): string {
  return wordsOf(spec).path.join(' ');
}

/**
 * Runs the command of these arguments (as `process.argv`) and gives the exit code; never throws. `topics` describes the
 * first words of commands of two words.
 */
export async function runCommandLine(
  argv: readonly string[],
  commands: readonly CommandSpec[],
  topics: Readonly<Record<string, string>> = {},
): Promise<ExitCode> {
  const json = argv.includes('--json');
  const interrupt = new AbortController();
  let interruptedAt = 0;
  const stop = () => {
    if (interrupt.signal.aborted) {
      // A later signal forces; one that comes at once is the same again, as when npm passes on what the terminal sent.
      if (performance.now() - interruptedAt > repeatedMs) process.exit(exitCodes.interrupted);
      return;
    }
    interruptedAt = performance.now();
    interrupt.abort(interrupted());
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  let lifetime: Lifetime = 'request';
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    // A reader that went away, such as `head`, ends a command without a word.
    if (lifetime === 'request') process.exit(exitCodes.done);
    if (lifetime === 'run') interrupt.abort(interrupted());
  });
  let exitCode: ExitCode = exitCodes.done;
  const program = new Command('infrafabric')
    .description('Coordination fabric for swarms of AI agents.')
    .version(packageVersion())
    .exitOverride()
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .showHelpAfterError('(--help says more)');
  // With --json the one error line below says it.
  if (json) program.configureOutput({ writeErr: () => {} });
  for (const spec of commands) {
    addCommand(
      program,
      topics,
      spec,
      async (context, args, options) => {
        const run = await spec.load();
        lifetime = spec.lifetime ?? 'request';
        const running = run(context, args, options);
        const ended = lifetime === 'request' ? orInterrupted(running, interrupt.signal) : running;
        exitCode = (await ended) ?? exitCodes.done;
      },
      interrupt.signal,
    );
  }
  try {
    await program.parseAsync([...argv]);
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && !json) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    return outputFor(json).error(error);
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

function interrupted(): Error {
  return Object.assign(new Error('interrupted'), { name: 'AbortError' });
}

async function orInterrupted<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  // Nobody waits for it any more once it was interrupted.
  running.catch(() => {});
  const atAbort = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return await Promise.race([running, atAbort]);
}

function wordsOf(spec: CommandSpec): { path: string[]; args: string[] } {
  const words = spec.usage.split(' ');
  return { path: words.filter((word) => /^[a-z]/.test(word)), args: words.filter((word) => !/^[a-z]/.test(word)) };
}

function addCommand(
  program: Command,
  topics: Readonly<Record<string, string>>,
  spec: CommandSpec,
  run: (...given: Parameters<CommandRun>) => Promise<void>,
  signal: AbortSignal,
): void {
  const { path, args } = wordsOf(spec);
  let parent = program;
  for (const word of path.slice(0, -1)) {
    const known = parent.commands.find((command) => command.name() === word);
    parent = known ?? parent.command(word).description(topics[word] ?? word);
  }
  const command = parent.command([path.at(-1), ...args].join(' ')).description(spec.description);
  for (const { flags, description, required } of spec.options ?? []) {
    if (required) command.requiredOption(flags, description);
    else command.option(flags, description);
  }
  const heeded = [...(spec.settings ?? []), ...common];
  for (const key of heeded) {
    const { flags, description } = optionOf(key);
    command.option(flags, description);
  }
  command.option(
    '--config <FILE>',
    'configuration file; default infrafabric.yaml in the working directory, if it exists',
  );
  command.option('--json', 'print JSON for programs instead of text for people');
  command.addHelpText('after', `\nExample:\n  infrafabric ${spec.example}`);
  command.action(async (...given: unknown[]) => {
    const options = command.opts<Record<string, unknown>>();
    const positional = given.slice(0, -2).flatMap((arg) => (arg === undefined ? [] : (arg as string | string[])));
    let resolved: Promise<ResolvedConfig> | undefined;
    const context: CommandContext = {
      out: outputFor(options['json'] === true),
      signal,
      resolve: async () => {
        resolved ??= resolveFrom(options, heeded);
        return await resolved;
      },
    };
    await run(context, positional, options);
  });
}

/** Options that are settings of other commands are this command's own, such as `--lease-ms` of `task create`. */
async function resolveFrom(options: Record<string, unknown>, heeded: readonly SettingKey[]): Promise<ResolvedConfig> {
  const others = new Set(settingKeys.filter((key) => !heeded.includes(key)).map(camelCase));
  const flags = Object.fromEntries(Object.entries(options).filter(([name]) => !others.has(name)));
  const configFile = options['config'];
  const file = typeof configFile === 'string' ? { configFile } : {};
  return await resolveConfig({ flags, env: process.env, cwd: process.cwd(), ...file });
}

function camelCase(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function outputFor(json: boolean): Output {
  return new Output({ json, stdout: process.stdout, stderr: process.stderr });
}
