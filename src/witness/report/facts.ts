/** What an audit report counts over the entries that it is about. Every list is bounded and says what it left out. */
import type Sqlite from 'better-sqlite3';
import { type Condition, conditionOf, type Selection } from './selection.ts';

/** Some rows of a list, and how many there are in all. */
export interface Bounded<Row> {
  readonly rows: readonly Row[];
  readonly all: number;
}

export interface ChainFacts {
  readonly chain: string;
  readonly entries: number;
  readonly first_at: number;
  readonly last_at: number;
}

export interface EventFacts {
  readonly component: string;
  readonly event: string;
  readonly entries: number;
}

export interface SwarmFacts {
  readonly swarm_id: string;
  readonly entries: number;
  readonly claimed: number;
  readonly completed: number;
  readonly failed: number;
}

export interface TaskFacts {
  readonly task_id: string;
  readonly last_at: number;
  /** Of the last record; null where it does not say. */
  readonly state: string | null;
  readonly task_type: string | null;
  readonly owner: string | null;
  readonly attempt: number | null;
  readonly created_at: number | null;
  readonly cost_usd: number | null;
}

export interface ReportFacts {
  readonly chains: readonly ChainFacts[];
  readonly events: Bounded<EventFacts>;
  readonly swarms: Bounded<SwarmFacts>;
  /** How many tasks are in which state; null where the record does not say. */
  readonly task_states: readonly { readonly state: string | null; readonly tasks: number }[];
  /** Those that changed last come first. */
  readonly tasks: Bounded<TaskFacts>;
}

/** Where the record of a task has what a row shows. */
const taskFields = [
  ['$.value', 'state'],
  ['$.context.task_type', 'task_type'],
  ['$.context.owner', 'owner'],
  ['$.context.attempt', 'attempt'],
  ['$.context.created_at', 'created_at'],
  ['$.context.cost.cost_usd', 'cost_usd'],
] as const;

const eventRows = 60;
const swarmRows = 100;
const taskRows = 200;

/** @throws Sqlite.SqliteError when the database cannot be read */
export function reportFacts(sqlite: Sqlite.Database, selection: Selection): ReportFacts {
  const condition = conditionOf(selection);
  const all = <Row>(sql: string, ...more: number[]) =>
    sqlite.prepare<unknown[], Row>(sql).all(...condition.values, ...more);
  const bounded = <Row>(sql: string, limit: number): Bounded<Row> => {
    const rows = all<Row & { all_rows?: number }>(
      `SELECT *, count(*) OVER () AS all_rows FROM (${sql}) LIMIT ?`,
      limit,
    );
    return { rows: rows.map(({ all_rows: _, ...row }) => row as Row), all: rows[0]?.all_rows ?? 0 };
  };
  const where = `FROM entries WHERE ${condition.sql}`;
  return {
    chains: all(
      `SELECT chain, count(*) AS entries, min(timestamp) AS first_at, max(timestamp) AS last_at ${where} GROUP BY chain`,
    ),
    events: bounded(
      `SELECT component, event, count(*) AS entries ${where} GROUP BY component, event ORDER BY entries DESC, component, event`,
      eventRows,
    ),
    swarms: bounded(
      `SELECT swarm_id, count(*) AS entries, sum(kind IS 'task' AND event = 'CLAIM') AS claimed,
        sum(kind IS 'task' AND event = 'COMPLETE') AS completed, sum(kind IS 'task' AND event = 'FAIL') AS failed
        ${where} AND swarm_id IS NOT NULL GROUP BY swarm_id ORDER BY entries DESC, swarm_id`,
      swarmRows,
    ),
    ...taskFacts(sqlite, condition),
  };
}

function taskFacts(sqlite: Sqlite.Database, { sql, values }: Condition): Pick<ReportFacts, 'task_states' | 'tasks'> {
  // The number of a transition goes up through all epochs, so the greatest one is the last.
  const last = `SELECT chain, seq, actor_id, max(n) AS n FROM entries
    WHERE kind = 'task' AND actor_id IS NOT NULL AND ${sql} GROUP BY actor_id`;
  const states = sqlite
    .prepare<unknown[], { state: string | null; tasks: number }>(
      `SELECT iif(json_valid(payload), payload ->> '$.snapshot.value', NULL) AS state, count(*) AS tasks
      FROM (${last}) AS last JOIN entries USING (chain, seq) GROUP BY state ORDER BY tasks DESC, state`,
    )
    .all(...values);
  const rows = sqlite
    .prepare<unknown[], TaskFacts>(
      `SELECT task_id, last_at, ${taskFields.map(([path, as]) => `snapshot ->> '${path}' AS ${as}`).join(', ')} FROM (
        SELECT entries.actor_id AS task_id, timestamp AS last_at,
          iif(json_valid(payload), payload -> '$.snapshot', NULL) AS snapshot
        FROM (${last}) AS last JOIN entries USING (chain, seq) ORDER BY timestamp DESC, seq DESC LIMIT ?)`,
    )
    .all(...values, taskRows);
  return { task_states: states, tasks: { rows, all: states.reduce((sum, { tasks }) => sum + tasks, 0) } };
}
