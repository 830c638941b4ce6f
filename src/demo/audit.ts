/**
 * What the witness says about a demo, from its database alone: whether the chain verifies, what happened to each task,
 * blocker and swarm, and what the work of each swarm has cost. It is compared with what the board and the workers said, which came another way.
 */
import { type CostGroup, costReport } from '../witness/query/cost.ts';
import { openReadOnly } from '../witness/read-only.ts';
import { type Verification, verifyDatabase } from '../witness/verify/verify.ts';

/** A transition, as the witness has it. */
export interface Witnessed {
  readonly seq: number;
  /** The time of the servers, milliseconds since 1970. */
  readonly timestamp: number;
  readonly event: string;
  /** Who caused it. */
  readonly swarm_id: string;
  readonly actor_id: string;
}

export interface Audit {
  readonly verification: Verification;
  /** Transitions of tasks, in their order. */
  readonly rows: readonly Witnessed[];
  /** Transitions of blockers and of swarms, in their order. */
  readonly governed: readonly Witnessed[];
  /** What the work of each swarm has cost. */
  readonly costs: readonly CostGroup[];
}

/** Reads a database that nobody writes to any more. @throws FabricError UNAVAILABLE when it cannot be opened */
export function auditWitness(path: string): Audit {
  const verification = verifyDatabase(path);
  const database = openReadOnly(path);
  try {
    const select = (kinds: string) =>
      database.sqlite
        .prepare<[], Witnessed>(
          `SELECT seq, timestamp, event, swarm_id, actor_id FROM entries WHERE kind IN (${kinds}) ORDER BY chain, seq`,
        )
        .all();
    return {
      verification,
      rows: select("'task'"),
      governed: select("'blocker', 'swarm'"),
      costs: costReport(database.sqlite, 'swarm').groups,
    };
  } finally {
    database.close();
  }
}
