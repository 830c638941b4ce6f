/** When each event of a task is refused, and how that is said. The state chart in `machine.ts` asks the same table. */

import { operatorId } from '../address.ts';
import { capabilityMatch, missingCapabilities } from '../capability.ts';
import { distinct } from '../equality.ts';
import type { Refusal } from '../machine.ts';
import { isUsd } from '../money.ts';
import { type EventRules, either, firstRefusal, type Rule, rulesOf, unknownEvent } from '../rules.ts';
import { openCircuit } from '../swarm/circuit-advice.ts';
import { epochOf, maxEpoch } from '../token.ts';
import { assignRules, notKeptForAnother } from './assignment.ts';
import { contentOf, invalidContent } from './content.ts';
import { ownedStates, type TaskContext, type TaskState } from './context.ts';
import type { ClaimTask, TaskEvent, TaskEventOf, TaskEventType } from './events.ts';
import { everOwned, holds } from './ownership.ts';

type TaskRule<Type extends TaskEventType> = Rule<TaskContext, TaskEventOf<Type>>;

/** The caller owned the task, but that ownership has ended or the token is of an earlier one. */
const staleToken: TaskRule<'START' | 'COMPLETE' | 'FAIL' | 'RELEASE' | 'BLOCK'> = {
  code: 'STALE_TOKEN',
  broken: (task, event) => !holds(task, event.by, event.token) && everOwned(task, event.by),
  message: (_, event) =>
    `swarm ${event.by} no longer owns the task under this token; its work counts only after it claims the task again`,
  details: (task) => ({ owner: task.owner }),
};

const notOwner: TaskRule<'START' | 'COMPLETE' | 'FAIL' | 'RELEASE' | 'BLOCK'> = {
  code: 'NOT_OWNER',
  broken: (task, event) => !holds(task, event.by, event.token),
  message: (task, event) =>
    `${event.by} does not own the task, ${task.owner === null ? 'no one does' : `${task.owner} does`}; claim it first`,
  details: (task) => ({ owner: task.owner }),
};

const byOwner = [staleToken, notOwner];

const validContent: TaskRule<'CREATE'> = {
  code: 'INVALID_REQUEST',
  broken: (_, event) => invalidContent(contentOf(event)) !== undefined,
  message: (_, event) => {
    const wrong = invalidContent(contentOf(event));
    return `${wrong?.field} is ${JSON.stringify(wrong?.value)}; allowed: ${wrong?.allowed}`;
  },
  details: (_, event) => ({ field: invalidContent(contentOf(event))?.field }),
};

const validAssignTimeout: TaskRule<'CREATE'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { assign_timeout_ms: time }) => time != null && !(Number.isSafeInteger(time) && time >= 1),
  message: (_, { assign_timeout_ms: time }) => `assign_timeout_ms is ${time}; allowed: whole milliseconds from 1`,
  details: () => ({ field: 'assign_timeout_ms' }),
};

const knownDependencies: TaskRule<'CREATE'> = {
  code: 'INVALID_REQUEST',
  broken: (_, event) => strayDependencies(event).length > 0,
  message: (_, event) => `dependencies are said to be open that depends_on does not name: ${strayDependencies(event)}`,
};

function strayDependencies(event: TaskEventOf<'CREATE'>): string[] {
  const open = event.open_dependencies;
  const stray = open.filter((id) => !event.depends_on?.includes(id));
  return distinct([...stray, ...(event.failed_dependencies ?? []).filter((id) => !open.includes(id))]);
}

const dependencyIsOpen: TaskRule<'DEPENDENCY_DONE' | 'DEPENDENCY_FAILED'> = {
  code: 'TASK_NOT_AVAILABLE',
  broken: (task, event) => !task.open_dependencies.includes(event.dependency),
  message: (task, event) =>
    `the task does not wait for ${event.dependency}; it waits for ${task.open_dependencies.join(', ') || 'its time'}`,
};

const failureIsNews: TaskRule<'DEPENDENCY_FAILED'> = {
  code: 'TASK_NOT_AVAILABLE',
  broken: (task, event) => task.failed_dependencies.includes(event.dependency),
  message: (_, event) => `that ${event.dependency} failed is on record, and the task waits nevertheless`,
};

const nothingOpen: TaskRule<'DUE'> = {
  code: 'TASK_NOT_AVAILABLE',
  broken: (task) => task.open_dependencies.length > 0,
  message: (task) => `the task still waits for ${task.open_dependencies.join(', ')}`,
  details: (task) => ({ open_dependencies: task.open_dependencies }),
};

const timeHasCome: TaskRule<'DUE'> = {
  code: 'TASK_NOT_AVAILABLE',
  broken: (task, event) => task.due_at !== null && event.at < task.due_at,
  message: (task, event) => `the task is due at ${task.due_at}, and it is ${event.at}`,
  details: (task) => ({ due_at: task.due_at }),
};

/** Whether a swarm is fit to claim; the order is that in which a refusal is reported. */
const claimRules: TaskRule<'CLAIM'>[] = [
  {
    code: 'SWARM_NOT_FOUND',
    broken: (_, { swarm }) => swarm.registration !== 'registered',
    message: (_, { owner, swarm }) => `swarm ${owner} is ${swarm.registration}, not registered; register it first`,
    details: (_, { swarm }) => ({ registration: swarm.registration }),
  },
  {
    code: 'SWARM_OFFLINE',
    broken: (_, { swarm }) => swarm.liveness !== 'online',
    message: (_, { owner }) => `swarm ${owner} is offline; a heartbeat brings it back`,
  },
  {
    code: 'CIRCUIT_OPEN',
    broken: (_, { swarm }) => swarm.circuit !== 'closed',
    message: (_, { owner, swarm }) => `the circuit of swarm ${owner} is ${openCircuit(swarm.circuit_reasons)}`,
    details: (_, { swarm }) => ({ circuit_reasons: swarm.circuit_reasons }),
  },
  {
    code: 'CAPABILITY_MISSING',
    broken: (task, { swarm, min_capability_match }) =>
      capabilityMatch(swarm.capabilities, task.requires) < min_capability_match,
    message: (task, { owner, swarm, min_capability_match }) =>
      `swarm ${owner} lacks ${missingCapabilities(swarm.capabilities, task.requires).join(', ')}: it matches ` +
      `${capabilityMatch(swarm.capabilities, task.requires)} of what is required, at least ${min_capability_match} is asked`,
    details: (task, { swarm, min_capability_match }) => ({
      missing: missingCapabilities(swarm.capabilities, task.requires),
      match: capabilityMatch(swarm.capabilities, task.requires),
      min_capability_match,
    }),
  },
  {
    code: 'BUDGET_EXHAUSTED',
    broken: (task, event) => (event.reserve_usd ?? 0) < (task.cost_estimate ?? 0),
    message: (task, event) =>
      `the task is estimated at ${task.cost_estimate} dollars and the claim reserves ${event.reserve_usd ?? 'nothing'}`,
    details: (task) => ({ cost_estimate: task.cost_estimate }),
  },
  {
    // A coordinator that has not noticed the new epoch would hand out tokens smaller than those of the past.
    code: 'UNAVAILABLE',
    broken: (task, { epoch }) =>
      !Number.isSafeInteger(epoch) || epoch < 1 || epoch > maxEpoch || epoch < latestEpoch(task),
    message: (task, { epoch }) => `epoch ${epoch} cannot follow epoch ${latestEpoch(task)} of the task; try again`,
  },
];

/** The latest epoch of any token of the task. */
export function latestEpoch(task: TaskContext): number {
  let latest = task.token === null ? 1 : epochOf(task.token);
  for (const token of Object.values(task.past_owners)) latest = Math.max(latest, epochOf(token));
  return latest;
}

const validCost: TaskRule<'COMPLETE'> = {
  code: 'INVALID_REQUEST',
  broken: (_, { cost }) => cost != null && !isUsd(cost.cost_usd),
  message: (_, { cost }) => `cost_usd is ${cost?.cost_usd}; allowed: dollars from 0 with at most six decimals`,
  details: () => ({ field: 'cost_usd' }),
};

const tokenOfLease: TaskRule<'LEASE_EXPIRED'> = {
  code: 'STALE_TOKEN',
  broken: (task, event) => event.token !== task.token,
  message: () => 'the lease that ran out is of an ownership that has ended already',
};

/** The later of the recorded and the renewed deadline counts, so that a lease never ends early. */
const leaseIsOver: TaskRule<'LEASE_EXPIRED'> = {
  code: 'TASK_NOT_AVAILABLE',
  broken: (task, event) => event.at < leaseEnd(task, event),
  message: (task, event) => `the lease runs until ${leaseEnd(task, event)}, and it is ${event.at}`,
  details: (task, event) => ({ lease_expires_at: leaseEnd(task, event) }),
};

function leaseEnd(task: TaskContext, event: TaskEventOf<'LEASE_EXPIRED'>): number {
  return Math.max(task.lease_expires_at ?? 0, event.lease_expires_at);
}

const ownerIsTheLost: TaskRule<'OWNER_LOST'> = {
  code: 'NOT_OWNER',
  broken: (task, event) => event.owner !== task.owner,
  message: (task, event) => `${event.owner} is lost, but the owner is ${task.owner ?? 'no one'}`,
  details: (task) => ({ owner: task.owner }),
};

const blockerIsTheOne: TaskRule<'UNBLOCK'> = {
  code: 'TASK_NOT_AVAILABLE',
  broken: (task, event) => event.blocker_id !== task.blocker_id,
  message: (task, event) => `the task is blocked by ${task.blocker_id}, not by ${event.blocker_id}`,
  details: (task) => ({ blocker_id: task.blocker_id }),
};

const mayCancel: TaskRule<'CANCEL'> = {
  code: 'UNAUTHORIZED',
  broken: (task, { by }) => by !== task.created_by && by !== operatorId,
  message: (task, { by }) => `${by} may not cancel the task; ${task.created_by}, who created it, or an operator may`,
  details: (task) => ({ created_by: task.created_by }),
};

const open = ['waiting', 'available', ...ownedStates] as const;

export const taskRules: { readonly [Type in TaskEventType]: EventRules<TaskContext, TaskEventOf<Type>, TaskState> } = {
  CREATE: { states: ['absent'], authority: [], facts: [validContent, validAssignTimeout, knownDependencies] },
  DEPENDENCY_DONE: { states: ['waiting'], authority: [], facts: [dependencyIsOpen] },
  DEPENDENCY_FAILED: { states: ['waiting'], authority: [], facts: [dependencyIsOpen, failureIsNews] },
  DUE: { states: ['waiting'], authority: [], facts: [nothingOpen, timeHasCome] },
  ASSIGN: assignRules,
  CLAIM: { states: ['available'], authority: [], facts: [notKeptForAnother, ...claimRules] },
  START: { states: ['claimed'], authority: byOwner, facts: [] },
  COMPLETE: { states: ['claimed', 'in_progress'], authority: byOwner, facts: [validCost] },
  FAIL: { states: ownedStates, authority: byOwner, facts: [] },
  RELEASE: { states: ownedStates, authority: byOwner, facts: [] },
  LEASE_EXPIRED: { states: ['claimed', 'in_progress'], authority: [tokenOfLease], facts: [leaseIsOver] },
  OWNER_LOST: { states: ownedStates, authority: [ownerIsTheLost], facts: [] },
  BLOCK: { states: ['claimed', 'in_progress'], authority: byOwner, facts: [] },
  UNBLOCK: { states: ['blocked'], authority: [], facts: [blockerIsTheOne] },
  CANCEL: { states: open, authority: [mayCancel], facts: [] },
};

/** The same table for a type that is not known at compile time, such as that of an event read from a record. */
export function rulesOfTask(type: string): EventRules<TaskContext, TaskEvent, TaskState> | undefined {
  return rulesOf<EventRules<TaskContext, TaskEvent, TaskState>>(taskRules, type);
}

/** Why the event would be refused in this state; undefined when it would be accepted. */
export function explainTask(state: TaskState, context: TaskContext, event: TaskEvent): Refusal | undefined {
  const rules = rulesOfTask(event.type);
  if (!rules) return unknownEvent('task', event.type, Object.keys(taskRules));
  if (state === 'absent' && event.type !== 'CREATE') {
    return { code: 'TASK_NOT_FOUND', message: 'there is no such task; check the id, or create it first' };
  }
  return (
    firstRefusal(rules.authority, context, event) ??
    (rules.states.includes(state) ? undefined : wrongState(state, context, event, rules.states)) ??
    firstRefusal(rules.facts, context, event)
  );
}

function wrongState(state: TaskState, context: TaskContext, event: TaskEvent, states: readonly TaskState[]): Refusal {
  const details = { state, owner: context.owner };
  if (event.type === 'CREATE') {
    return { code: 'TASK_EXISTS', message: 'a task of this id exists; choose another id', details };
  }
  const owner = context.owner === null ? '' : ` (owner ${context.owner})`;
  return {
    code: 'TASK_NOT_AVAILABLE',
    message: `the task is ${state}${owner}; ${event.type} needs it to be ${either(states)}`,
    details,
  };
}

/** Why a swarm does not qualify for a task, whatever the task's state; undefined when it does. */
export function explainFitness(context: TaskContext, claim: ClaimTask): Refusal | undefined {
  return firstRefusal(claimRules, context, claim);
}
