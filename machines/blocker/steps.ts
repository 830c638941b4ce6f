/** What each accepted event writes into a blocker's context. Steps compute; whether the event is accepted is decided before. */
import { distinct } from '../equality.ts';
import { absentBlocker, type BlockerContext, type Helper, helperOf, silenced } from './context.ts';
import type { BlockerEvent, BlockerEventOf, BlockerEventType, InviteHelpers } from './events.ts';

type Steps = {
  readonly [Type in BlockerEventType]: (
    blocker: BlockerContext,
    event: BlockerEventOf<Type>,
  ) => Partial<BlockerContext>;
};

const steps: Steps = {
  REPORT: (_, event) => ({
    ...absentBlocker,
    task_id: event.task_id,
    token: event.token,
    blocker_type: event.blocker_type,
    description: event.description,
    severity: event.severity,
    required_capabilities: distinct(event.required_capabilities),
    reported_by: event.by,
    trace_id: event.trace_id,
    reported_at: event.at,
    progress_at: event.at,
  }),
  INVITE: (blocker, event) => ({
    helpers: [
      ...fallenSilent(blocker, event),
      ...distinct(event.swarm_ids)
        .filter((id) => helperOf(blocker, id) === undefined)
        .map((swarm_id) => invited(swarm_id, event)),
    ],
  }),
  JOIN: (blocker, event) => ({
    helpers: answered(blocker, event.by, { answer: 'joined', at: event.at, reason: null }),
    // Who leaves and comes back does not put off that a person is asked.
    progress_at: helperOf(blocker, event.by)?.answer === 'declined' ? blocker.progress_at : event.at,
  }),
  DECLINE: (blocker, event) => ({
    helpers: answered(blocker, event.by, { answer: 'declined', at: event.at, reason: event.reason ?? null }),
  }),
  RESOLVE: (_, event) => ({ resolution: event.resolution, resolved_by: event.by, resolved_at: event.at }),
  ESCALATE: (_, event) => ({ escalation_reason: event.reason, escalated_at: event.at }),
};

function invited(swarm_id: string, { why, answer_by, at }: InviteHelpers): Helper {
  // A swarm may have any id, `constructor` too.
  const factors = why && Object.hasOwn(why, swarm_id) ? why[swarm_id] : undefined;
  return { swarm_id, answer: 'invited', at, why: factors ?? null, answer_by: answer_by ?? null, reason: null };
}

function fallenSilent(blocker: BlockerContext, event: InviteHelpers): Helper[] {
  const silent = silenced(blocker, event);
  return blocker.helpers.map((helper) =>
    silent.includes(helper) ? { ...helper, answer: 'silent', at: event.at } : helper,
  );
}

function answered(blocker: BlockerContext, by: string, answer: Pick<Helper, 'answer' | 'at' | 'reason'>): Helper[] {
  return blocker.helpers.map((helper) => (helper.swarm_id === by ? { ...helper, ...answer } : helper));
}

/** The fields that an accepted event changes. */
export function stepBlocker(blocker: BlockerContext, event: BlockerEvent): Partial<BlockerContext> {
  const step = steps[event.type] as (blocker: BlockerContext, event: BlockerEvent) => Partial<BlockerContext>;
  return { ...step(blocker, event), updated_at: event.at };
}
