/**
 * What the witness says about a demo, from its database alone: whether the chain verifies, and which swarm did what. It
 * is compared with what the board said, which came another way.
 */
import { openReadOnly } from '../witness/read-only.ts';
import { type Verification, verifyDatabase } from '../witness/verify.ts';

export interface Audit {
  readonly verification: Verification;
  /** Transitions of tasks, by event type. */
  readonly transitions: Readonly<Record<string, number>>;
  /** Tasks that each swarm completed. */
  readonly completed_by: Readonly<Record<string, number>>;
  /** Ids of the tasks with a COMPLETE on record, once per record: a task that was completed twice is there twice. */
  readonly completed: readonly string[];
}

/** Reads a database that nobody writes to any more. @throws FabricError UNAVAILABLE when it cannot be opened */
export function auditWitness(path: string): Audit {
  const verification = verifyDatabase(path);
  const database = openReadOnly(path);
  try {
    const rows = database.sqlite
      .prepare<[], { event: string; swarm_id: string; actor_id: string }>(
        "SELECT event, swarm_id, actor_id FROM entries WHERE kind = 'task' ORDER BY chain, seq",
      )
      .all();
    const completions = rows.filter(({ event }) => event === 'COMPLETE');
    return {
      verification,
      transitions: countBy(rows.map(({ event }) => event)),
      completed_by: countBy(completions.map(({ swarm_id }) => swarm_id)),
      completed: completions.map(({ actor_id }) => actor_id),
    };
  } finally {
    database.close();
  }
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
