/** Who is told of a blocker, and what. A notice that comes twice has the same id. */
import { isSwarmId, operatorId } from '../../../machines/address.ts';
import { type BlockerContext, helperOf, joinedHelpers } from '../../../machines/blocker/context.ts';
import { blockerMachine } from '../../../machines/blocker/machine.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { AddressedNotice } from '../mailboxes/notices.ts';
import { mootedBy } from './blocker-plan.ts';
import { isAwaited } from './helper-choice.ts';

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
      ...contentOf(record.id, blocker),
      at: blocker.reported_at,
    },
  };
}

/** The requests for help to those whose answer is waited for; each swarm is asked once about a blocker. */
export function helpNotices({ record }: StoredRecord, now: number): AddressedNotice[] {
  if (record.kind !== blockerMachine.kind || record.snapshot.status !== 'active') return [];
  const blocker = record.snapshot.context as BlockerContext;
  return blocker.helpers
    .filter((helper) => isAwaited(helper, now))
    .map(({ swarm_id, answer_by, why, at }) => ({
      to: swarm_id,
      notice: {
        id: `help.${record.id}`,
        type: 'help',
        ...contentOf(record.id, blocker),
        answer_by,
        why: why && { ...why },
        at,
      },
    }));
}

/** A person is asked. */
export function escalatedNotice({ record }: StoredRecord): AddressedNotice {
  const blocker = record.snapshot.context as BlockerContext;
  return {
    to: operatorId,
    notice: {
      id: `blocker-escalated.${record.id}`,
      type: 'blocker_escalated',
      ...contentOf(record.id, blocker),
      reason: blocker.escalation_reason,
      helpers: blocker.helpers.map(({ swarm_id, answer }) => ({ swarm_id, answer })),
      at: blocker.escalated_at,
    },
  };
}

/** The blocked swarm learns who helps. */
export function joinedNotice({ record }: StoredRecord, helper: string): AddressedNotice {
  const blocker = record.snapshot.context as BlockerContext;
  return {
    to: blocker.reported_by,
    notice: {
      id: `helper-joined.${record.id}.${helper}`,
      type: 'helper_joined',
      blocker_id: record.id,
      task_id: blocker.task_id,
      helper,
      at: helperOf(blocker, helper)?.at ?? record.at,
    },
  };
}

function contentOf(blocker_id: string, blocker: BlockerContext) {
  const { task_id, reported_by, blocker_type, description, severity, required_capabilities } = blocker;
  return { blocker_id, task_id, reported_by, blocker_type, description, severity, required_capabilities };
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
