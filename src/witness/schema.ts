/**
 * The witness database's tables and indexes. Every filter of a query has an index in time order; the indexes of the
 * filters that match many rows hold the other such filters too, so that a second filter costs no look-up of the row.
 */
import { columns } from './columns.ts';

/** Kept in `user_version`; goes up with every change of the tables. */
export const schemaVersion = 1;

/** Kept in `application_id`: "IFwd". */
export const applicationId = 0x49467764;

/** Larger pages than SQLite's default: records are about a kilobyte, and half as many index pages change per batch. */
export const pageSize = 8192;

const definitions = columns.map(({ name, type, nullable }) => `${name} ${type}${nullable ? '' : ' NOT NULL'}`);

/** The index of each filter, and of a range of time. */
export const indexes = {
  timestamp: { name: 'entries_by_time', columns: 'timestamp' },
  swarm_id: { name: 'entries_by_swarm', columns: 'swarm_id, timestamp, event, component, kind' },
  event: { name: 'entries_by_event', columns: 'event, timestamp, component, kind' },
  component: { name: 'entries_by_component', columns: 'component, timestamp, kind' },
  trace_id: { name: 'entries_by_trace', columns: 'trace_id, timestamp' },
  kind: { name: 'entries_by_kind', columns: 'kind, timestamp' },
  actor_id: { name: 'entries_by_actor', columns: 'actor_id, timestamp' },
} as const;

/** Leads to the rows that name a cost, and holds all that a summary of costs asks for. */
export const costIndex = {
  name: 'entries_by_cost',
  columns: 'timestamp, swarm_id, model, component, cost_usd, tokens_in, tokens_out',
  where: 'cost_usd IS NOT NULL OR tokens_in IS NOT NULL OR tokens_out IS NOT NULL',
} as const;

/** SQLite's name for the index of the primary key. */
export const keyIndex = 'sqlite_autoindex_entries_1';

export type Indexed = keyof typeof indexes;

export const createSchema = [
  `CREATE TABLE entries (${definitions.join(', ')}, PRIMARY KEY (chain, seq)) STRICT;`,
  ...Object.values(indexes).map((index) => `CREATE INDEX ${index.name} ON entries (${index.columns});`),
].join('\n');

/** For files that were made before this index was thought of. */
export const createCostIndex = `CREATE INDEX IF NOT EXISTS ${costIndex.name} ON entries (${costIndex.columns}) WHERE ${costIndex.where};`;
