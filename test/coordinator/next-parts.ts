/** Records as the parts of `task.next` take them in, and one process that hands out tasks over any log. */
import { NextTask, type NextTaskOptions } from '../../actors/coordinator/next/next-task.ts';
import { SwarmOperations } from '../../actors/coordinator/swarms/swarm-operations.ts';
import type { NewTask } from '../../actors/coordinator/tasks/task-creation.ts';
import { TaskOperations } from '../../actors/coordinator/tasks/task-operations.ts';
import type { TaskPolicy } from '../../actors/coordinator/tasks/task-policy.ts';
import { FleetKnown } from '../../actors/fleet-known.ts';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { absentSwarm, type SwarmContext, type SwarmState } from '../../machines/swarm/context.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { absentTask, type TaskContext, type TaskState } from '../../machines/task/context.ts';
import { systemClock } from '../../src/clock.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { Lanes } from '../../src/store/lanes.ts';
import type { RecordLog, StoredRecord } from '../../src/store/record-log.ts';
import { newId } from '../../src/store/unique-id.ts';

function stored(kind: string, id: string, revision: number, snapshot: StoredRecord['record']['snapshot']) {
  const event = { id: `e${revision}`, type: 'TEST' };
  return { revision, record: { v: 1, kind, id, n: 1, event, at: 0, by: 'test', trace_id: 'trace', snapshot } };
}

export function taskRecord(
  id: string,
  revision: number,
  state: TaskState,
  context: Partial<TaskContext> = {},
): StoredRecord {
  const whole = { ...absentTask, task_type: 'build', ...context };
  return stored('task', id, revision, { status: 'active', value: state, context: whole });
}

export function swarmRecord(
  id: string,
  revision: number,
  context: Partial<SwarmContext> = {},
  state: Partial<SwarmState> = {},
): StoredRecord {
  const value: SwarmState = { registration: 'registered', liveness: 'online', circuit: 'closed', ...state };
  return stored('swarm', id, revision, { status: 'active', value, context: { ...absentSwarm, ...context } });
}

export const policy: TaskPolicy = { ...defaultPolicy, lease_ms: 30_000, archive_after_ms: 3_600_000 };

/** What hands out tasks in one process, without a bus: claims are real transactions on the log. */
export interface NextProcess {
  readonly store: ActorStore;
  readonly tasks: TaskOperations;
  readonly swarms: SwarmOperations;
  readonly next: NextTask;
  register(swarm_id: string, description?: { capabilities?: string[]; max_concurrent_tasks?: number }): Promise<void>;
  /** Creates tasks of one type, one after the other. */
  create(...tasks: (Partial<NewTask> & { task_id: string })[]): Promise<void>;
  /** An event for a swarm, as an operator or the governor sends it. */
  tell(swarm_id: string, event: { type: string; [field: string]: unknown }): Promise<void>;
}

export function nextProcess(
  log: RecordLog,
  options: Partial<Omit<NextTaskOptions, 'claim'>> & { onCommit?: (stored: StoredRecord) => void } = {},
): NextProcess {
  const { onCommit, ...nextOptions } = options;
  const lanes = new Lanes();
  const fleet = new FleetKnown();
  const store: ActorStore = new ActorStore({
    log,
    clock: systemClock,
    newId,
    onCommit: (committed) => {
      for (const one of committed) {
        fleet.apply(one);
        next.apply(one, true);
        onCommit?.(one);
      }
    },
  });
  const tasks = new TaskOperations({ store, lanes, policy, fleet, epoch: 1, newId, dependentsOf: () => [] });
  const swarms = new SwarmOperations({ store, lanes, newId });
  const next: NextTask = new NextTask({
    claim: async (by, task_id) => await tasks.claim(by, task_id, { fresh: true }),
    readSwarm: async (id) => await store.read({ kind: swarmMachine.kind, id }),
    catchUp: async () => {},
    minCapabilityMatch: () => policy.min_capability_match,
    fleet,
    ...nextOptions,
  });
  return {
    store,
    tasks,
    swarms,
    next,
    async register(swarm_id, { capabilities = [], max_concurrent_tasks } = {}) {
      await swarms.register(swarm_id, { capabilities, cost_per_hour: 0, max_concurrent_tasks });
    },
    async create(...created) {
      for (const task of created) await tasks.create('operator', { task_type: 'build', ...task });
    },
    async tell(swarm_id, event) {
      await store.dispatch(swarmMachine, swarm_id, event, { by: 'operator', trace_id: newId() });
    },
  };
}

/** The id of the task that was handed out; undefined for none. */
export function taskOf(answer: Awaited<ReturnType<NextTask['next']>>): string | undefined {
  return answer.task?.task_id;
}
