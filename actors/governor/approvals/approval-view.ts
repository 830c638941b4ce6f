/** An approval as replies show it. */
import type { ApprovalContext, ApprovalState } from '../../../machines/approval/context.ts';
import { type Json, stateName } from '../../../machines/record.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';

export interface ApprovalView {
  approval_id: string;
  state: ApprovalState;
  /** What is to be done, such as `raise_budget`. */
  action: string;
  /** What it is done to, as `<kind>:<id>` where it is an actor. */
  target: string | null;
  request: Json;
  reason: string | null;
  asked_by: string;
  asked_at: number;
  /** From then on it can only expire. */
  expires_at: number;
  /** The person who decided. */
  decided_name: string | null;
  decided_by: string | null;
  comment: string | null;
  /** When it was approved, rejected, or expired. */
  decided_at: number | null;
  trace_id: string;
  /** The number of the last transition. */
  n: number;
  /** The stream sequence of the last record. */
  revision: number;
}

export function approvalView({ record, revision }: StoredRecord): ApprovalView {
  const approval = record.snapshot.context as ApprovalContext;
  return {
    approval_id: record.id,
    state: stateName(record.snapshot.value) as ApprovalState,
    action: approval.action,
    target: approval.target,
    request: approval.request,
    reason: approval.reason,
    asked_by: approval.asked_by,
    asked_at: approval.asked_at,
    expires_at: approval.expires_at,
    decided_name: approval.decided_name,
    decided_by: approval.decided_by,
    comment: approval.comment,
    decided_at: approval.decided_at,
    trace_id: approval.trace_id,
    n: record.n,
    revision,
  };
}
