/** Events of a task with everything filled in that a test does not care about. The clock of these tests starts at `t0`. */
import type {
  AssignTask,
  BlockTask,
  CancelTask,
  ClaimTask,
  CompleteTask,
  CreateTask,
  FailTask,
  LeaseExpired,
  OwnerLost,
  ReleaseTask,
  StartTask,
  SwarmFacts,
  TaskEvent,
} from '../../machines/task/events.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { tokenOf } from '../../machines/token.ts';
import { fold } from './fold.ts';

export const t0 = 1_700_000_000_000;

/** The token of the n-th ownership in the first epoch. */
export const token = (ownership: number, epoch = 1) => tokenOf(epoch, ownership);

export const fitSwarm: SwarmFacts = {
  registration: 'registered',
  liveness: 'online',
  circuit: 'closed',
  circuit_reasons: [],
  capabilities: ['code:ts', 'code:py'],
  revision: 7,
};

export const create = (fields: Partial<CreateTask> = {}): CreateTask => ({
  type: 'CREATE',
  at: t0,
  task_type: 'review',
  by: 'alpha',
  trace_id: 'trace-1',
  open_dependencies: [...(fields.depends_on ?? [])],
  ...fields,
});

/** Kept for `to` from `t0 + 2` on for a second. */
export const assignTo = (to: string | null, fields: Partial<AssignTask> = {}): AssignTask => ({
  type: 'ASSIGN',
  at: t0 + 2,
  to,
  until: t0 + 1_002,
  match_score: 1,
  combined_score: 0.5,
  reason: to === null ? 'nobody is left' : `${to} is best`,
  ...fields,
});

export const claim = (fields: Partial<ClaimTask> = {}): ClaimTask => ({
  type: 'CLAIM',
  at: t0 + 10,
  owner: 'beta',
  epoch: 1,
  swarm: fitSwarm,
  min_capability_match: 0.7,
  reserve_usd: null,
  ...fields,
});

export const start = (fields: Partial<StartTask> = {}): StartTask => ({
  type: 'START',
  at: t0 + 20,
  by: 'beta',
  token: token(1),
  ...fields,
});

export const complete = (fields: Partial<CompleteTask> = {}): CompleteTask => ({
  type: 'COMPLETE',
  at: t0 + 30,
  by: 'beta',
  token: token(1),
  result: { ok: true },
  ...fields,
});

export const fail = (fields: Partial<FailTask> = {}): FailTask => ({
  type: 'FAIL',
  at: t0 + 30,
  by: 'beta',
  token: token(1),
  error: 'it broke',
  ...fields,
});

export const release = (fields: Partial<ReleaseTask> = {}): ReleaseTask => ({
  type: 'RELEASE',
  at: t0 + 30,
  by: 'beta',
  token: token(1),
  ...fields,
});

/** By default when the lease of `claim()` is over. */
export const expire = (fields: Partial<LeaseExpired> = {}): LeaseExpired => ({
  type: 'LEASE_EXPIRED',
  at: t0 + 10 + 30_000,
  token: token(1),
  lease_expires_at: t0 + 10 + 30_000,
  ...fields,
});

export const ownerLost = (reason: OwnerLost['reason'], fields: Partial<OwnerLost> = {}): OwnerLost => ({
  type: 'OWNER_LOST',
  at: t0 + 30,
  owner: 'beta',
  reason,
  ...fields,
});

export const block = (fields: Partial<BlockTask> = {}): BlockTask => ({
  type: 'BLOCK',
  at: t0 + 40,
  by: 'beta',
  token: token(1),
  blocker_id: 'blocker-1',
  ...fields,
});

export const unblock = (blocker_id = 'blocker-1', at = t0 + 50) => ({ type: 'UNBLOCK', at, blocker_id }) as const;

export const cancel = (fields: Partial<CancelTask> = {}): CancelTask => ({
  type: 'CANCEL',
  at: t0 + 60,
  by: 'alpha',
  reason: null,
  ...fields,
});

export const due = (at: number) => ({ type: 'DUE', at }) as const;

export const done = (dependency: string, at = t0 + 5) => ({ type: 'DEPENDENCY_DONE', at, dependency }) as const;

export const dependencyFailed = (dependency: string, reason = 'cancelled', at = t0 + 5) =>
  ({ type: 'DEPENDENCY_FAILED', at, dependency, reason }) as const;

/** The task after these events, all of which must be accepted. */
export const having = (...events: TaskEvent[]) => fold(taskMachine, events);

/** Why the task refuses an event; undefined when it accepts it. */
export const refused = (snapshot: ReturnType<typeof having>, event: TaskEvent) => taskMachine.explain(snapshot, event);
