/**
 * Tasks that have ended but are still needed: those that an open task depends on, because whoever claims it is given their
 * results. Restoring a fabric takes them too.
 */
import type Sqlite from 'better-sqlite3';
import type { Json } from '../../../machines/record.ts';
import { keptEntries } from './kept.ts';

/** Rows that are looked at in one step. */
const rowsPerStep = 2_000;

interface Found {
  readonly rowid: number;
  readonly timestamp: number;
  readonly actor_id: string;
}

/** The ids of those tasks. In steps, so that a service goes on answering; memory grows with the number of tasks. */
export function* neededTasks(sqlite: Sqlite.Database): Generator<undefined, ReadonlySet<string>> {
  const needed = new Set<string>();
  const seen = new Set<string>();
  const take = (id: string, payload: () => string) => {
    if (seen.has(id)) return;
    seen.add(id);
    for (const dependency of openDependencies(payload())) needed.add(dependency);
  };
  // The newest first, so that the first record of a task that is met is its last. Ended ones never open again, so should
  // a clock that was set back let an older one be met first, a task is kept that need not be.
  const newest = sqlite.prepare<[number, number, number], Found>(
    `SELECT rowid, timestamp, actor_id FROM entries WHERE kind = 'task' AND (timestamp, rowid) < (?, ?)
      ORDER BY timestamp DESC, rowid DESC LIMIT ?`,
  );
  const payloadOf = sqlite.prepare<[number], string>('SELECT payload FROM entries WHERE rowid = ?').pluck();
  let [timestamp, rowid] = [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];
  for (;;) {
    const rows = newest.all(timestamp, rowid, rowsPerStep);
    for (const row of rows) {
      take(row.actor_id, () => payloadOf.get(row.rowid) ?? 'null');
      ({ timestamp, rowid } = row);
    }
    if (rows.length < rowsPerStep) break;
    yield;
  }
  for (const entry of keptEntries(sqlite))
    if (entry.kind === 'task' && entry.actor_id !== null) take(entry.actor_id, () => entry.payload);
  return needed;
}

/** What the task of a record depends on, while it is open. */
function openDependencies(payload: string): string[] {
  // Most tasks depend on nothing, and parsing is what takes time.
  if (!payload.includes('"depends_on":["')) return [];
  const { snapshot } = JSON.parse(payload) as { snapshot?: { status?: Json; context?: { depends_on?: Json } } };
  const ids = snapshot?.context?.depends_on;
  if (snapshot?.status !== 'active' || !Array.isArray(ids)) return [];
  return ids.filter((id) => typeof id === 'string');
}
