/** The end of the history, line by line, in words: what a person reads after the sums. Bounded in lines and in length. */
import type Sqlite from 'better-sqlite3';
import type { Json } from '../../../machines/record.ts';
import type { Entry } from '../entry.ts';
import { actorOf, stateOf } from '../query/trace.ts';
import { entriesOf } from './export.ts';
import { cut } from './html.ts';
import type { Selection } from './selection.ts';

export interface TimelineRow {
  readonly timestamp: number;
  readonly actor: string;
  readonly n: number | null;
  readonly event: string;
  readonly state: string | null;
  readonly swarm_id: string | null;
  readonly cost_usd: number | null;
  /** What the event says besides, as short JSON; '' when nothing. */
  readonly detail: string;
  /** `<chain>/<seq>`. */
  readonly entry: string;
}

/** What every event has, and what the row shows anyway. */
const shown: ReadonlySet<string> = new Set(['id', 'type', 'at', 'by', 'cost', 'n', 'trace_id', 'model']);
const detailLength = 220;

/** The last `limit` entries that match, the oldest of them first. */
export function timelineOf(sqlite: Sqlite.Database, selection: Selection, limit: number): TimelineRow[] {
  const rows: TimelineRow[] = [];
  // A payload may be large; only its line is kept.
  for (const entry of entriesOf(sqlite, selection, 'desc', limit)) rows.push(rowOf(entry));
  return rows.reverse();
}

function rowOf(entry: Entry): TimelineRow {
  const payload = parsed(entry.payload);
  return {
    timestamp: entry.timestamp,
    actor: actorOf(entry),
    n: entry.n,
    event: entry.event,
    state: stateOf({ kind: entry.kind, payload }),
    swarm_id: entry.swarm_id,
    cost_usd: entry.cost_usd,
    detail: detailOf(payload),
    entry: `${entry.chain}/${entry.seq}`,
  };
}

function parsed(payload: string): Json {
  try {
    return JSON.parse(payload) as Json;
  } catch {
    return payload;
  }
}

/** Of a record the fields of its event, of an entry of the journal its payload, of anything else all of it. */
function detailOf(payload: Json): string {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload))
    return cut(textOf(payload), detailLength);
  const told = payload['snapshot'] === undefined ? (payload['payload'] ?? payload) : (payload['event'] ?? null);
  if (typeof told !== 'object' || told === null || Array.isArray(told))
    return told === null ? '' : cut(textOf(told), detailLength);
  const fields = Object.entries(told).filter(([name, value]) => !shown.has(name) && !isEmpty(value));
  return cut(fields.map(([name, value]) => `${name}: ${textOf(value)}`).join(' · '), detailLength);
}

function isEmpty(value: Json): boolean {
  return value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0);
}

/** Long values are cut before they are joined. */
function textOf(value: Json): string {
  return cut(typeof value === 'string' ? value : JSON.stringify(value), detailLength);
}
