/**
 * What a governor does, without the bus: its operations, what it knows of the log, and its parts, each of which looks after
 * one thing. It is given the log, the timers and the clock, so that it runs on a cluster as well as on simulated ones.
 */
import { fleetRef } from '../../machines/fleet/context.ts';
import type { GovernorPolicy } from '../../machines/policy/values.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import { FabricError } from '../../src/errors.ts';
import type { Log } from '../../src/log.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import type { Follower } from '../../src/store/follower.ts';
import { Lanes } from '../../src/store/lanes.ts';
import type { RecordLog, StoredRecord } from '../../src/store/record-log.ts';
import type { Registers } from '../../src/store/registers.ts';
import type { Timer, TimerKinds, Timers } from '../../src/store/timers.ts';
import { newId as uniqueId } from '../../src/store/unique-id.ts';
import type { Notify } from '../coordinator/blockers/blocker-operations.ts';
import { Liveness } from '../coordinator/liveness/liveness.ts';
import type { SweepOptions } from '../coordinator/sweep.ts';
import { FleetKnown } from '../fleet-known.ts';
import { PolicyKnown } from '../policy-known.ts';
import { SwarmIndex } from '../swarm-index/swarm-index.ts';
import { Approvals } from './approvals/approvals.ts';
import { doApprovedActions } from './approvals/approved-actions.ts';
import { Assignment } from './assignment/assignment.ts';
import { Budgets } from './budgets.ts';
import { type CircuitParts, Circuits } from './circuits.ts';
import { FleetControls } from './fleet-controls.ts';
import { HelpForBlockers } from './help/help-for-blockers.ts';
import type { GovernorPart, GovernorParts } from './part.ts';
import { PolicyLoader } from './policy-loader.ts';
import { Reports } from './report.ts';
import { SwarmControls } from './swarm-controls.ts';

export interface GovernorCoreOptions {
  readonly records: RecordLog;
  readonly timers: Timers;
  readonly registers: Registers;
  readonly log: Log;
  /** In force until a record of the policy is seen. */
  readonly policy: GovernorPolicy;
  /** Where the policy file lies that is watched; null: whatever the record says is followed. */
  readonly policiesDir: string | null;
  readonly livenessMs: number;
  readonly notify: Notify;
  readonly deliver: CircuitParts['deliver'];
  /** Puts a task into a swarm's mailbox. @throws FabricError */
  readonly push: (to: string, task_id: string) => Promise<unknown>;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** A new unique id: `[A-Za-z0-9_-]+`. */
  readonly newId?: () => string;
}

/** The kinds of actors whose records a governor has to see. */
export const followedKinds: readonly string[] = [
  'policy',
  fleetRef.kind,
  swarmMachine.kind,
  taskMachine.kind,
  'blocker',
  'approval',
];

export class GovernorCore {
  readonly store: ActorStore;
  readonly clock: Clock;
  readonly policy: PolicyKnown;
  readonly fleet = new FleetKnown();
  readonly swarms = new SwarmIndex();
  readonly controls: SwarmControls;
  readonly fleetControls: FleetControls;
  readonly approvals: Approvals;
  readonly budgets: Budgets;
  readonly reports: Reports;
  readonly #options: GovernorCoreOptions;
  readonly #parts: Readonly<Record<string, GovernorPart>>;
  readonly #loader: PolicyLoader;
  readonly #assignment: Assignment;
  readonly #liveness: Liveness;
  #follower: Follower | undefined;

  constructor(options: GovernorCoreOptions) {
    this.#options = options;
    const { records, timers, registers, log, notify, deliver, push, clock = systemClock, newId = uniqueId } = options;
    this.store = new ActorStore({ log: records, clock, newId, onCommit: (committed) => this.#committed(committed) });
    this.clock = clock;
    this.policy = new PolicyKnown(options.policy);
    const { store, policy, swarms, fleet } = this;
    const lanes = new Lanes();
    const parts: GovernorParts = { store, lanes, timers, registers, clock, log, newId, policy, swarms, notify };
    const approvals = new Approvals(parts, { catchUp: async () => await this.catchUp('approval') });
    const gate = { policy, approvals };
    doApprovedActions(approvals);
    this.approvals = approvals;
    this.controls = new SwarmControls({ ...parts, gate });
    this.fleetControls = new FleetControls(parts);
    this.budgets = new Budgets({ ...parts, fleet, gate });
    this.reports = new Reports({
      ...parts,
      fleet: this.fleetControls,
      catchUp: async () => await this.catchUp(swarmMachine.kind),
    });
    this.#loader = new PolicyLoader(parts, { dir: options.policiesDir, initial: options.policy });
    this.#assignment = new Assignment(parts, { push, fleet });
    this.#parts = {
      policy: this.#loader,
      approvals,
      circuits: new Circuits({ ...parts, deliver }),
      help: new HelpForBlockers({ ...parts, deliver }),
      assignment: this.#assignment,
    };
    // Only who asks for something is of interest here: it is alive. Coordinators notice the silence of others.
    const tasks = { owners: () => [], ownedBy: async () => [], ownerLost: async () => {} };
    this.#liveness = new Liveness({ store, tasks, timers, clock, newId, log, livenessMs: options.livenessMs });
  }

  /** Brings the policy of the file into force, before anything is decided by it. @throws FabricError UNAVAILABLE */
  async start(): Promise<void> {
    await this.#loader.start();
  }

  /** The timers that are the governor's. */
  get ownTimers(): TimerKinds {
    return { name: 'governor', kinds: Object.values(this.#parts).flatMap(({ timers = [] }) => [...timers]) };
  }

  /** Where the records come from that `seen` is given: all that was in the log at the start has been. */
  followedBy(follower: Follower): void {
    this.#follower = follower;
    for (const part of Object.values(this.#parts)) part.begin?.();
  }

  /** Whether records of this actor in this state are to be seen: most of tasks, which are most of all, are not. */
  wants(kind: string, id: string, state: string): boolean {
    return kind !== taskMachine.kind || this.#assignment.concerns(id, state);
  }

  /** Takes in a record of another process, or one of the time before this one. */
  seen(stored: StoredRecord): void {
    this.store.learn(stored);
    this.#apply(stored);
  }

  /** A request is a sign of life; what is returned, if anything, is to be awaited before it is acted on. */
  onCaller(caller: string): Promise<void> | undefined {
    return this.#liveness.onCaller(caller);
  }

  /** Resolves when every record of this kind that was committed before the call was taken in. @throws FabricError UNAVAILABLE */
  async catchUp(kind: string): Promise<void> {
    if (!this.#follower) throw new FabricError('UNAVAILABLE', 'the governor is not ready yet; try again');
    await this.#follower.reached(await this.#options.records.lastRevision(kind));
  }

  /** Handles a due timer. @throws FabricError when it has to come again */
  async due(timer: Timer): Promise<void> {
    for (const part of Object.values(this.#parts)) if (part.timers?.includes(timer.what)) await part.due?.(timer);
  }

  /** What a sweep goes through, round after round. */
  get swept(): SweepOptions['parts'] {
    return Object.fromEntries(
      Object.entries(this.#parts).map(([name, part]) => [name, async () => await part.sweep?.()]),
    );
  }

  /** Finishes what is under way, and begins nothing. */
  async stop(): Promise<void> {
    for (const part of Object.values(this.#parts)) await part.stop?.();
    await this.#liveness.stop();
  }

  #apply(stored: StoredRecord): void {
    this.policy.apply(stored);
    this.fleet.apply(stored);
    if (stored.record.kind === swarmMachine.kind) this.swarms.apply(stored);
    this.#liveness.apply(stored);
    for (const part of Object.values(this.#parts)) part.apply?.(stored);
  }

  /** What follows from a commit of this process. All of it is found by a sweep, or comes again, if it does not happen. */
  #committed(committed: readonly StoredRecord[]): void {
    for (const stored of committed) {
      this.#apply(stored);
      for (const part of Object.values(this.#parts)) part.committed?.(stored);
    }
    this.#liveness.committed(committed);
  }
}
