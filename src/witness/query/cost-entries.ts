/**
 * The entries that a sum of costs is made of, each cost once. Most costs are told by the event that they belong to. What
 * a swarm's budget paid for work whose own record tells no cost, such as a task that was settled at its estimate, is taken
 * from the record of the swarm. Later records that merely repeat a cost in their state are not looked at.
 */
import type Sqlite from 'better-sqlite3';
import { type Condition, conditionOf, type Selection } from '../report/selection.ts';
import { costIndex } from '../schema.ts';

/** One cost. Tokens and dollars that were not told are null. */
export interface CostEntry {
  readonly timestamp: number;
  readonly swarm_id: string | null;
  readonly model: string | null;
  readonly component: string;
  readonly cost_usd: number | null;
  readonly tokens_in: number | null;
  readonly tokens_out: number | null;
}

export function* costEntries(sqlite: Sqlite.Database, selection: Selection): Generator<CostEntry> {
  const condition = conditionOf(selection);
  for (const sql of [toldCosts(sqlite, condition), paidCosts(condition)])
    yield* sqlite.prepare<unknown[], CostEntry>(sql).iterate(...condition.values);
}

/** The statement that reads the costs that events tell. */
export function toldCosts(sqlite: Sqlite.Database, { sql }: Condition): string {
  const index = sqlite.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?").get(costIndex.name);
  // The condition is that of the index word for word: only so does SQLite use it. A file of an older version has none.
  // An entry of the journal whose id was sent again after the stream had forgotten it is the same entry.
  return `SELECT timestamp, swarm_id, model, component, cost_usd, tokens_in, tokens_out
    FROM entries AS told ${index === undefined ? '' : `INDEXED BY ${costIndex.name}`}
    WHERE (${costIndex.where}) AND ${sql} AND (component GLOB 'IF.*' OR NOT EXISTS (
      SELECT 1 FROM entries AS earlier
      WHERE earlier.actor_id = told.actor_id AND earlier.kind = 'journal' AND earlier.swarm_id = told.swarm_id
        AND earlier.timestamp <= told.timestamp
        AND (earlier.timestamp, earlier.chain, earlier.seq) < (told.timestamp, told.chain, told.seq)
        AND (earlier.cost_usd IS NOT NULL OR earlier.tokens_in IS NOT NULL OR earlier.tokens_out IS NOT NULL)))`;
}

/**
 * The statement that reads what swarms paid for work that tells no cost itself. Entries of swarms are many, those that
 * pay are few: the plus sign keeps SQLite from walking along the former.
 */
export function paidCosts({ sql }: Condition): string {
  return `WITH paid AS (
      SELECT timestamp, swarm_id, component,
        iif(json_valid(payload), payload ->> iif(event = 'CHARGE', '$.event.amount_usd', '$.event.cost_usd'), 0) AS usd,
        iif(json_valid(payload), payload ->> '$.event.key', NULL) AS work
      FROM entries
      WHERE event IN ('SUCCESS', 'FAILURE', 'SETTLE', 'CHARGE') AND +kind = 'swarm' AND (${sql})
        AND cost_usd IS NULL AND tokens_in IS NULL AND tokens_out IS NULL)
    SELECT timestamp, swarm_id, NULL AS model, component, usd AS cost_usd, NULL AS tokens_in, NULL AS tokens_out
    FROM paid
    WHERE typeof(usd) IN ('integer', 'real') AND usd > 0 AND NOT EXISTS (
      SELECT 1 FROM entries AS told
      WHERE told.actor_id = substr(work, instr(work, ':') + 1) AND told.kind = substr(work, 1, instr(work, ':') - 1)
        AND told.cost_usd IS NOT NULL)`;
}
