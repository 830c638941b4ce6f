/** Why a task is not being worked on, in a few words for people. Pure: what it says depends on the arguments alone. */
import { formatTime } from './table.ts';

/** What is looked at of a task, as replies and records have it. */
export interface WaitingTask {
  readonly state: string;
  readonly open_dependencies?: readonly string[] | undefined;
  readonly failed_dependencies?: readonly string[] | undefined;
  /** Milliseconds since 1970. */
  readonly due_at?: number | null | undefined;
  readonly blocker_id?: string | null | undefined;
  readonly concurrency_key?: string | null | undefined;
  readonly concurrency_limit?: number | null | undefined;
}

/** So many ids are named, the others counted. */
const named = 2;

/** Undefined when it waits for nothing but a swarm that takes it, or not at all. */
export function whyWaiting(task: WaitingTask): string | undefined {
  switch (task.state) {
    case 'waiting':
      return joined([...dependencies(task), ...time(task)]);
    case 'blocked':
      return task.blocker_id ? `blocked by ${task.blocker_id}` : undefined;
    case 'available':
      return task.concurrency_key
        ? `at most ${task.concurrency_limit ?? 1} of key ${task.concurrency_key} at a time`
        : undefined;
    default:
      return undefined;
  }
}

function dependencies({ open_dependencies = [], failed_dependencies = [] }: WaitingTask): string[] {
  const failed = new Set(failed_dependencies);
  const awaited = open_dependencies.filter((id) => !failed.has(id));
  return [
    ...(awaited.length > 0 ? [`waits for ${list(awaited)}`] : []),
    // It waits nevertheless, as it was told to, until someone cancels it.
    ...(failed.size > 0 ? [`${list(failed_dependencies)} did not succeed`] : []),
  ];
}

function time({ due_at }: WaitingTask): string[] {
  return due_at == null ? [] : [`not before ${formatTime(due_at)}`];
}

function list(ids: readonly string[]): string {
  const more = ids.length - named;
  return `${ids.slice(0, named).join(', ')}${more > 0 ? ` (+${more})` : ''}`;
}

function joined(parts: readonly string[]): string | undefined {
  return parts.length > 0 ? parts.join('; ') : undefined;
}
