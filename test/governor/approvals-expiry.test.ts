/** Questions that nobody answers: they expire once, and can be asked anew. On a real cluster. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApprovalView } from '../../actors/governor/approvals/approval-view.ts';
import { approvalTimer } from '../../actors/governor/approvals/approvals.ts';
import type { FabricError } from '../../src/errors.ts';
import { until } from '../support/temp.ts';
import { type Governed, startGoverned } from './governing.ts';

let governed: Governed;
beforeAll(async () => {
  governed = await startGoverned({ approvals_required: ['raise_budget'], approval_expiry_ms: 1_500 });
});
afterAll(async () => await governed?.stop());

const raise = async (swarm_id: string): Promise<string> => {
  const body = { swarm_id, budget_usd: 5 };
  const error = await governed.operator
    .request('governor', 'allocate_budget', body)
    .catch((refusal: unknown) => refusal);
  return String((error as FabricError).details!['approval_id']);
};
const get = async (approval_id: string) =>
  await governed.operator.request<ApprovalView>('approval', 'get', { approval_id });
const expired = async (approval_id: string) =>
  await until('it expires', async () => (await get(approval_id)).state === 'expired');

describe('an approval that nobody gives', () => {
  it('expires, cannot be given any more, and is asked for anew', async () => {
    await governed.another();
    const approval_id = await raise('late-1');
    await expired(approval_id);
    const approval = await get(approval_id);
    expect(approval).toMatchObject({ n: 2, decided_by: null, decided_name: null });
    expect(approval.decided_at).toBeGreaterThanOrEqual(approval.expires_at);
    const decision = { approval_id, decision: 'approve', name: 'Ada' };
    await expect(governed.operator.request('approval', 'decide', decision)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await raise('late-1')).not.toBe(approval_id);
  });

  it('expires also when its timer is lost', async () => {
    const approval_id = await raise('late-2');
    await until('its timer is set', async () => (await governed.timers.get(approvalTimer, approval_id)) !== undefined);
    await governed.timers.cancel(approvalTimer, approval_id);
    await expired(approval_id);
  });
});
