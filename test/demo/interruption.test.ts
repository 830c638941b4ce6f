import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { orInterrupted } from '../../src/demo/interruption.ts';
import { ended, spawnTypeScript } from '../support/child.ts';
import { until } from '../support/temp.ts';

const program = new URL('./interrupted-program.ts', import.meta.url);
const nothing = () => {};

describe('an interruption', () => {
  it('wins against whatever fails after it, also where nobody waits, and the clean-up is done', async () => {
    const child = spawnTypeScript(program, []);
    let stdout = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    await until('it runs', () => stdout.includes('running'));
    const closed = once(child, 'close');
    child.kill('SIGINT');
    expect(await ended(child)).toBe(0);
    await closed;
    const [, cleanedUp, told] = stdout.split('\n');
    expect(cleanedUp).toBe('cleaned up');
    expect(JSON.parse(told!)).toEqual({
      ending: 'interrupted',
      failures: ['a connection was lost', 'rejected unseen', 'thrown by a callback'],
    });
  });

  it('leaves no result, even of work that was over when it came', async () => {
    const interrupt = new AbortController();
    const run = async () => {
      interrupt.abort(new Error('interrupted'));
      return 'a result';
    };
    await expect(orInterrupted(interrupt.signal, nothing, run)).rejects.toThrow('interrupted');
  });

  it('that does not come changes neither a result nor an error', async () => {
    const { signal } = new AbortController();
    expect(await orInterrupted(signal, nothing, async () => 'a result')).toBe('a result');
    const failing = orInterrupted(signal, nothing, async () => await Promise.reject(new Error('no disk')));
    await expect(failing).rejects.toThrow('no disk');
  });
});
