/** What a swarm is told through its mailbox when it loses a task without having asked for it. */
import { isSwarmId } from '../../../machines/address.ts';
import type { TaskContext } from '../../../machines/task/context.ts';
import type { Notice } from '../../../src/store/mailbox-message.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';

export interface AddressedNotice {
  readonly to: string;
  readonly notice: Notice;
}

const lostBy: ReadonlySet<string> = new Set(['LEASE_EXPIRED', 'OWNER_LOST', 'CANCEL']);

/** The notice that follows from a record; none for most. */
export function noticeOf({ record, revision }: StoredRecord): AddressedNotice | undefined {
  if (record.kind !== 'task' || !lostBy.has(record.event.type)) return undefined;
  const task = record.snapshot.context as TaskContext;
  const owner = lastOwner(record.event, task);
  if (owner === undefined || !isSwarmId(owner) || owner === record.by) return undefined;
  return {
    to: owner,
    notice: {
      id: `task-lost.${record.id}.${revision}`,
      type: 'task_lost',
      task_id: record.id,
      reason: record.event.type.toLowerCase(),
      detail: record.event.type === 'CANCEL' ? task.cancel_reason : task.error,
      at: record.at,
    },
  };
}

/** Whose task it was before the event. */
function lastOwner(event: StoredRecord['record']['event'], task: TaskContext): string | undefined {
  if (event.type === 'OWNER_LOST') return String(event['owner']);
  if (event.type === 'CANCEL') return task.owner ?? undefined;
  const { token } = event;
  return Object.entries(task.past_owners).find(([, past]) => past === token)?.[0];
}
