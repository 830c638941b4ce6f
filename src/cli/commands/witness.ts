/** `infrafabric witness query`: the history that the witness keeps. */
import { witnessPath } from '../../witness/files.ts';
import { type QueryFilter, type QueryPage, queryEntries } from '../../witness/query/query.ts';
import { withFabric } from '../fabric-session.ts';
import { given, textOf } from '../option-values.ts';
import { exitCodes } from '../output.ts';
import { noteMore, pageAsked } from '../pages.ts';
import type { CommandContext, CommandRun } from '../program.ts';
import { formatTime, formatUsd } from '../table.ts';
import { filtersOf, reading } from '../witness-source.ts';

/** With `--db` from that file; else from the fabric, or the data directory's own file where none is to be asked. */
export const query: CommandRun = async (context, _, options) => {
  const { out } = context;
  const filter = {
    ...filtersOf(options),
    ...given({ order: textOf(options, '--order') }),
    ...pageAsked(options),
  };
  const db = textOf(options, '--db');
  const page = db === undefined ? await ask(context, filter) : await queryFile(db, filter);
  out.data(page);
  const rows = page.entries.map((entry) => ({
    time: formatTime(entry.timestamp),
    component: entry.component,
    event: entry.event,
    actor: entry.kind === null ? null : `${entry.kind}:${entry.actor_id}`,
    n: entry.n,
    swarm: entry.swarm_id,
    trace: entry.trace_id,
    cost: entry.cost_usd === null ? null : formatUsd(entry.cost_usd),
    entry: `${entry.chain}/${entry.seq}`,
  }));
  const columns = ['time', 'component', 'event', 'actor', 'n', 'swarm', 'cost', 'trace', 'entry'] as const;
  out.table(
    columns.map((key) => ({ key })),
    rows,
    'no entries',
  );
  noteMore(out, page);
  return exitCodes.done;
};

async function ask(context: CommandContext, filter: Record<string, unknown>): Promise<QueryPage> {
  const { config } = await context.resolve();
  // The operator's own file holds the same, and is there also when no fabric runs.
  if (config.servers.length === 0 && config.creds === undefined)
    return await queryFile(witnessPath(config.data_dir), filter);
  return await withFabric(context, async ({ client }) => await client.request<QueryPage>('witness', 'query', filter));
}

async function queryFile(path: string, filter: QueryFilter): Promise<QueryPage> {
  return await reading(path, (sqlite) => queryEntries(sqlite, filter));
}
