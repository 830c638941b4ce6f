/** What can happen to an approval. */
import type { MachineEvent } from '../machine.ts';
import type { Json } from '../record.ts';

/** A person is asked. */
export interface AskApproval extends MachineEvent {
  readonly type: 'ASK';
  by: string;
  action: string;
  target: string | null;
  request: Json;
  reason: string | null;
  expires_at: number;
  trace_id: string;
}

interface Decision extends MachineEvent {
  /** `operator`; no one else decides. */
  by: string;
  /** The name of the person. */
  name: string;
  comment?: string | null;
}

/** Yes; what was asked for is done in the same commit. */
export interface Approve extends Decision {
  readonly type: 'APPROVE';
}

export interface Reject extends Decision {
  readonly type: 'REJECT';
}

/** Nobody decided in time. */
export interface ExpireApproval extends MachineEvent {
  readonly type: 'EXPIRE';
}

export type ApprovalEvent = AskApproval | Approve | Reject | ExpireApproval;

export type ApprovalEventType = ApprovalEvent['type'];

export type ApprovalEventOf<Type extends ApprovalEventType> = Extract<ApprovalEvent, { readonly type: Type }>;
