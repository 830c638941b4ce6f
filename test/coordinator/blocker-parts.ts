/** Two processes' parts in blockers on one log with a simulated clock, a task to block, and swarms that can help. */
import { BlockerOperations } from '../../actors/coordinator/blockers/blocker-operations.ts';
import type { BlockerReport } from '../../actors/coordinator/blockers/blocker-reporting.ts';
import { PolicyKnown } from '../../actors/policy-known.ts';
import { SwarmIndex } from '../../actors/swarm-index/swarm-index.ts';
import { formatRef } from '../../machines/address.ts';
import { defaultPolicy, type GovernorPolicy } from '../../machines/policy/values.ts';
import { refOf } from '../../machines/record.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { SimulatedClock } from '../../src/clock.ts';
import { FabricError } from '../../src/errors.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { Lanes } from '../../src/store/lanes.ts';
import { MemoryRecordLog } from '../../src/store/memory-record-log.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { newId } from '../../src/store/unique-id.ts';
import { cause, claim, create } from '../store/fixtures.ts';

export interface Told {
  readonly to: string;
  readonly type: string;
  readonly notice: { readonly id: string; readonly type: string };
}

/** A coordinator's part in blockers, on a log that others use as well. */
export class Process {
  readonly store: ActorStore;
  readonly blockers: BlockerOperations;
  readonly told: Told[] = [];
  readonly swarms = new SwarmIndex();

  constructor(log: MemoryRecordLog, clock: SimulatedClock, policy: Partial<GovernorPolicy> = {}) {
    this.store = new ActorStore({
      log,
      clock,
      newId,
      onCommit: (committed) => {
        for (const stored of committed) {
          if (stored.record.kind === 'swarm') this.swarms.apply(stored);
          this.blockers.apply(stored);
          this.blockers.committed(stored);
        }
      },
    });
    this.blockers = new BlockerOperations({
      store: this.store,
      lanes: new Lanes(),
      newId,
      notify: (to, type, notice) => this.told.push({ to, type, notice }),
      helpers: { swarms: this.swarms, policy: new PolicyKnown({ ...defaultPolicy, ...policy }) },
    });
  }
}

export const report: BlockerReport = {
  type: 'missing-access',
  description: 'no access to the staging database',
  severity: 'high',
  required_capabilities: ['ops:database', 'ops:access'],
};

export function blockerWorld() {
  const log = new MemoryRecordLog();
  const clock = new SimulatedClock();
  const one = new Process(log, clock);
  const other = new Process(log, clock);
  const task = async (id = 't') => {
    const stored = await log.read({ kind: 'task', id });
    const context = stored?.record.snapshot.context as TaskContext;
    return { state: stored?.record.snapshot.value, n: stored?.record.n, ...context };
  };
  const dispatch = async (event: { type: string }, id = 't', at = one) =>
    await at.store.dispatch(taskMachine, id, event, cause);
  /** A task of `alpha` that `beta` owns; the token of that ownership. */
  const owned = async (by = 'alpha') => {
    await dispatch({ ...create, by } as never);
    await dispatch(claim('beta') as never);
    return (await task()).token!;
  };
  /** A swarm registers that can do what the report asks for; both processes know it. */
  const able = async (id: string, fields: object = {}, at = one) => {
    const event = { type: 'REGISTER', capabilities: report.required_capabilities, cost_per_hour: 1, ...fields };
    const stored = await at.store.dispatch(swarmMachine, id, event, { by: id, trace_id: 'trace-2' });
    for (const process of [one, other]) process.swarms.apply(stored);
  };
  return { log, clock, one, other, task, dispatch, owned, able };
}

export const refusal = async (promise: Promise<unknown>): Promise<string> =>
  await promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof FabricError ? error.code : String(error)),
  );

export const history = (stored: readonly StoredRecord[]): string[] =>
  stored.map(({ record }) => `${formatRef(refOf(record)).split(':')[0]} ${record.event.type}`);
