/**
 * What happened under one trace id, across actors, streams and epochs, as a timeline. It is a query by trace id that also
 * knows when the trace began, so that every page tells times since then.
 */
import type Sqlite from 'better-sqlite3';
import { type StateValue, stateName } from '../../../machines/record.ts';
import { machineOf } from '../../../machines/registry.ts';
import { type QueriedEntry, type QueryFilter, type QueryPage, queryEntries } from './query.ts';

export interface TracePage extends QueryPage {
  readonly trace_id: string;
  /** The time of the first entry of the trace, milliseconds since 1970; null when there is none. */
  readonly started_at: number | null;
}

/** One line of the timeline. */
export interface TraceStep {
  readonly timestamp: number;
  /** Milliseconds since the trace began. */
  readonly since_start_ms: number;
  /** `<kind>:<id>`; of what has no actor, the component that told it. */
  readonly actor: string;
  readonly event: string;
  /** The actor's state after the event; null where the entry is not a transition. */
  readonly state: string | null;
  readonly swarm_id: string | null;
  readonly cost_usd: number | null;
}

/** Answers queries: a database file, or a fabric that is asked. */
export type Queried = (filter: QueryFilter) => QueryPage | Promise<QueryPage>;

/**
 * One page of a trace, oldest entry first. A trace that is not known has no entries.
 * @throws FabricError INVALID_REQUEST for a limit or cursor that is not one; UNAVAILABLE when it cannot be read
 */
export async function readTrace(
  source: Sqlite.Database | Queried,
  { trace_id, ...paging }: { readonly trace_id: string } & Pick<QueryFilter, 'limit' | 'cursor'>,
): Promise<TracePage> {
  const query = typeof source === 'function' ? source : (filter: QueryFilter) => queryEntries(source, filter);
  const page = await query({ trace_id, ...paging });
  const first = paging.cursor === undefined ? page : await query({ trace_id, limit: 1 });
  return { trace_id, started_at: first.entries[0]?.timestamp ?? null, entries: page.entries, cursor: page.cursor };
}

export function stepsOf({ entries, started_at }: TracePage): TraceStep[] {
  return entries.map((entry) => ({
    timestamp: entry.timestamp,
    since_start_ms: entry.timestamp - (started_at ?? entry.timestamp),
    actor: actorOf(entry),
    event: entry.event,
    state: stateOf(entry),
    swarm_id: entry.swarm_id,
    cost_usd: entry.cost_usd,
  }));
}

/** Entries of the journal have ids that say nothing to a reader, so they go by their component. */
export function actorOf({ kind, actor_id, component }: Pick<QueriedEntry, 'kind' | 'actor_id' | 'component'>): string {
  return kind === null || actor_id === null || kind === 'journal' ? component : `${kind}:${actor_id}`;
}

/** The state that a record says its actor is in, as one word; null for what is no record of a transition. */
export function stateOf({ kind, payload }: Pick<QueriedEntry, 'kind' | 'payload'>): string | null {
  const value = fieldOf(fieldOf(payload, 'snapshot'), 'value');
  if (!isStateValue(value)) return null;
  // Canonical JSON has its regions in the order of the alphabet.
  const regions = Object.keys(machineOf(kind ?? '')?.absent.value ?? {});
  if (typeof value === 'string' || !regions.every((region) => Object.hasOwn(value, region))) return stateName(value);
  return stateName({ ...Object.fromEntries(regions.map((region) => [region, value[region] ?? ''])), ...value });
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

/** A record of a damaged or foreign file may hold anything, also nested without end. */
function isStateValue(value: unknown, depth = 0): value is StateValue {
  if (typeof value === 'string') return true;
  if (typeof value !== 'object' || value === null || Array.isArray(value) || depth > 8) return false;
  return Object.values(value).every((region) => isStateValue(region, depth + 1));
}
