/**
 * What can happen in a fabric: requests of swarms and operators, what time does, and what goes wrong. Commands name
 * tasks and tokens relative to what there is when they run ("the owner", "an old token"), so that most of them hit.
 */
import fc from 'fast-check';
import { type Fault, faults } from './reach.ts';

export const swarmIds = ['alpha', 'beta', 'gamma'] as const;
export const taskIds = ['t0', 't1', 't2', 't3', 't4', 't5', 't6', 't7'] as const;

/** Some task, of those in this state when the command runs; any other where there is none. */
export interface Target {
  readonly among: 'owned' | 'available' | 'open' | 'any';
  readonly n: number;
}

export type SwarmId = (typeof swarmIds)[number];
export type Caller = SwarmId | 'owner' | 'creator' | 'operator';
/** Relative to the task's present ownership. */
export type TokenChoice = 'present' | 'old' | 'next' | 'none';

export interface Creation {
  readonly depends_on: readonly string[];
  readonly on_dependency_failure: 'fail' | 'wait';
  readonly concurrency_key: string | null;
  readonly singleton_key: string | null;
  readonly max_attempts: number;
  readonly retry_backoff_ms: number;
  readonly cost_estimate: number | null;
  /** From the time of creation, milliseconds. */
  readonly delay_ms: number | null;
  readonly assign: boolean;
}

/** Whose money or claims a command of an operator is about. */
export type Whom = SwarmId | 'fabric';

/** What a fabric is opened with. */
export interface Governance {
  /** Dollars for all swarms together; null: no limit but their own. */
  readonly fleet_usd: number | null;
  readonly open_circuit_tasks: 'keep' | 'return';
}

export type Command =
  | { readonly do: 'create'; readonly task_id: string; readonly by: SwarmId; readonly content: Creation }
  | { readonly do: 'claim'; readonly task: Target; readonly by: SwarmId }
  | { readonly do: 'next'; readonly by: SwarmId; readonly wait_ms: number }
  | {
      readonly do: 'start' | 'release' | 'block' | 'renew';
      readonly task: Target;
      readonly by: Caller;
      readonly token: TokenChoice;
    }
  | {
      readonly do: 'fail';
      readonly task: Target;
      readonly by: Caller;
      readonly token: TokenChoice;
      readonly retryable: boolean;
    }
  | {
      readonly do: 'complete';
      readonly task: Target;
      readonly by: Caller;
      readonly token: TokenChoice;
      /** Dollars; null where the owner does not say. */
      readonly cost_usd: number | null;
    }
  | { readonly do: 'cancel'; readonly task: Target; readonly by: Caller }
  | { readonly do: 'resolve'; readonly task: Target; readonly by: Caller }
  /** What a timer of the lease says, right or long out of date. */
  | {
      readonly do: 'lease expired';
      readonly task: Target;
      readonly token: TokenChoice;
      readonly timer: 'due' | 'early';
    }
  | { readonly do: 'owner lost'; readonly task: Target; readonly owner: SwarmId | 'owner' }
  | { readonly do: 'due'; readonly task: Target }
  /** For silence: what its timer says, right or long out of date. */
  | { readonly do: 'silence' | 'sign of life' | 'unregister' | 'register'; readonly by: SwarmId }
  /** A cost that a swarm tracks by itself, dollars. */
  | { readonly do: 'charge'; readonly by: SwarmId; readonly cost_usd: number }
  | {
      readonly do: 'allocate';
      readonly whom: Whom;
      readonly budget_usd: number | null;
      readonly per_hour_usd: number | null | undefined;
    }
  | { readonly do: 'pause'; readonly whom: Whom; readonly mode: 'pause' | 'drain' }
  | { readonly do: 'resume' | 'reset'; readonly whom: Whom }
  | { readonly do: 'sweep' }
  | { readonly do: 'time passes'; readonly ms: number }
  | { readonly do: 'die' }
  | { readonly do: 'start again' }
  | { readonly do: 'fault'; readonly fault: Fault; readonly after: number };

/** A command, by way of which process, and whether it is sent a second time at once, by way of another. */
export interface Step {
  readonly command: Command;
  readonly via: number;
  readonly twice: boolean;
}

const swarm = fc.constantFrom(...swarmIds);
const task_id = fc.constantFrom(...taskIds);
function target(...among: Array<Target['among']>): fc.Arbitrary<Target> {
  return fc.record({ among: fc.constantFrom(...among), n: fc.nat(9) });
}

const owner = fc.oneof({ weight: 6, arbitrary: fc.constant('owner' as const) }, { weight: 1, arbitrary: swarm });
const token = fc.oneof(
  { weight: 8, arbitrary: fc.constant('present' as const) },
  { weight: 2, arbitrary: fc.constantFrom('old' as const, 'next' as const) },
);

const content: fc.Arbitrary<Creation> = fc.record({
  depends_on: fc.uniqueArray(task_id, { maxLength: 3 }),
  on_dependency_failure: fc.constantFrom('fail' as const, 'wait' as const),
  concurrency_key: fc.constantFrom(null, null, 'db', 'gpu'),
  singleton_key: fc.constantFrom(null, null, null, 'only'),
  max_attempts: fc.integer({ min: 1, max: 3 }),
  retry_backoff_ms: fc.constantFrom(0, 0, 400),
  cost_estimate: fc.constantFrom(null, null, 0.5),
  delay_ms: fc.constantFrom(null, null, null, 500),
  assign: fc.constantFrom(false, false, false, true),
});

/** The command of this name with these fields, and how often it comes among the others. */
function often<const Name extends string, Fields extends object>(
  weight: number,
  name: Name,
  fields: { [K in keyof Fields]: fc.Arbitrary<Fields[K]> },
) {
  const named = fc.record(fields).map((rest) => ({ do: name, ...(rest as Fields) }));
  return { weight, arbitrary: named };
}

const ofOwner = { task: target('owned', 'owned', 'owned', 'any'), by: owner, token };
const anyToken = fc.oneof({ weight: 3, arbitrary: token }, { weight: 1, arbitrary: fc.constant('none' as const) });
const canceller = fc.constantFrom<Caller>('creator', 'operator', ...swarmIds);
const resolver = fc.constantFrom<Caller>('owner', 'operator', ...swarmIds);
const whom = fc.constantFrom<Whom>(...swarmIds, 'fabric');
const timer = fc.constantFrom('due' as const, 'early' as const);
const ms = fc.constantFrom(1, 250, 999, 1_000, 1_001, 2_500, 3_500);

const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  often(9, 'create', { task_id, by: swarm, content }),
  often(12, 'claim', { task: target('available', 'available', 'open', 'any'), by: swarm }),
  often(8, 'next', { by: swarm, wait_ms: fc.constantFrom(0, 0, 700) }),
  often(3, 'start', ofOwner),
  often(2, 'release', ofOwner),
  often(7, 'complete', { ...ofOwner, token: anyToken, cost_usd: fc.constantFrom(null, null, 0.7, 5) }),
  often(4, 'fail', { ...ofOwner, retryable: fc.boolean() }),
  often(2, 'block', ofOwner),
  often(3, 'renew', ofOwner),
  often(2, 'cancel', { task: target('open', 'any'), by: canceller }),
  often(2, 'resolve', { task: target('owned', 'any'), by: resolver }),
  often(2, 'lease expired', { task: target('owned'), token, timer }),
  often(1, 'owner lost', { task: target('owned'), owner }),
  often(1, 'due', { task: target('open') }),
  often(1, 'silence', { by: swarm }),
  often(2, 'sign of life', { by: swarm }),
  often(1, 'unregister', { by: swarm }),
  often(2, 'register', { by: swarm }),
  often(3, 'charge', { by: swarm, cost_usd: fc.constantFrom(0.000001, 0.3, 1.1) }),
  often(2, 'allocate', {
    whom,
    budget_usd: fc.constantFrom(null, 0, 0.5, 1, 3),
    per_hour_usd: fc.constantFrom(undefined, undefined, null, 0.6),
  }),
  often(1, 'pause', { whom, mode: fc.constantFrom('pause' as const, 'drain' as const) }),
  often(2, 'resume', { whom }),
  often(2, 'reset', { whom }),
  often(2, 'sweep', {}),
  often(5, 'time passes', { ms }),
  often(1, 'die', {}),
  often(2, 'start again', {}),
  often(5, 'fault', { fault: fc.constantFrom(...faults), after: fc.nat(3) }),
);

const step: fc.Arbitrary<Step> = fc.record({
  command: anyCommand,
  via: fc.nat(1),
  twice: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
});

/** What is on the board at first: tasks t0, t1, ... that depend on earlier ones. */
export const board: fc.Arbitrary<Creation[]> = fc.array(content, { minLength: 2, maxLength: 6, size: 'max' });

export const governance: fc.Arbitrary<Governance> = fc.record({
  fleet_usd: fc.constantFrom(null, 1, 3),
  open_circuit_tasks: fc.constantFrom('keep' as const, 'return' as const),
});

/** Rounds one after another; the steps of one round go on at the same time. */
export const rounds: fc.Arbitrary<Step[][]> = fc.array(fc.array(step, { minLength: 1, maxLength: 5, size: 'max' }), {
  minLength: 6,
  maxLength: 30,
  size: 'max',
});
