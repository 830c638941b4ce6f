/**
 * One process with a coordinator in it: the real one, without a bus, with residents and views of its own. When it dies,
 * everything that it began stays unfinished.
 */
import pino from 'pino';
import { CoordinatorCore } from '../../actors/coordinator/core.ts';
import { FleetKnown } from '../../actors/fleet-known.ts';
import { Budgets } from '../../actors/governor/budgets.ts';
import { PolicyKnown } from '../../actors/policy-known.ts';
import type { GovernorPolicy } from '../../machines/policy/values.ts';
import type { SimulatedClock } from '../../src/clock.ts';
import { FabricError } from '../../src/errors.ts';
import { GroupCommit } from '../../src/store/group-commit.ts';
import { Lanes } from '../../src/store/lanes.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import type { Registers } from '../../src/store/registers.ts';
import type { Timer, Timers } from '../../src/store/timers.ts';
import type { Interleaving } from './interleaving.ts';
import { LaggingView } from './lagging-view.ts';
import { Reach } from './reach.ts';
import { ReachedLog, ReachedRegisters, ReachedTimers } from './reached.ts';
import type { SharedLog } from './shared-log.ts';

export const livenessMs = 3_000;

const settings = { lease_ms: 1_000, liveness_ms: livenessMs, archive_after_ms: 3_600_000 };

export interface ProcessOptions {
  readonly name: string;
  readonly shared: SharedLog;
  readonly timers: Timers;
  readonly registers: Registers;
  readonly interleaving: Interleaving;
  readonly clock: SimulatedClock;
  readonly newId: () => string;
  readonly policy: GovernorPolicy;
}

export class CoordinatorProcess {
  readonly name: string;
  readonly reach: Reach;
  readonly budgets: Budgets;
  readonly #core: CoordinatorCore;

  constructor({ name, shared, timers, registers, interleaving, clock, newId, policy }: ProcessOptions) {
    this.name = name;
    this.reach = new Reach(name, interleaving);
    this.#core = new CoordinatorCore({
      records: new GroupCommit(new ReachedLog(this.reach, shared)),
      timers: new ReachedTimers(this.reach, timers),
      registers: new ReachedRegisters(this.reach, registers),
      log: pino({ level: 'silent' }),
      policy: new PolicyKnown(policy),
      settings,
      epoch: 1,
      notify: () => {},
      clock,
      newId,
      random: () => 0.5,
      // One at a time, so that wide fans are not needed to find out what happens between two commits.
      settledPerCommit: 1,
    });
    const fleet = new FleetKnown();
    this.budgets = new Budgets({ store: this.#core.store, lanes: new Lanes(), newId, clock, fleet });
    const onRecord = (stored: StoredRecord) => {
      fleet.apply(stored);
      this.#core.seen(stored);
    };
    const follower = new LaggingView({ shared, reach: this.reach, onRecord });
    this.#core.followedBy(follower);
    follower.start();
  }

  get alive(): boolean {
    return !this.reach.dead;
  }
  get store(): CoordinatorCore['store'] {
    return this.#core.store;
  }
  get tasks(): CoordinatorCore['tasks'] {
    return this.#core.tasks;
  }
  get swarms(): CoordinatorCore['swarms'] {
    return this.#core.swarms;
  }
  get blockers(): CoordinatorCore['blockers'] {
    return this.#core.blockers;
  }
  get lists(): CoordinatorCore['lists'] {
    return this.#core.lists;
  }
  get leases(): CoordinatorCore['leases'] {
    return this.#core.leases;
  }
  get liveness(): CoordinatorCore['liveness'] {
    return this.#core.liveness;
  }
  get next(): CoordinatorCore['next'] {
    return this.#core.next;
  }

  /** A request of this caller, which is a sign of life before it is anything else. */
  async answer<Answer>(by: string, run: () => Promise<Answer>): Promise<Answer> {
    await this.#core.liveness.onCaller(by);
    return await run();
  }

  /** The swarm leaves, and its tasks go back. */
  async unregister(swarm_id: string): Promise<void> {
    await this.#core.swarms.unregister(swarm_id);
    await this.#core.returnTasks(swarm_id);
  }

  /** A timer is due, and this process was handed it. */
  async due(timer: Timer): Promise<void> {
    await this.#core.due(timer);
  }

  /** One round of the net under timers and effects; what one part of it cannot reach keeps no other from its turn. */
  async sweep(): Promise<void> {
    for (const part of Object.values(this.#core.swept)) await tolerant(Promise.resolve(part()));
    await this.#core.settling.idle();
  }
}

async function tolerant(running: Promise<unknown>): Promise<void> {
  await running.catch((error: unknown) => {
    if (!(error instanceof FabricError)) throw error;
  });
}
