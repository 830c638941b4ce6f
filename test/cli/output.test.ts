import { Command, CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { type Code, codes } from '../../machines/codes.ts';
import { exitCodeOf, Output } from '../../src/cli/output.ts';
import { FabricError } from '../../src/errors.ts';

function record(options: { json: boolean; columns?: number }) {
  const written = { out: '', err: '' };
  const terminal =
    options.columns === undefined ? {} : { isTTY: true, columns: options.columns, hasColors: () => false };
  const stdout = { write: (text: string) => (written.out += text), ...terminal };
  const output = new Output({ json: options.json, stdout, stderr: { write: (text: string) => (written.err += text) } });
  return { output, written };
}

describe('with --json', () => {
  it('stdout is exactly one JSON document; tables and lines are silent, notes go to stderr', () => {
    const { output, written } = record({ json: true });
    output.note('working');
    output.table([{ key: 'a' }], [{ a: 1 }]);
    output.line('done');
    output.data({ a: [1, null], b: 'x\ny' });
    expect(JSON.parse(written.out)).toEqual({ a: [1, null], b: 'x\ny' });
    expect(written.err).toBe('working\n');
    expect(() => output.data(1)).toThrow('one JSON document');
    expect(() => output.item(1)).toThrow('not both');
  });

  it('a result that is nothing is null', () => {
    const { output, written } = record({ json: true });
    output.data(undefined);
    expect(written.out).toBe('null\n');
  });

  it('a series without an end is one line of JSON each', () => {
    const { output, written } = record({ json: true });
    output.item({ n: 1 });
    output.item({ n: 2 });
    expect(written.out).toBe('{"n":1}\n{"n":2}\n');
  });

  it('control characters are escaped and the value stays the same', () => {
    const value = { key: '\u001b[2J\u009b31m\u007f\u202e\u{e0041}\ud800 é 漢 💾' };
    const { output, written } = record({ json: true });
    output.data(value);
    expect(written.out).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}\p{Cs}]/u);
    expect(JSON.parse(written.out)).toEqual(value);
  });

  it('an error is one line of JSON on stderr', () => {
    const { output, written } = record({ json: true });
    expect(output.error(new FabricError('TASK_NOT_FOUND', 'no task "x"', { task_id: 'x' }))).toBe(1);
    expect(written.out).toBe('');
    expect(JSON.parse(written.err)).toEqual({
      error: { code: 'TASK_NOT_FOUND', message: 'no task "x"', retryable: false, details: { task_id: 'x' } },
    });
  });
});

describe('for people', () => {
  it('tables and lines go to stdout, data is silent, agents\u2019 text is escaped', () => {
    const { output, written } = record({ json: false });
    output.data({ secret: true });
    output.item({ secret: true });
    output.table([{ key: 'a' }], [], 'no tasks');
    output.line('a\u001b[2J');
    output.note('b\u001b[2J');
    expect(written).toEqual({ out: 'no tasks\na\\x1b[2J\n', err: 'b\\x1b[2J\n' });
  });

  it('a table fits the terminal, and is whole in a pipe', () => {
    const rows = [{ a: 'x'.repeat(50) }];
    const narrow = record({ json: false, columns: 20 });
    narrow.output.table([{ key: 'a' }], rows);
    expect(narrow.written.out).toBe(`A\n${'x'.repeat(19)}…\n`);
    const piped = record({ json: false });
    piped.output.table([{ key: 'a' }], rows);
    expect(piped.written.out).toContain('x'.repeat(50));
  });

  it('an error is a sentence with its code, also an unforeseen one', () => {
    const { output, written } = record({ json: false });
    expect(output.error(new FabricError('UNAVAILABLE', 'no server answers'))).toBe(3);
    expect(output.error(new TypeError('x is undefined'))).toBe(3);
    expect(output.error(Object.assign(new Error('stop'), { name: 'AbortError' }))).toBe(130);
    expect(written.err).toBe('error: no server answers (UNAVAILABLE)\nerror: x is undefined (INTERNAL)\ninterrupted\n');
  });
});

describe('exit codes', () => {
  it('are 2 for bad input, 3 where nothing is known, 1 for every other refusal', () => {
    const expected: Partial<Record<Code, number>> = {
      INVALID_REQUEST: 2,
      PAYLOAD_TOO_LARGE: 2,
      TIMEOUT: 3,
      UNAVAILABLE: 3,
      INTERNAL: 3,
    };
    for (const code of Object.keys(codes) as Code[])
      expect(exitCodeOf(new FabricError(code, 'x')), code).toBe(expected[code] ?? 1);
  });

  it('are 0 for the help and 2 for wrong usage of the command line', () => {
    const parse = (...args: string[]): unknown => {
      const quiet = { writeOut: () => {}, writeErr: () => {} };
      try {
        return new Command().exitOverride().configureOutput(quiet).version('1').parse(args, { from: 'user' });
      } catch (error) {
        expect(error).toBeInstanceOf(CommanderError);
        return error;
      }
    };
    expect(exitCodeOf(parse('--help'))).toBe(0);
    expect(exitCodeOf(parse('--version'))).toBe(0);
    expect(exitCodeOf(parse('--nonsense'))).toBe(2);
  });

  it('are 130 for an interrupted command and 3 for an unforeseen failure', () => {
    const controller = new AbortController();
    controller.abort();
    expect(exitCodeOf(controller.signal.reason)).toBe(130);
    for (const thrown of [new Error('x'), 'x', undefined, null]) expect(exitCodeOf(thrown)).toBe(3);
  });
});
