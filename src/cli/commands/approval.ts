/** `infrafabric approval list|show|decide`: what waits for a person, through the requests `approval.*`. */
import { userInfo } from 'node:os';
import type { ApprovalView } from '../../../actors/governor/approvals/approval-view.ts';
import { FabricError } from '../../errors.ts';
import { withFabric } from '../fabric-session.ts';
import { factTable } from '../facts.ts';
import { given, textOf } from '../option-values.ts';
import { exitCodes, type Output } from '../output.ts';
import { listPage, noteMore } from '../pages.ts';
import type { CommandRun } from '../program.ts';
import { formatTime } from '../table.ts';

const columns = ['approval', 'state', 'action', 'target', 'request', 'asked', 'expires', 'decided_by'] as const;

export const list: CommandRun = async (context, _, options) => {
  const { out } = context;
  const state = textOf(options, '--state');
  const page = await listPage<{ approvals: ApprovalView[] }>(context, 'approval', options, { state });
  const rows = page.approvals.map((approval) => ({
    approval: approval.approval_id,
    state: approval.state,
    action: approval.action,
    target: approval.target,
    request: JSON.stringify(approval.request),
    asked: formatTime(approval.asked_at),
    expires: formatTime(approval.expires_at),
    decided_by: approval.decided_name,
  }));
  out.table(
    columns.map((key) => ({ key, title: key.replace('_', ' ') })),
    rows,
    'no approvals',
  );
  noteMore(out, page);
  return exitCodes.done;
};

export const show: CommandRun = async (context, [approval_id]) => {
  const approval = await withFabric(
    context,
    async ({ client }) => await client.request<ApprovalView>('approval', 'get', { approval_id }),
  );
  showApproval(context.out, approval);
  return exitCodes.done;
};

export const decide: CommandRun = async (context, [approval_id], options) => {
  const approve = options['approve'] === true;
  if (approve === (options['reject'] === true))
    throw new FabricError(
      'INVALID_REQUEST',
      `say either --approve or --reject, ${approve ? 'not both' : 'there is neither'}`,
    );
  const body = given({
    approval_id,
    decision: approve ? 'approve' : 'reject',
    name: textOf(options, '--name') ?? loginName(),
    comment: textOf(options, '--comment'),
  });
  const approval = await withFabric(
    context,
    async ({ client }) => await client.request<ApprovalView>('approval', 'decide', body),
  );
  showApproval(context.out, approval);
  return exitCodes.done;
};

/** @throws FabricError INVALID_REQUEST where the system knows no name */
function loginName(): string {
  try {
    return userInfo().username;
  } catch (error) {
    const why = 'your login name is not known to the system; say who decides with --name';
    throw new FabricError('INVALID_REQUEST', why, undefined, { cause: error });
  }
}

function showApproval(out: Output, approval: ApprovalView): void {
  out.data(approval);
  factTable(out, approval);
}
