/**
 * Where a command writes. Results go to stdout: for people as tables and lines, with `--json` as exactly one JSON
 * document. Progress and errors go to stderr. A command calls both `data` and its form for people; each is silent in the
 * other's mode.
 */
import { type Code, codes } from '../../machines/codes.ts';
import { FabricError, toWireError, type WireError } from '../errors.ts';
import { type Cell, type Column, renderTable } from './table.ts';
import { escapeControls, escapeJsonControls } from './terminal-text.ts';

/** How a command ends. Set as `process.exitCode`, so that what was written to a pipe gets through. */
export const exitCodes = {
  /** It was done. */
  done: 0,
  /** The answer is no: verification failed, task not claimed, policy denies, a request refused. */
  no: 1,
  /** Wrong usage or input. */
  usage: 2,
  /** Not reachable, timed out, or failed without an answer. */
  unreachable: 3,
  /** Interrupted by Ctrl-C. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Codes that are about the input; those that leave the effect open are `unreachable`, all others say no. */
const inputCodes: ReadonlySet<Code> = new Set<Code>(['INVALID_REQUEST', 'PAYLOAD_TOO_LARGE']);

/** The exit code of a command that ended with this error. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof FabricError) {
    if (inputCodes.has(error.code)) return exitCodes.usage;
    return codes[error.code].effect === 'unknown' ? exitCodes.unreachable : exitCodes.no;
  }
  if (error instanceof Error && error.name === 'AbortError') return exitCodes.interrupted;
  // The parser of the command line throws for --help and --version too, with exit code 0.
  const parser = parserError(error);
  if (parser) return parser.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  return exitCodes.unreachable;
}

function parserError(error: unknown): { exitCode: number } | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('exitCode' in error)) return undefined;
  const { code, exitCode } = error;
  return typeof code === 'string' && code.startsWith('commander.') && typeof exitCode === 'number'
    ? { exitCode }
    : undefined;
}

/** What is needed of stdout and stderr. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  hasColors?(): boolean;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly stdout: Sink;
  readonly stderr: Sink;
}

export class Output {
  readonly json: boolean;
  readonly #stdout: Sink;
  readonly #stderr: Sink;
  #written: 'nothing' | 'document' | 'lines' = 'nothing';

  constructor({ json, stdout, stderr }: OutputOptions) {
    this.json = json;
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  /** The result. With `--json` the one document of stdout, so there is only one; for people nothing. */
  data(value: unknown): void {
    if (!this.json) return;
    if (this.#written !== 'nothing') throw new Error('a command prints one JSON document, this is a second one');
    this.#written = 'document';
    this.#stdout.write(`${escapeJsonControls(JSON.stringify(value ?? null, null, 2))}\n`);
  }

  /** One of a series of results without an end (`--watch`). With `--json` one line of JSON each; for people nothing. */
  item(value: unknown): void {
    if (!this.json) return;
    if (this.#written === 'document') throw new Error('a command prints one JSON document or lines of JSON, not both');
    this.#written = 'lines';
    this.#stdout.write(`${escapeJsonControls(JSON.stringify(value ?? null))}\n`);
  }

  /** A table for people; `empty` is what is said when it has no rows. With `--json` nothing. */
  table<Key extends string>(
    columns: readonly Column<Key>[],
    rows: readonly Readonly<Partial<Record<Key, Cell>>>[],
    empty?: string,
  ): void {
    if (this.json) return;
    const { isTTY = false, columns: width } = this.#stdout;
    const color = isTTY && (this.#stdout.hasColors?.() ?? false);
    this.#stdout.write(
      `${renderTable(columns, rows, { color, width: isTTY ? width : undefined, ...(empty === undefined ? {} : { empty }) })}\n`,
    );
  }

  /** A line for people; what agents wrote in it is escaped. With `--json` nothing. */
  line(text: string): void {
    if (!this.json) this.#stdout.write(`${escapeControls(text)}\n`);
  }

  /** Text of our own making that people pass on as it is, such as credentials or a diagram. With `--json` nothing. */
  text(text: string): void {
    if (!this.json) this.#stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  }

  /** A line of progress or advice, on stderr in both modes. */
  note(line: string): void {
    this.#stderr.write(`${escapeControls(line)}\n`);
  }

  /** The error that ends a command, on stderr: a sentence, with `--json` one line `{"error": {...}}`. Gives the exit code. */
  error(error: unknown): ExitCode {
    const exitCode = exitCodeOf(error);
    if (exitCode === exitCodes.done) return exitCode;
    if (exitCode === exitCodes.interrupted) {
      this.note('interrupted');
      return exitCode;
    }
    const wire = describe(error);
    // The parser of the command line has already said what is wrong, except to programs.
    if (this.json) this.#stderr.write(`${escapeJsonControls(JSON.stringify({ error: wire }))}\n`);
    else if (!parserError(error))
      for (const line of `error: ${wire.message} (${wire.code})`.split('\n')) this.note(line);
    return exitCode;
  }
}

/** Unlike a service, the command line runs on the user's machine: an unforeseen error is shown. */
function describe(error: unknown): WireError {
  if (error instanceof FabricError) return toWireError(error);
  const message = (error instanceof Error ? error.message || error.name : String(error)).replace(/^error: /, '');
  const code: Code = parserError(error) ? 'INVALID_REQUEST' : 'INTERNAL';
  return { code, message, retryable: codes[code].retryable };
}
