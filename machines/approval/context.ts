/** What an approval's record holds. Pure JSON: null stands for "none", times are milliseconds since 1970. */
import type { Json } from '../record.ts';

export const approvalStates = ['absent', 'pending', 'approved', 'rejected', 'expired'] as const;

export type ApprovalState = (typeof approvalStates)[number];

export interface ApprovalContext {
  /** What is to be done, such as `raise_budget`. */
  action: string;
  /** What it is done to, as `<kind>:<id>` where it is an actor; null: nothing in particular. */
  target: string | null;
  /** Everything that is needed to do it once it is approved. */
  request: Json;
  /** Why it is asked for. */
  reason: string | null;
  asked_by: string;
  trace_id: string;
  asked_at: number;
  /** From then on it can only expire. */
  expires_at: number;
  decided_by: string | null;
  /** The person who decided. */
  decided_name: string | null;
  comment: string | null;
  /** When it was approved, rejected, or expired. */
  decided_at: number | null;
  updated_at: number;
}

export const absentApproval: ApprovalContext = {
  action: '',
  target: null,
  request: null,
  reason: null,
  asked_by: '',
  trace_id: '',
  asked_at: 0,
  expires_at: 0,
  decided_by: null,
  decided_name: null,
  comment: null,
  decided_at: null,
  updated_at: 0,
};
