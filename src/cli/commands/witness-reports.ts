/** `infrafabric witness trace|cost`: the history of one piece of work, and what work cost. */

import { type CostGrouping, costReport, groupField } from '../../witness/query/cost.ts';
import type { QueryFilter, QueryPage } from '../../witness/query/query.ts';
import { readTrace, stepsOf, type TracePage } from '../../witness/query/trace.ts';
import { prunedChains } from '../../witness/report/selection.ts';
import { withFabric } from '../fabric-session.ts';
import { given, textOf, timeOf } from '../option-values.ts';
import { exitCodes } from '../output.ts';
import { noteMore, pageAsked } from '../pages.ts';
import type { CommandContext, CommandRun } from '../program.ts';
import { formatDuration, formatTime, formatUsd } from '../table.ts';
import { databasePath, reading } from '../witness-source.ts';

/** From `--db`, or the fabric where servers or credentials are named, else from the data directory's own file. */
export const trace: CommandRun = async (context, [traceId = ''], options) => {
  const { out } = context;
  const asked = {
    trace_id: traceId,
    ...(pageAsked(options) as Pick<QueryFilter, 'limit' | 'cursor'>),
  };
  const page = await read(context, options, asked);
  out.data(page);
  const rows = stepsOf(page).map((step) => ({
    time: formatTime(step.timestamp),
    since: `+${formatDuration(step.since_start_ms)}`,
    actor: step.actor,
    event: step.event,
    state: step.state,
    swarm: step.swarm_id,
    cost: step.cost_usd === null ? null : formatUsd(step.cost_usd),
  }));
  const columns = ['time', 'since', 'actor', 'event', 'state', 'swarm', 'cost'] as const;
  out.table(
    columns.map((key) => ({ key })),
    rows,
    `the witness has no entries of trace ${JSON.stringify(traceId)}`,
  );
  noteMore(out, page);
  return exitCodes.done;
};

async function read(
  context: CommandContext,
  options: Readonly<Record<string, unknown>>,
  asked: Parameters<typeof readTrace>[1],
): Promise<TracePage> {
  if (textOf(options, '--db') === undefined) {
    const { config } = await context.resolve();
    if (config.servers.length > 0 || config.creds !== undefined) {
      return await withFabric(context, async ({ client }) => {
        const ask = async (filter: QueryFilter) =>
          await client.request<QueryPage>('witness', 'query', given({ ...filter }));
        return await readTrace(ask, asked);
      });
    }
  }
  return await reading(await databasePath(context, options), async (sqlite) => await readTrace(sqlite, asked));
}

export const cost: CommandRun = async (context, _, options) => {
  const { out } = context;
  const by = (textOf(options, '--by') ?? 'swarm') as CostGrouping;
  const range = given({ since: timeOf(options, '--since'), until: timeOf(options, '--until') });
  const { report, pruned } = await reading(await databasePath(context, options), (sqlite) => ({
    report: costReport(sqlite, by, range),
    pruned: prunedChains(sqlite),
  }));
  out.data(report);
  const rows = report.groups.map((group) => ({
    ...group,
    [by]: group[groupField[by]],
    cost: formatUsd(group.cost_usd),
  }));
  const total = { ...report.total, [by]: 'total', cost: formatUsd(report.total.cost_usd) };
  out.table(
    [
      { key: by },
      { key: 'cost', align: 'right' },
      { key: 'tokens_in', title: 'tokens in' },
      { key: 'tokens_out', title: 'tokens out' },
      { key: 'entries' },
    ],
    rows.length === 0 ? [] : [...rows, total],
    'no entry tells a cost',
  );
  for (const { chain, seq } of pruned) out.note(`${chain}: costs of the pruned entries up to ${seq} are in no sum`);
  return exitCodes.done;
};
