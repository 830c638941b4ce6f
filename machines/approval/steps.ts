/** What each accepted event writes into an approval's context. Steps compute; whether the event is accepted is decided before. */
import { type ApprovalContext, absentApproval } from './context.ts';
import type { ApprovalEvent, ApprovalEventOf, ApprovalEventType, Approve, Reject } from './events.ts';

type Steps = {
  readonly [Type in ApprovalEventType]: (
    approval: ApprovalContext,
    event: ApprovalEventOf<Type>,
  ) => Partial<ApprovalContext>;
};

const steps: Steps = {
  ASK: (_, event) => ({
    ...absentApproval,
    action: event.action,
    target: event.target,
    request: event.request,
    reason: event.reason,
    asked_by: event.by,
    trace_id: event.trace_id,
    asked_at: event.at,
    expires_at: event.expires_at,
  }),
  APPROVE: (_, event) => decided(event),
  REJECT: (_, event) => decided(event),
  EXPIRE: (_, event) => ({ decided_at: event.at }),
};

function decided({ by, name, comment, at }: Approve | Reject): Partial<ApprovalContext> {
  return { decided_by: by, decided_name: name, comment: comment ?? null, decided_at: at };
}

/** The fields that an accepted event changes. */
export function stepApproval(approval: ApprovalContext, event: ApprovalEvent): Partial<ApprovalContext> {
  const step = steps[event.type] as (approval: ApprovalContext, event: ApprovalEvent) => Partial<ApprovalContext>;
  return { ...step(approval, event), updated_at: event.at };
}
