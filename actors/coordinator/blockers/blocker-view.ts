/** A blocker as replies show it. */
import type { BlockerContext, Helper, Severity } from '../../../machines/blocker/context.ts';
import { stateName } from '../../../machines/record.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';

export interface BlockerView {
  blocker_id: string;
  state: string;
  /** The task that it blocks; null when it blocks the swarm as such. */
  task_id: string | null;
  reported_by: string;
  type: string;
  description: string;
  severity: Severity;
  required_capabilities: string[];
  /** The swarms that were asked for help, with their answers. */
  helpers: Helper[];
  resolution: string | null;
  resolved_by: string | null;
  escalation_reason: string | null;
  reported_at: number;
  escalated_at: number | null;
  resolved_at: number | null;
  trace_id: string;
  /** The number of the last transition. */
  n: number;
  /** The stream sequence of the last record. */
  revision: number;
}

export function blockerView({ record, revision }: StoredRecord): BlockerView {
  const blocker = record.snapshot.context as BlockerContext;
  return {
    blocker_id: record.id,
    state: stateName(record.snapshot.value),
    task_id: blocker.task_id,
    reported_by: blocker.reported_by,
    type: blocker.blocker_type,
    description: blocker.description,
    severity: blocker.severity,
    required_capabilities: blocker.required_capabilities,
    helpers: blocker.helpers,
    resolution: blocker.resolution,
    resolved_by: blocker.resolved_by,
    escalation_reason: blocker.escalation_reason,
    reported_at: blocker.reported_at,
    escalated_at: blocker.escalated_at,
    resolved_at: blocker.resolved_at,
    trace_id: blocker.trace_id,
    n: record.n,
    revision,
  };
}
