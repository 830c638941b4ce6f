/** What people and those who asked are told of approvals through their mailboxes. */
import { isSwarmId, operatorId } from '../../../machines/address.ts';
import type { Notice, NoticeType } from '../../../src/store/mailbox-message.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { type ApprovalView, approvalView } from './approval-view.ts';

/** Of a request that is larger a notice says only that there is one (`partial`); `approval.get` has it. */
const largeRequestBytes = 16 * 1024;

export interface ApprovalNotice {
  readonly to: string;
  readonly type: NoticeType;
  readonly notice: Notice;
}

/** Operators get the question; a swarm that asked gets the answer. Nothing follows from what is only restored. */
export function approvalNotice(stored: StoredRecord): ApprovalNotice | undefined {
  const { type } = stored.record.event;
  const approval = approvalView(stored);
  if (type === 'ASK') return askedNotice(approval);
  const isAnswer = type === 'APPROVE' || type === 'REJECT' || type === 'EXPIRE';
  return isAnswer ? answeredNotice(approval) : undefined;
}

export function askedNotice({ approval_id, ...approval }: ApprovalView): ApprovalNotice {
  const { action, target, request, reason, asked_by, asked_at, expires_at } = approval;
  const isLarge = Buffer.byteLength(JSON.stringify(request)) > largeRequestBytes;
  const asked = isLarge ? { request: null, partial: true } : { request };
  const facts = { approval_id, action, target, ...asked, reason, asked_by, asked_at, expires_at };
  const notice = { id: `approval.${approval_id}`, type: 'approval_asked', ...facts };
  return { to: operatorId, type: 'approval', notice };
}

function answeredNotice({ approval_id, ...approval }: ApprovalView): ApprovalNotice | undefined {
  const { asked_by, state, action, target, comment, decided_at } = approval;
  if (!isSwarmId(asked_by) || asked_by === operatorId) return undefined;
  const facts = { approval_id, state, action, target, comment, decided_at };
  const notice = { id: `approval.${approval_id}.${state}`, type: 'approval_decided', ...facts };
  return { to: asked_by, type: 'control', notice };
}
