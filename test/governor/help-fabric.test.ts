import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BlockerView } from '../../actors/coordinator/blockers/blocker-view.ts';
import { answerHelp, type HelpAnswer, type HelpRequest } from '../../src/sdk/help.ts';
import { readMailbox } from '../../src/sdk/mailbox.ts';
import { freshId } from '../store/fixtures.ts';
import { until } from '../support/temp.ts';
import { type Governed, type Swarm, startGoverned } from './governing.ts';

let governed: Governed;
const stop = new AbortController();
const reading: Promise<void>[] = [];

beforeAll(async () => {
  governed = await startGoverned({ help_timeout_ms: 1_500 });
});

afterAll(async () => {
  stop.abort();
  await Promise.all(reading);
  await governed?.stop();
});

interface Helper extends Swarm {
  /** The calls for help that came. */
  readonly asked: HelpRequest[];
  /** The types of the other notices that came. */
  readonly told: string[];
}

/** A swarm that answers every call for help in the same way; undefined: not at all. */
async function helper(capability: string, cost_per_hour: number, answer: HelpAnswer | undefined): Promise<Helper> {
  const swarm = await governed.swarm({ capabilities: [capability], cost_per_hour });
  const { client } = swarm;
  const asked: HelpRequest[] = [];
  const told: string[] = [];
  const { signal } = stop;
  reading.push(
    readMailbox({
      client,
      signal,
      onMessage: async (message) => {
        if (message.type === 'control') told.push(String(message.notice['type']));
        if (message.type === 'help' && answer === undefined) asked.push(message.notice as unknown as HelpRequest);
        else
          await answerHelp(client, message, (request) => {
            asked.push(request);
            return answer!;
          });
      },
    }),
  );
  return { ...swarm, asked, told };
}

const report = async ({ client }: Swarm, required_capabilities: string[], fields: object = {}) =>
  await client.request<{ blocker_id: string; helpers: string[] }>('blocker', 'report', {
    type: 'access',
    description: 'no access',
    severity: 'high',
    required_capabilities,
    ...fields,
  });
const blocker = async (blocker_id: string) =>
  await governed.operator.request<BlockerView>('blocker', 'get', { blocker_id });
const untilState = async (blocker_id: string, state: string) =>
  await until(`the blocker is ${state}`, async () => (await blocker(blocker_id)).state === state);

it('brings a helper to a blocked task, who resolves it', async () => {
  const stuck = await helper('x:one', 0, undefined);
  const friend = await helper('ops:one', 1, 'join');
  const task_id = freshId('t');
  await governed.operator.request('task', 'create', { task_id, task_type: 'build' });
  await stuck.client.request('task', 'claim', { task_id });
  const { blocker_id, helpers } = await report(stuck, ['ops:one'], { task_id });
  expect(helpers).toEqual([friend.id]);
  await untilState(blocker_id, 'helping');
  expect(friend.asked).toMatchObject([
    { blocker_id, task_id, reported_by: stuck.id, severity: 'high', why: { match_score: 1, cost_per_hour: 1 } },
  ]);
  await until('the blocked swarm knows', () => stuck.told.includes('helper_joined'));
  await friend.client.request('blocker', 'resolve', { blocker_id, resolution: 'granted' });
  await until('the blocked swarm is told', () => stuck.told.includes('blocker_resolved'));
  expect(await governed.operator.request('task', 'get', { task_id })).toMatchObject({ state: 'claimed' });
});

it('goes on to the next best after a refusal and after silence, and in the end to a person', async () => {
  const stuck = await governed.swarm();
  const refusing = await helper('ops:two', 1, { decline: 'busy' });
  const silent = await helper('ops:two', 2, undefined);
  const third = await helper('ops:two', 3, 'decline');
  const { blocker_id, helpers } = await report(stuck, ['ops:two']);
  expect(helpers).toEqual([refusing.id, silent.id]);
  await until('the next best is asked', () => third.asked.length === 1);
  await untilState(blocker_id, 'escalated');
  expect((await blocker(blocker_id)).helpers).toMatchObject([
    { swarm_id: refusing.id, answer: 'declined', reason: 'busy' },
    { swarm_id: silent.id, answer: 'silent' },
    { swarm_id: third.id, answer: 'declined', reason: null },
  ]);
  const told = async () =>
    (await governed.escalations()).filter(
      ({ notice }) => notice['type'] === 'blocker_escalated' && notice['blocker_id'] === blocker_id,
    );
  await until('a person is told', async () => (await told()).length === 1);
  await silent.client.request('blocker', 'join', { blocker_id });
  await silent.client.request('blocker', 'resolve', { blocker_id, resolution: 'late, but done' });
  expect(await blocker(blocker_id)).toMatchObject({ state: 'resolved', resolved_by: silent.id });
});

it('asks a swarm that registers after a person was asked', async () => {
  const stuck = await governed.swarm();
  const { blocker_id } = await report(stuck, ['ops:three']);
  await untilState(blocker_id, 'escalated');
  const late = await helper('ops:three', 1, 'join');
  await until('it helps', async () => (await blocker(blocker_id)).helpers[0]?.answer === 'joined');
  expect(late.asked).toHaveLength(1);
});
