/** What waits for a person: asked once, decided once, done in the commit of the decision. On a real cluster. */
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { approvalNeeded, type Requirement, requireApproval } from '../../actors/governor/approvals/approval-round.ts';
import type { ApprovalView } from '../../actors/governor/approvals/approval-view.ts';
import { systemClock } from '../../src/clock.ts';
import { FabricError } from '../../src/errors.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { decodeMessage, type NoticeMessage } from '../../src/store/mailbox-message.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { freshId } from '../store/fixtures.ts';
import { until } from '../support/temp.ts';
import { type Governed, startGoverned } from './governing.ts';

let governed: Governed;
beforeAll(async () => {
  governed = await startGoverned({ approvals_required: ['raise_budget', 'reset_circuit'] });
});
afterAll(async () => await governed?.stop());

const ask = async <Result = Record<string, unknown>>(op: string, body: Record<string, unknown>) =>
  await governed.operator.request<Result>('governor', op, body);
const approval = async (op: string, body: Record<string, unknown> = {}) =>
  await governed.operator.request<ApprovalView>('approval', op, body);
const pending = async () => {
  const body = { state: 'pending', limit: 1_000 };
  return (await governed.operator.request<{ approvals: ApprovalView[] }>('approval', 'list', body)).approvals;
};
const allocated = async (swarm_id: string) => {
  const { budget } = await governed.operator.request<{ budget: { allocated_usd: number } }>('swarm', 'get', {
    swarm_id,
  });
  return budget.allocated_usd;
};

/** The id of the approval that an operation is refused for. */
async function askedFor(asked: Promise<unknown>): Promise<string> {
  const error = await asked.then(
    () => undefined,
    (refusal: unknown) => refusal as FabricError,
  );
  expect(error).toMatchObject({ code: 'POLICY_VIOLATION', details: { approval_id: expect.any(String) } });
  return String(error!.details!['approval_id']);
}

async function records(kind: string, id: string): Promise<StoredRecord[]> {
  const { nc, namespace } = await governed.fabric.context('reader');
  const found: StoredRecord[] = [];
  for await (const stored of new NatsRecordLog(nc, namespace).history({ kind, id })) found.push(stored);
  return found;
}

async function notices(to: string, type: string): Promise<NoticeMessage[]> {
  const { nc, namespace } = await governed.fabric.context('reader');
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const { state } = await jsm.streams.info(namespace.inboxStream);
  const found: NoticeMessage[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const stored = await jsm.streams.getMessage(namespace.inboxStream, { seq });
    const message = stored?.subject === namespace.mailboxSubject(to, type) ? decodeMessage(stored.data) : undefined;
    if (message && message.type !== 'task') found.push(message);
  }
  return found;
}

describe('raising a budget, where policy wants it approved,', () => {
  it('changes nothing, and says which approval it waits for and until when', async () => {
    const swarm_id = freshId('s').toLowerCase();
    const raise = { swarm_id, budget_usd: 5, reason: 'a large review' };
    const refused = ask('allocate_budget', raise);
    await expect(refused).rejects.toMatchObject({
      code: 'POLICY_VIOLATION',
      retryable: false,
      message: expect.stringContaining('infrafabric approval decide raise_budget.'),
      details: { action: 'raise_budget', expires_at: expect.any(Number) },
    });
    const approval_id = await askedFor(ask('allocate_budget', raise));
    expect(await records('swarm', swarm_id)).toEqual([]);
    expect(await approval('get', { approval_id })).toMatchObject({
      state: 'pending',
      action: 'raise_budget',
      target: `swarm:${swarm_id}`,
      request: { swarm_id, budget_usd: 5 },
      reason: 'a large review',
      asked_by: 'operator',
      n: 1,
    });
    expect((await pending()).map((one) => one.approval_id)).toContain(approval_id);
    await until('people were told', async () =>
      (await notices('operator', 'approval')).some(({ notice }) => notice['approval_id'] === approval_id),
    );
  });

  it('asks one question, however often and in how many processes it is asked at once', async () => {
    await governed.another();
    const swarm_id = freshId('s').toLowerCase();
    const raise = async (budget_usd: number) => await askedFor(ask('allocate_budget', { swarm_id, budget_usd }));
    const ids = await Promise.all(Array.from({ length: 16 }, async () => await raise(3)));
    expect(new Set(ids).size).toBe(1);
    expect(await records('approval', ids[0]!)).toHaveLength(1);
    expect(await raise(4)).not.toBe(ids[0]);
  });

  it('lowers nothing when more was approved of meanwhile', async () => {
    const swarm_id = freshId('s').toLowerCase();
    const [less, more] = [
      await askedFor(ask('allocate_budget', { swarm_id, budget_usd: 3 })),
      await askedFor(ask('allocate_budget', { swarm_id, budget_usd: 7 })),
    ];
    const approve = async (approval_id: string) =>
      await approval('decide', { approval_id, decision: 'approve', name: 'Ada' });
    await approve(more);
    await expect(approve(less)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('reject it'),
    });
    expect(await allocated(swarm_id)).toBe(7);
    expect(await approval('get', { approval_id: less })).toMatchObject({ state: 'pending' });
  });

  it('is done in the commit of the approval, which keeps the name of the person', async () => {
    const swarm_id = freshId('s').toLowerCase();
    const approval_id = await askedFor(ask('allocate_budget', { swarm_id, budget_usd: 5, per_hour_usd: 1 }));
    const yes = { approval_id, decision: 'approve', name: 'Ada', comment: 'until Friday' };
    const approved = await approval('decide', yes);
    expect(approved).toMatchObject({ state: 'approved', decided_name: 'Ada', comment: 'until Friday' });
    const [raised] = await records('swarm', swarm_id);
    expect(raised).toMatchObject({
      revision: approved.revision + 1,
      record: {
        by: 'operator',
        trace_id: approved.trace_id,
        event: { type: 'ALLOCATE', budget_usd: 5, per_hour_usd: 1, approval_id },
      },
    });
    expect(await approval('decide', yes)).toEqual(approved);
    await expect(approval('decide', { ...yes, name: 'Ben' })).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(approval('decide', { ...yes, decision: 'reject' })).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await records('swarm', swarm_id)).toHaveLength(1);
  });

  it('is a new question each time that it is needed again', async () => {
    const swarm_id = freshId('s').toLowerCase();
    const raise = async () => await askedFor(ask('allocate_budget', { swarm_id, budget_usd: 5 }));
    const first = await raise();
    await approval('decide', { approval_id: first, decision: 'reject', name: 'Ada' });
    const second = await raise();
    expect(second).not.toBe(first);
    await approval('decide', { approval_id: second, decision: 'approve', name: 'Ada' });
    expect(await ask('allocate_budget', { swarm_id, budget_usd: 5 })).toMatchObject({ allocated_usd: 5 });
    expect(await ask('allocate_budget', { swarm_id, budget_usd: 2 })).toMatchObject({ allocated_usd: 2 });
    expect([first, second]).not.toContain(await raise());
    expect(await allocated(swarm_id)).toBe(2);
  });

  it('of all swarms together waits only where a limit of them is raised or removed', async () => {
    expect(await ask('allocate_budget', { fabric: true, budget_usd: 100 })).toMatchObject({ state: 'open' });
    const approval_id = await askedFor(ask('allocate_budget', { fabric: true, budget_usd: null }));
    await approval('decide', { approval_id, decision: 'approve', name: 'Ada' });
    expect(await ask('allocate_budget', { fabric: true, budget_usd: null })).toMatchObject({ budget: null });
  });
});

describe('resetting a circuit, where policy wants it approved,', () => {
  it('waits for the person, whose no leaves it open and whose yes closes it', async () => {
    const swarm = await governed.swarm();
    const reset = async () => await ask<{ circuit: string }>('reset_circuit', { swarm_id: swarm.id });
    expect(await reset()).toMatchObject({ circuit: 'closed' });
    await governed.failures(swarm, 3);
    const first = await askedFor(reset());
    await approval('decide', { approval_id: first, decision: 'reject', name: 'Ada' });
    const second = await askedFor(reset());
    await approval('decide', { approval_id: second, decision: 'approve', name: 'Ben' });
    expect(await reset()).toMatchObject({ circuit: 'closed', circuit_reasons: [] });
  });
});

describe('what would be refused whatever a person says', () => {
  it('asks nobody, and is refused at once: a circuit that only money closes, an allocation below what is gone', async () => {
    const before = (await pending()).map((one) => one.approval_id);
    const swarm = await governed.swarm();
    const { id: swarm_id, client } = swarm;
    const raised = await askedFor(ask('allocate_budget', { swarm_id, budget_usd: 2, per_hour_usd: 2 }));
    await approval('decide', { approval_id: raised, decision: 'approve', name: 'Ada' });
    await client.request('governor', 'track_cost', { operation: 'call', cost_usd: 2 });
    await expect(ask('reset_circuit', { swarm_id })).rejects.toMatchObject({ code: 'BUDGET_EXHAUSTED' });
    const refused = await ask('allocate_budget', { swarm_id, budget_usd: 1, per_hour_usd: null }).catch(
      (error: unknown) => error as FabricError,
    );
    expect(refused).toMatchObject({ code: 'POLICY_VIOLATION' });
    expect((refused as FabricError).details).not.toHaveProperty('approval_id');
    expect((await pending()).map((one) => one.approval_id)).toEqual(before);
  });
});

describe('an approval', () => {
  const trace_id = 'trace-1';
  const wish = (action: string) => ({ action, target: null, request: { path: freshId('p') }, by: 'asker' });
  const standing = async (asked: ReturnType<typeof wish>): Promise<Requirement> => {
    const { store, approvals } = governed.governor.core;
    return await store.transact({ by: 'asker', trace_id }, async (view) => {
      const requirement = await approvals.require(view, asked, trace_id);
      const { send } = requirement;
      return send.length > 0 ? { send, answer: () => requirement } : { answer: requirement };
    });
  };
  const askPerson = async (asked: ReturnType<typeof wish>) => {
    const requirement = await standing(asked);
    if (requirement.state !== 'pending') throw new Error(requirement.state);
    expect(approvalNeeded(requirement)).toMatchObject({ code: 'POLICY_VIOLATION' });
    return requirement.approval_id;
  };

  it('of what is done elsewhere holds for whoever asks the same again', async () => {
    const asked = wish('run_command');
    const approval_id = await askPerson(asked);
    expect(await standing(asked)).toMatchObject({ state: 'pending', approval_id, send: [] });
    await approval('decide', { approval_id, decision: 'approve', name: 'Ada' });
    expect(await standing(asked)).toMatchObject({ state: 'approved', approval: { approval_id, decided_name: 'Ada' } });
    const other = await standing({ ...asked, by: 'other' });
    expect(other).toMatchObject({ state: 'pending' });
  });

  it('that was refused holds, too, so that a swarm does not ask again and again', async () => {
    const asked = wish('run_command');
    const approval_id = await askPerson(asked);
    await approval('decide', { approval_id, decision: 'reject', name: 'Ada', comment: 'not this one' });
    expect(await standing(asked)).toMatchObject({ state: 'rejected', approval: { comment: 'not this one' } });
    await until('who asked was told', async () =>
      (await notices('asker', 'control')).some(({ notice }) => notice['approval_id'] === approval_id),
    );
  });

  it('is told of by a governor when the process that asked ended before it could', async () => {
    const { nc, namespace } = await governed.fabric.context('asker');
    const store = new ActorStore({
      log: new NatsRecordLog(nc, namespace),
      clock: systemClock,
      newId: () => freshId('e'),
    });
    const large = { ...wish('run_command'), request: { args: 'x'.repeat(20_000) } };
    const { approval_id } = await store.transact({ by: 'asker', trace_id }, async (view) => {
      const asked = await requireApproval(view, large, { expiry_ms: 60_000, trace_id });
      if (asked.state !== 'pending') throw new Error(asked.state);
      return { send: asked.send, answer: () => asked };
    });
    const told = async () =>
      (await notices('operator', 'approval')).filter(({ notice }) => notice['approval_id'] === approval_id);
    await until('people were told', async () => (await told()).length > 0);
    expect((await told()).map(({ notice }) => notice)).toMatchObject([{ request: null, partial: true }]);
    expect(await approval('get', { approval_id })).toMatchObject({ request: large.request });
  });

  it('stays pending when what it asks for cannot be done', async () => {
    governed.governor.core.approvals.on('impossible', async () => {
      throw new FabricError('CONFLICT', 'it is too late for that');
    });
    const approval_id = await askPerson(wish('impossible'));
    const decision = { approval_id, decision: 'approve', name: 'Ada' } as const;
    await expect(governed.governor.core.approvals.decide('operator', decision)).rejects.toThrow('too late');
    expect(await approval('get', { approval_id })).toMatchObject({ state: 'pending', n: 1 });
  });

  it('is for operators only, who give their names', async () => {
    const { client } = await governed.swarm();
    const approval_id = await askPerson(wish('run_command'));
    const decision = { approval_id, decision: 'approve', name: 'Ada' };
    const unauthorized = { code: 'UNAUTHORIZED' };
    await expect(client.request('approval', 'decide', decision)).rejects.toMatchObject(unauthorized);
    await expect(client.request('approval', 'list', {})).rejects.toMatchObject(unauthorized);
    await expect(approval('decide', { ...decision, name: ' ' })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    await expect(approval('decide', { approval_id, decision: 'yes', name: 'Ada' })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
    });
    await expect(approval('decide', { ...decision, approval_id: 'nothing.1' })).rejects.toMatchObject({
      code: 'TARGET_NOT_FOUND',
    });
    expect(await approval('get', { approval_id })).toMatchObject({ state: 'pending' });
  });

  it('is listed page by page', async () => {
    for (let i = 0; i < 3; i++) await askPerson(wish('page'));
    const all = (await pending()).map(({ approval_id }) => approval_id);
    const paged: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const body = { state: 'pending', limit: 2, ...(cursor === undefined ? {} : { cursor }) };
      const page = await governed.operator.request<{ approvals: ApprovalView[]; cursor: string | null }>(
        'approval',
        'list',
        body,
      );
      paged.push(...page.approvals.map(({ approval_id }) => approval_id));
      cursor = page.cursor;
    }
    expect(paged).toEqual(all);
  });
});
