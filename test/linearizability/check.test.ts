import { describe, expect, it } from 'vitest';
import { checkHistory, checkKey } from './check.ts';
import type { Model, Operation } from './history.ts';

/** One number that is written and read. */
type RegisterOperation = Operation<number | null, number | null> & { readonly op: 'write' | 'read' };

const register: Model<number, RegisterOperation> = {
  initial: 0,
  step(value, { op, input, output }) {
    if (op === 'write') return input ?? 0;
    return output === undefined || output === value ? value : undefined;
  },
  drift: () => [],
  identity: String,
};

function write(value: number, call: number, end: number, key = 'x'): RegisterOperation {
  const isLost = end === Number.POSITIVE_INFINITY;
  return { process: 'w', op: 'write', key, input: value, output: isLost ? undefined : null, call, return: end };
}

function read(value: number, call: number, end: number, key = 'x'): RegisterOperation {
  return { process: 'r', op: 'read', key, input: null, output: value, call, return: end };
}

const never = Number.POSITIVE_INFINITY;
const ok = (...history: RegisterOperation[]) => checkHistory(history, register).ok;

describe('the check of a history', () => {
  it('accepts what happened one after the other', () => {
    expect(ok(write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7))).toBe(true);
  });

  it('rejects a read of what was overwritten before it began', () => {
    expect(ok(write(1, 0, 1), write(2, 2, 3), read(1, 4, 5))).toBe(false);
  });

  it('lets operations that overlap happen in any order, but in one', () => {
    expect(ok(write(1, 0, 10), write(2, 0, 10), read(2, 11, 12), read(2, 13, 14))).toBe(true);
    expect(ok(write(1, 0, 10), write(2, 0, 10), read(1, 11, 12), read(1, 13, 14))).toBe(true);
    expect(ok(write(1, 0, 10), write(2, 0, 10), read(1, 11, 12), read(2, 13, 14))).toBe(false);
  });

  it('rejects a read that goes back behind another read, although both overlap the write', () => {
    expect(ok(write(1, 0, 100), read(1, 10, 20), read(0, 30, 40))).toBe(false);
    expect(ok(write(1, 0, 100), read(0, 10, 20), read(1, 30, 40))).toBe(true);
  });

  it('lets an operation without an answer take effect late, or never, but not twice', () => {
    expect(ok(write(1, 0, never), read(0, 10, 20), read(1, 30, 40))).toBe(true);
    expect(ok(write(1, 0, never), read(0, 10, 20))).toBe(true);
    expect(ok(write(1, 0, never), read(1, 10, 20), write(2, 21, 22), read(1, 30, 40))).toBe(false);
    expect(ok(read(1, 10, 20), write(1, 30, never))).toBe(false);
  });

  it('checks each key by itself and names those that are wrong, with how far it came', () => {
    const history = [write(1, 0, 1, 'a'), read(1, 2, 3, 'a'), write(1, 0, 1, 'b'), read(0, 2, 3, 'b')];
    const verdict = checkHistory(history, register);
    expect(verdict).toMatchObject({ ok: false, keys: 2, operations: 4, undecided: [] });
    expect(verdict.violations).toEqual([{ key: 'b', placed: [history[2]], state: 1, stuck: [history[3]] }]);
  });

  it('takes operations in any order', () => {
    expect(ok(read(2, 6, 7), write(2, 4, 5), write(1, 0, 1), read(1, 2, 3))).toBe(true);
  });

  it('finds the one order of ten writes at once that explains the reads', () => {
    const writes = Array.from({ length: 10 }, (_, i) => write(i, 0, 1_000));
    const reads = Array.from({ length: 10 }, (_, i) => read((i * 7) % 10, 10 * i + 1, 10 * i + 2));
    expect(ok(...writes, ...reads)).toBe(true);
    expect(ok(...writes, ...reads, read(0, 300, 310))).toBe(false);
  });

  it('says that it does not know when it gives up', () => {
    const writes = Array.from({ length: 16 }, (_, i) => write(i, 0, 1_000));
    expect(checkKey([...writes, read(99, 1, 2)], register, 50)).toMatchObject({ ok: undefined });
  });
});
