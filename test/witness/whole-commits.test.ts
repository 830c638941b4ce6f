import { type JsMsg, jetstreamManager } from '@nats-io/jetstream';
import { headers } from '@nats-io/nats-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readHeaders } from '../../actors/witness/log-headers.ts';
import { type Delivered, wholeCommits } from '../../actors/witness/whole-commits.ts';
import { startFabric, type TestFabric } from '../coordinator/in-process.ts';

/** Each letter is an atomic commit of as many messages, a capital its last one, a dot a message by itself. */
function messages(text: string): Delivered[] {
  return [...text].map((letter) => {
    if (letter === '.') return {};
    const h = headers();
    h.set('Nats-Batch-Id', letter.toLowerCase());
    if (letter !== letter.toLowerCase()) h.set('Nats-Batch-Commit', '1');
    return { headers: h };
  });
}

describe('what is stored at once', () => {
  it.each([
    ['single messages, as many as allowed', '.....', 3, 3],
    ['a commit whole', 'aaA', 10, 3],
    ['nothing of a commit whose end has not arrived', 'aa', 10, 0],
    ['what comes before such a commit', '..aaAbb', 10, 5],
    ['not a part of a commit that would be cut by the limit', '.aaA', 3, 1],
    ['a commit that is larger than the limit', 'aaaaA.', 3, 5],
    ['a commit whose last message came without its mark, once another begins', 'aaB', 10, 3],
    ['nothing, of nothing', '', 10, 0],
  ])('is %s', (_, text, most, count) => {
    expect(wholeCommits(messages(text), most)).toBe(count);
  });

  it('is what can be no commit any more, however its end is missing', () => {
    expect(wholeCommits(messages('a'.repeat(1_999)), 1_000)).toBe(0);
    expect(wholeCommits(messages('a'.repeat(2_000)), 1_000)).toBe(2_000);
  });
});

describe('the messages of a real commit', () => {
  let fabric: TestFabric;
  beforeAll(async () => {
    fabric = await startFabric();
  });
  afterAll(async () => await fabric.stop());

  it('carry the marks that tell where it ends', async () => {
    await fabric.coordinator();
    const operator = await fabric.client('operator');
    await operator.request('task', 'create', { task_id: 'first', task_type: 'x' });
    await operator.request('task', 'create', { task_id: 'second', task_type: 'x', depends_on: ['first'] });
    const { nc, namespace } = await fabric.context('reader');
    const { last_seq } = (await (await jetstreamManager(nc)).streams.info(namespace.actorsStream)).state;
    // Ends its dependents in the same commit.
    await operator.request('task', 'cancel', { task_id: 'first' });
    const commit: JsMsg[] = [];
    await readHeaders(nc, { stream: namespace.actorsStream, subject: '>', from: last_seq + 1 }, (message) => {
      commit.push(message);
      return true;
    });
    expect(commit.map(({ headers }) => headers?.get('IF-Event'))).toEqual(['CANCEL', 'DEPENDENCY_FAILED']);
    expect(wholeCommits(commit.slice(0, 1), 10)).toBe(0);
    expect(wholeCommits(commit, 1)).toBe(2);
  });
});
