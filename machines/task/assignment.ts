/**
 * For whom an available task is kept: one swarm at a time, for a while, before all may claim it. Whatever becomes of
 * the assignment, the time of every while is on record, so that a task is never kept for longer than that.
 */
import { isSwarmId, operatorId } from '../address.ts';
import { type EventRules, either, type Rule } from '../rules.ts';
import { type Assignment, maxAsked, type TaskContext, type TaskState } from './context.ts';
import { type AssignTask, type ClaimTask, passingsOver } from './events.ts';

/** The assignment of a task that has just become available: kept for whoever it will be assigned to. */
export function firstAssignment(assign_timeout_ms: number | null, at: number): Assignment | null {
  if (assign_timeout_ms === null) return null;
  return { to: null, until: at + assign_timeout_ms, asked: [], reason: null };
}

/** What an ASSIGN leaves. */
export function assigned(before: Assignment | null, event: AssignTask): Assignment {
  const asked = before?.asked ?? [];
  const { to, at, reason } = event;
  if (to === null) return { to: null, until: at, asked, reason };
  const match_score = event.match_score ?? null;
  const combined_score = event.combined_score ?? null;
  return {
    to,
    until: event.until,
    asked: [...asked, { swarm_id: to, at, until: event.until, match_score, combined_score }],
    reason,
  };
}

/** Whether the task is kept at this time from this swarm. */
export function isKeptFrom({ assignment }: Pick<TaskContext, 'assignment'>, swarm_id: string, at: number): boolean {
  return assignment != null && at < assignment.until && assignment.to !== swarm_id;
}

/** Whether the assignment is over, and the task open to all for good in this round. */
export function isOpenToAll({ assignment }: Pick<TaskContext, 'assignment'>): boolean {
  return assignment == null || (assignment.to === null && assignment.reason !== null);
}

/** The end of the while in which it is kept, as people read it. */
function timeOf(assignment: TaskContext['assignment']): string {
  return new Date(assignment?.until ?? 0).toISOString();
}

/** A claim by anyone but the swarm that the task is kept for. */
export const notKeptForAnother: Rule<TaskContext, ClaimTask> = {
  code: 'TASK_NOT_AVAILABLE',
  broken: (task, { owner, at }) => isKeptFrom(task, owner, at),
  message: ({ assignment }) =>
    `the task is kept for ${assignment?.to ?? 'a swarm that is being chosen'} until ${timeOf(assignment)}; claim it then`,
  details: ({ assignment }) => ({ assigned_to: assignment?.to ?? null, until: assignment?.until }),
};

const isAssignable: Rule<TaskContext, AssignTask> = {
  code: 'CONFLICT',
  broken: ({ assignment }) => assignment == null,
  message: () => 'the task is open to all from the start; only a task that was created with assign is assigned',
};

const validAssignee: Rule<TaskContext, AssignTask> = {
  code: 'INVALID_REQUEST',
  broken: (_, { to }) => to !== null && (!isSwarmId(to) || to === operatorId),
  message: (_, { to }) => `to is ${JSON.stringify(to)}; allowed: the id of a swarm, or null for all`,
  details: () => ({ field: 'to' }),
};

const validWhile: Rule<TaskContext, AssignTask> = {
  code: 'INVALID_REQUEST',
  broken: (_, { to, until, at }) => to !== null && !(Number.isSafeInteger(until) && until > at),
  message: (_, { until, at }) => `until is ${until}; allowed: a time after ${at}`,
  details: () => ({ field: 'until' }),
};

const validPassingOver: Rule<TaskContext, AssignTask> = {
  code: 'INVALID_REQUEST',
  broken: (_, { passed_over }) => passed_over != null && !passingsOver.includes(passed_over.why),
  message: (_, { passed_over }) =>
    `passed_over.why is ${JSON.stringify(passed_over?.why)}; allowed: ${either(passingsOver)}`,
  details: () => ({ field: 'passed_over' }),
};

/** So that of two who assign at once only one does, and a swarm that can claim has the time that it was given. */
const notKeptYet: Rule<TaskContext, AssignTask> = {
  code: 'CONFLICT',
  broken: ({ assignment }, { at, passed_over }) =>
    assignment?.to != null && at < assignment.until && passed_over?.swarm_id !== assignment.to,
  message: ({ assignment }) =>
    `the task is kept for ${assignment?.to} until ${timeOf(assignment)}; assign it again then`,
  details: ({ assignment }) => ({ assigned_to: assignment?.to, until: assignment?.until }),
};

const notAskedYet: Rule<TaskContext, AssignTask> = {
  code: 'CONFLICT',
  broken: ({ assignment }, { to }) => assignment?.asked.some(({ swarm_id }) => swarm_id === to) ?? false,
  message: (_, { to }) => `the task was assigned to ${to} before and was not claimed; assign it to another, or to all`,
};

const notOpenYet: Rule<TaskContext, AssignTask> = {
  code: 'CONFLICT',
  broken: (task, { to }) => to === null && isOpenToAll(task),
  message: () => 'the task is open to all already; there is nothing to change',
};

const roomToAsk: Rule<TaskContext, AssignTask> = {
  code: 'CAPACITY_EXCEEDED',
  broken: ({ assignment }, { to }) => to !== null && (assignment?.asked.length ?? 0) >= maxAsked,
  message: () => `the task was assigned to ${maxAsked} swarms and none claimed it; open it to all`,
  details: () => ({ max_asked: maxAsked }),
};

export const assignRules: EventRules<TaskContext, AssignTask, TaskState> = {
  states: ['available'],
  authority: [],
  facts: [validAssignee, validWhile, validPassingOver, isAssignable, notKeptYet, notAskedYet, notOpenYet, roomToAsk],
};
