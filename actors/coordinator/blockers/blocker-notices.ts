/** Who is told of a blocker, and what. A notice that comes twice has the same id. */
import { isSwarmId, operatorId } from '../../../machines/address.ts';
import { type BlockerContext, joinedHelpers } from '../../../machines/blocker/context.ts';
import { blockerMachine } from '../../../machines/blocker/machine.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { AddressedNotice } from '../mailboxes/notices.ts';
import { mootedBy } from './blocker-plan.ts';

/** Whoever has the work done that is blocked: the creator of the task, else a person. */
export function orchestratorOf(task: { readonly created_by: string } | undefined, reportedBy: string): string {
  const creator = task?.created_by;
  return creator !== undefined && creator !== reportedBy && isSwarmId(creator) ? creator : operatorId;
}

export function reportedNotice({ record }: StoredRecord, to: string): AddressedNotice {
  const blocker = record.snapshot.context as BlockerContext;
  return {
    to,
    notice: {
      id: `blocker-reported.${record.id}`,
      type: 'blocker_reported',
      blocker_id: record.id,
      task_id: blocker.task_id,
      reported_by: blocker.reported_by,
      blocker_type: blocker.blocker_type,
      description: blocker.description,
      severity: blocker.severity,
      required_capabilities: blocker.required_capabilities,
      at: blocker.reported_at,
    },
  };
}

/**
 * Who waits for the end of a blocker: the blocked swarm, and those who help and did not end it. A swarm that ends its
 * own blocker is told too, since one part of it may wait for what another did; not so of a task that it lost.
 */
export function resolvedNotices({ record }: StoredRecord): AddressedNotice[] {
  if (record.kind !== blockerMachine.kind || record.event.type !== 'RESOLVE') return [];
  const blocker = record.snapshot.context as BlockerContext;
  const blocked = blocker.resolved_by === mootedBy ? [] : [blocker.reported_by];
  const helping = joinedHelpers(blocker).filter((id) => id !== blocker.resolved_by);
  return [...blocked, ...helping].map((to) => ({
    to,
    notice: {
      id: `blocker-resolved.${record.id}`,
      type: 'blocker_resolved',
      blocker_id: record.id,
      task_id: blocker.task_id,
      resolved_by: blocker.resolved_by,
      resolution: blocker.resolution,
      at: record.at,
    },
  }));
}
