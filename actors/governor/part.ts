/** What the governor is made of: parts that each look after one thing, told of every record and of their own timers. */
import type { Clock } from '../../src/clock.ts';
import type { Log } from '../../src/log.ts';
import type { ActorStore } from '../../src/store/actor-store.ts';
import type { Lanes } from '../../src/store/lanes.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import type { Registers } from '../../src/store/registers.ts';
import type { Timer, Timers } from '../../src/store/timers.ts';
import type { Notify } from '../coordinator/blockers/blocker-operations.ts';
import type { PolicyKnown } from '../policy-known.ts';
import type { SwarmIndex } from '../swarm-index/swarm-index.ts';

/** One thing that the governor looks after. Every method may be called again for what was handled already. */
export interface GovernorPart {
  /** The kinds of timers that are its own. */
  readonly timers?: readonly string[];
  /** Takes in a record of whatever kind, from the log or from a commit of this process; in any order, also twice. */
  apply?(stored: StoredRecord): void;
  /** All that was in the log at the start has been applied: what the part decides from now on rests on all swarms. */
  begin?(): void;
  /** What follows from a commit of this process; a sweep finds it, too. */
  committed?(stored: StoredRecord): void;
  /** Handles a due timer of its own. @throws FabricError when it has to come again */
  due?(timer: Timer): Promise<void>;
  /** Finds what was lost between a commit and what follows from it; called about every second. */
  sweep?(): Promise<void>;
  /** Finishes what is under way, and begins nothing. */
  stop?(): Promise<void>;
}

/** What the parts work with. */
export interface GovernorParts {
  readonly store: ActorStore;
  readonly lanes: Lanes;
  readonly timers: Timers;
  readonly registers: Registers;
  readonly clock: Clock;
  readonly log: Log;
  /** A new unique id: `[A-Za-z0-9_-]+`. */
  readonly newId: () => string;
  /** The policy in force, whenever it is asked. */
  readonly policy: PolicyKnown;
  readonly swarms: SwarmIndex;
  readonly notify: Notify;
}
