/** What is decided about tasks by configuration: the settings of the process, and the governor's policy, which may change. */
import type { GovernorPolicy } from '../../../machines/policy/values.ts';
import type { PolicyKnown } from '../../policy-known.ts';

/** These hold as long as the process runs. */
export interface TaskSettings {
  /** The lease of a task that asks for none of its own, milliseconds. */
  readonly lease_ms: number;
  /** How long a task that has ended stays in the log, milliseconds; and `youngestTrimmedMs` at least. */
  readonly archive_after_ms: number;
}

const governed = [
  'min_capability_match',
  'circuit_breaker_failure_threshold',
  'max_cost_per_task',
  'reputation_half_life_ms',
  'open_circuit_tasks',
  'assign_tasks',
  'assign_timeout_ms',
] as const satisfies readonly (keyof GovernorPolicy)[];

/** All of it. What policy says is to be read when it is needed: the next time it may say something else. */
export type TaskPolicy = Readonly<Pick<GovernorPolicy, (typeof governed)[number]>> & TaskSettings;

/** The policy in force, whenever a value is read. */
export function governedTasks(policy: Pick<PolicyKnown, 'current'>, settings: TaskSettings): TaskPolicy {
  const { lease_ms, archive_after_ms } = settings;
  const values = { lease_ms, archive_after_ms };
  for (const name of governed)
    Object.defineProperty(values, name, { enumerable: true, get: () => policy.current[name] });
  return values as TaskPolicy;
}
