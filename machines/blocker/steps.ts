/** What each accepted event writes into a blocker's context. Steps compute; whether the event is accepted is decided before. */
import { distinct } from '../equality.ts';
import { absentBlocker, type BlockerContext, type Helper, helperOf } from './context.ts';
import type { BlockerEvent, BlockerEventOf, BlockerEventType } from './events.ts';

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
  }),
  INVITE: (blocker, event) => ({
    helpers: [
      ...blocker.helpers,
      ...distinct(event.swarm_ids)
        .filter((id) => helperOf(blocker, id) === undefined)
        .map((swarm_id): Helper => ({ swarm_id, answer: 'invited', at: event.at })),
    ],
  }),
  JOIN: (blocker, event) => ({ helpers: answered(blocker, { swarm_id: event.by, answer: 'joined', at: event.at }) }),
  DECLINE: (blocker, event) => ({
    helpers: answered(blocker, { swarm_id: event.by, answer: 'declined', at: event.at }),
  }),
  RESOLVE: (_, event) => ({ resolution: event.resolution, resolved_by: event.by, resolved_at: event.at }),
  ESCALATE: (_, event) => ({ escalation_reason: event.reason, escalated_at: event.at }),
};

function answered(blocker: BlockerContext, answer: Helper): Helper[] {
  return blocker.helpers.map((helper) => (helper.swarm_id === answer.swarm_id ? answer : helper));
}

/** The fields that an accepted event changes. */
export function stepBlocker(blocker: BlockerContext, event: BlockerEvent): Partial<BlockerContext> {
  const step = steps[event.type] as (blocker: BlockerContext, event: BlockerEvent) => Partial<BlockerContext>;
  return { ...step(blocker, event), updated_at: event.at };
}
